#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (its onnxruntime.transformers.float16), onnx 1.23.2.
#
# One would guess: convert_float_to_float16 gives a valid model for a valid model.
#
# What happens: it adds its casts to the end of the node list and does not sort: with an operator that stays in
# float32 (op_block_list) they come after the nodes that read them. The specification asks for topological order, and
# onnx.checker refuses the file. ONNX Runtime itself loads it, so that nobody notices.
#
# Why it matters: such files are shipped. A reader that relies on the order, as the specification lets it, fails on
# them or computes liveness from a wrong one.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 "numpy>=2,<3" sympy==1.14.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxruntime|numpy) "
cat > "$folder/seen.py" <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in "xy")
weight = numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32), "w")
nodes = [helper.make_node("Conv", ["x", "w"], ["h"], name="conv"), helper.make_node("Relu", ["h"], ["y"], name="relu")]
graph = helper.make_graph(nodes, "g", [x], [y], [weight])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnx.checker.check_model(model, full_check=True)
converted = convert_float_to_float16(model, op_block_list=["Conv"])
print("nodes:", [node.name for node in converted.graph.node])
ort.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
print("ONNX Runtime: loads it")
try:
    onnx.checker.check_model(converted)
except onnx.checker.ValidationError as reason:
    print("onnx.checker:", str(reason).splitlines()[0])
    sys.exit("topologically sorted" not in str(reason))
sys.exit("onnx.checker accepts it")
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
