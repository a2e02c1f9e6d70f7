#!/usr/bin/env bash
# onnxruntime-qnn 2.7.0 with onnxruntime 1.31.1: the CSV file of QNN's profiling (`profiling_file_path`).
#
# One would guess: a node whose name holds a comma has that name in quotes, as CSV files have it, or escaped.
#
# What happens: the name is written as it is, so the row of that node has one cell more than the head. It is the last
# column ("Event Identifier"): who reads the file with `csv` finds the name cut off, or one cell too many.
#
# Why it matters: ONNX allows any name. Converters that name nodes after layers with arguments write commas.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.31.1 onnxruntime-qnn==2.7.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxruntime|onnxruntime-qnn) "
cat > "$folder/seen.py" <<'PY'
import csv
import sys

import numpy as np
import onnxruntime as ort
import onnxruntime_qnn as qnn
from onnx import TensorProto, helper

PROVIDER = "QNNExecutionProvider"
ort.set_default_logger_severity(4)
ort.register_execution_provider_library(PROVIDER, qnn.get_library_path())
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "relu(a, b)")], "g", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
options = ort.SessionOptions()
options.log_severity_level = 4
settings = {"backend_path": qnn.get_qnn_htp_path(), "htp_arch": "75", "soc_model": "57"}
settings |= {"enable_htp_fp16_precision": "1", "profiling_level": "detailed", "profiling_file_path": sys.argv[1]}
devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
options.add_provider_for_devices(devices, settings)
session = ort.InferenceSession(model.SerializeToString(), options)
session.run(None, {"x": np.ones((1, 8), np.float32)})
del session
with open(sys.argv[1], newline="") as file:
    head, *rows = csv.reader(file)
named = [row for row in rows if "relu(a" in ",".join(row)]
print(f"{len(head)} columns; the rows of the node:", *named, sep="\n")
sys.exit(not named or any(len(row) == len(head) for row in named))
PY
if ! "$folder/venv/bin/python" "$folder/seen.py" "$folder/profile.csv"; then
    echo "this has changed"
    exit 1
fi
