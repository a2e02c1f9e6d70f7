#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (Python, CPU), onnx 1.23.2.
#
# One would guess: session.get_outputs()[0].shape tells a scalar, [], from a tensor whose rank nobody knows, which
# would be None or would raise.
#
# What happens: both are []. Here one output is a sum over all elements, a scalar; the other has the shape (2, 4) when
# it runs, but its operator, ai.onnx.ml::Scaler, has no shape inference.
#
# Why it matters: code that allocates outputs (IO binding), checks them or counts bytes from that list takes a tensor
# of any size for one element. It is met at the end of most pipelines that skl2onnx writes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 "numpy>=2,<3"
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxruntime|numpy) "
cat > "$folder/seen.py" <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

nodes = [
    helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
    helper.make_node("Scaler", ["x"], ["scaled"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]),
]
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])
outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("sum", "scaled")]
graph = helper.make_graph(nodes, "g", [x], outputs)
imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
model = helper.make_model(graph, opset_imports=imports, ir_version=9)
session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
told = [output.shape for output in session.get_outputs()]
real = [array.shape for array in session.run(None, {"x": np.ones((2, 4), np.float32)})]
print("get_outputs() says", told, "and the outputs are", real)
sys.exit(told != [[], []] or real != [(), (2, 4)])
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
