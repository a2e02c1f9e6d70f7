#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (CPU), onnx 1.23.2.
#
# One would guess: with GraphOptimizationLevel.ORT_DISABLE_ALL a session runs the nodes of the file, in the types of
# the file.
#
# What happens: where the CPU has no float16 kernel, casts to float32 are inserted at that level too, named
# InsertedPrecisionFreeCast_*. The nodes between them run in float32: here a MatMul and a Tanh. The cast of the weight
# is not folded, so that it runs again at each inference.
#
# Why it matters: "no optimization" is what one takes to debug numerics or to attribute time to nodes. The numbers are
# those of float32, activations take twice the bytes that the file states, and part of the time is in nodes that no
# file has.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 "numpy>=2,<3"
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxruntime|numpy) "
cat > "$folder/seen.py" <<'PY'
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT16, [4, 8]) for name in "xy")
weight = numpy_helper.from_array(np.ones((8, 8), np.float16), "w")
nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Tanh", ["h"], ["y"])]
graph = helper.make_graph(nodes, "g", [x], [y], [weight])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
options = ort.SessionOptions()
options.log_severity_level = 4
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
with tempfile.TemporaryDirectory() as folder:
    options.optimized_model_filepath = str(Path(folder) / "ran.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ran = onnx.load(options.optimized_model_filepath).graph.node
print("in the file:", [node.op_type for node in nodes])
print("what runs:  ", [f"{node.op_type} {node.name}".strip() for node in ran])
inserted = {node.name for node in ran if node.op_type == "Cast"}
sys.exit(inserted != {f"InsertedPrecisionFreeCast_{name}" for name in "xwy"})
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
