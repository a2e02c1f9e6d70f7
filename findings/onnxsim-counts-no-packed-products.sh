#!/usr/bin/env bash
# onnxsim 0.8.1, onnx 1.23.2.
#
# One would guess: the "MACs" and "FLOPs" that onnxsim prints before and after simplifying cover the operators that it
# counts nodes of, or say which they leave out.
#
# What happens: products with packed weights (MatMulNBits) and fused attention (GroupQueryAttention) add nothing, and
# nothing says so. A language model at 4 bits has "MACs 0.0" and a "Compute Density" of 0.00 FLOP per byte, over the
# bytes of its packed weights; the same at 32 bits has the MACs of its projections, and none of attention.
#
# Why it matters: the row stands in the table beside a node count that is right. Two precisions of one checkpoint seem to
# differ in work, and a roofline made of the two columns puts every packed model at its left end.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxsim==0.8.1 onnx==1.23.2 "numpy>=2,<3"
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxsim|numpy) "
cat > "$folder/seen.py" <<'PY'
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnxsim.model_info import ModelInfo

ROWS, K, N = 4, 64, 32


def info(op_type: str, inputs: dict, weights: dict, outputs: dict, **attributes) -> ModelInfo:
    """Of one node: shapes of its inputs, of its weights with their types, and of its outputs."""
    domain = "" if op_type == "MatMul" else "com.microsoft"
    node = helper.make_node(op_type, [*inputs, *weights], list(outputs), domain=domain, **attributes)
    values = [
        [helper.make_tensor_value_info(name, TensorProto.INT32 if "length" in name else TensorProto.FLOAT, shape)
         for name, shape in side.items()] for side in (inputs, outputs)
    ]
    held = [numpy_helper.from_array(np.ones(shape, kind), name) for name, (shape, kind) in weights.items()]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return ModelInfo(helper.make_model(helper.make_graph([node], "g", *values, held), opset_imports=imports))


plain = info("MatMul", {"x": [ROWS, K]}, {"w": ((K, N), np.float32)}, {"y": [ROWS, N]})
packed = info(
    "MatMulNBits", {"x": [ROWS, K]}, {"w": ((N, K // 32, 16), np.uint8), "scales": ((N, K // 32), np.float32)},
    {"y": [ROWS, N]}, K=K, N=N, bits=4, block_size=32,
)
cache = [1, 2, 7, 8]
attention = info(
    "GroupQueryAttention",
    {"q": [1, 1, 32], "k": [1, 1, 16], "v": [1, 1, 16], "past_k": cache, "past_v": cache, "last_length": [1],
     "length": [1]},
    {}, {"y": [1, 1, 32], "present_k": [1, 2, 8, 8], "present_v": [1, 2, 8, 8]}, num_heads=4, kv_num_heads=2,
)
print(f"MatMul, {ROWS} x {K} by {K} x {N}: MACs {plain.macs}; in truth {ROWS * K * N}")
print(f"MatMulNBits, the same at 4 bits: MACs {packed.macs}; in truth {ROWS * K * N}")
print(f"GroupQueryAttention, 1 query of 4 heads, 8 keys of 8: MACs {attention.macs}; in truth {4 * 8 * 2 * 8}")
sys.exit((plain.macs, packed.macs, attention.macs) != (ROWS * K * N, 0, 0))
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
