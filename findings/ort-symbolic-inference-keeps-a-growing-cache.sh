#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (CPU), onnx 1.23.2, sympy 1.14.
#
# One would guess: ONNX Runtime's own shape inference gives com.microsoft::GroupQueryAttention's present keys the
# length that its own kernel gives them: the past and the new tokens.
#
# What happens: onnxruntime.tools.symbolic_shape_infer always gives `present` the shape of `past`. That is true only
# where both share one buffer. A past of 7 keys and 1 new token give 8 when the model runs, and 7 by inference; a
# prompt, whose past is empty, has 0 present keys by inference.
#
# Why it matters: the inferred shapes are what memory planners and MAC counters take. The cost of attention in a
# prompt comes out as 0, without a warning.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 "numpy>=2,<3" sympy==1.14.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxruntime|numpy|sympy) "
cat > "$folder/seen.py" <<'PY'
import sys

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference


def lengths(past: int, new: int) -> tuple[int, int]:
    """Of the present keys: when it runs, and by inference."""
    shapes = {"q": [1, new, 32], "k": [1, new, 16], "v": [1, new, 16], "pk": [1, 2, past, 8], "pv": [1, 2, past, 8]}
    values = {"last": np.array([past + new - 1], np.int32), "total": np.array([past + new], np.int32)}
    node = helper.make_node(
        *("GroupQueryAttention", [*shapes, *values], ["y", "present_k", "present_v"]),
        domain="com.microsoft", num_heads=4, kv_num_heads=2,
    )
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    inputs += [helper.make_tensor_value_info(name, TensorProto.INT32, [1]) for name in values]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    real = session.run(["present_k"], {**feeds, **values})[0].shape[2]
    inferred = SymbolicShapeInference.infer_shapes(model).graph.output[1].type.tensor_type.shape.dim[2].dim_value
    return real, inferred


decode, prompt = lengths(7, 1), lengths(0, 5)
print("past 7, new 1: present keys when it runs:", decode[0], " by inference:", decode[1])
print("past 0, new 5: present keys when it runs:", prompt[0], " by inference:", prompt[1])
sys.exit((decode, prompt) != ((8, 7), (5, 0)))
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
