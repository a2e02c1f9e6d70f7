#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (CPU, x86-64), onnx 1.23.2.
#
# One would guess: a convolution that the optimizer puts into channel blocks (NCHWc) has the same name in the
# optimized graph, and in the profile, whether the file is float32 or float16.
#
# What happens: a blocked convolution is named after the tensor that it writes, not after the node: h_nchwc for
# `first`. In float16 the casts of the CPU provider come before that, so that it writes the tensor of a cast:
# InsertedPrecisionFreeCast_h_nchwc. The prefix is otherwise that of inserted Cast nodes.
#
# Why it matters: whoever reads ONNX Runtime's profile by node name, and takes what begins with
# InsertedPrecisionFreeCast for a cast, books the largest part of the time of a float16 network to conversions, or to
# nothing.
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
from onnx import helper, numpy_helper


def names(dtype: type) -> list[str]:
    """Of the convolutions that run in place of two, called first and second."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    x, y = (helper.make_tensor_value_info(name, kind, [1, 16, 8, 8]) for name in "xy")
    weights = [numpy_helper.from_array(np.ones((16, 16, 3, 3), dtype), name) for name in ("w1", "w2")]
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["h"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["h", "w2"], ["y"], name="second", pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "ran.onnx")
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        ran = onnx.load(options.optimized_model_filepath).graph.node
    return [node.name for node in ran if node.op_type == "Conv"]


print("float32:", names(np.float32))
print("float16:", names(np.float16))
sys.exit(not all(name.startswith("InsertedPrecisionFreeCast_") for name in names(np.float16)))
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
