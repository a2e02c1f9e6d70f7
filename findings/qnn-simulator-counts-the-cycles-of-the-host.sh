#!/usr/bin/env bash
# onnxruntime-qnn 2.7.0 (Qualcomm's HTP simulator for x86-64 Linux), onnxruntime 1.31.1, onnx 1.23.2.
#
# One would guess: a simulator of a chip that reports "cycles" for each node, with the same unit and column as on the
# chip, reports those of the chip it simulates: the same for each run of the same model, on whatever machine.
#
# What happens: they are cycles of the processor that simulates. One convolution, run six times in one session on the
# same values, has six figures, twice as large at one time as at another or more. HED at 128 x 128 had 0.3 G where it
# had the processor for itself, and 5.6 G beside other work.
#
# Why it matters: they rank the layers by what simulating them costs, and compare with nothing. Even so they can only
# be compared within one run, and of several runs the least says most.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnxruntime-qnn==2.7.0 onnx==1.23.2
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnxruntime|onnxruntime-qnn|onnx) "
cat > "$folder/seen.py" <<'PY'
import csv

import numpy as np
import onnxruntime as ort
import onnxruntime_qnn as qnn
from onnx import TensorProto, helper, numpy_helper, save

SHAPE, RUNS = (1, 32, 64, 64), 6
random = np.random.default_rng(0)
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "xy"]
weight = numpy_helper.from_array(random.standard_normal((32, 32, 3, 3)).astype(np.float32), "w")
node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1, 1, 1, 1])
graph = helper.make_graph([node], "g", values[:1], values[1:], [weight])
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), "m.onnx")

ort.set_default_logger_severity(4)
ort.register_execution_provider_library("QNNExecutionProvider", qnn.get_library_path())
options = ort.SessionOptions()
settings = {
    "backend_path": qnn.get_qnn_htp_path(), "htp_arch": "75", "soc_model": "57", "enable_htp_fp16_precision": "1",
    "profiling_level": "detailed", "profiling_file_path": "profile.csv",
}
devices = [device for device in ort.get_ep_devices() if device.ep_name == "QNNExecutionProvider"]
options.add_provider_for_devices(devices, settings)
session = ort.InferenceSession("m.onnx", options)
data = random.standard_normal(SHAPE).astype(np.float32)
outputs = [session.run(None, {"x": data})[0] for _ in range(RUNS)]
assert all(np.array_equal(outputs[0], each) for each in outputs)
with open("profile.csv") as file:
    rows = [row for row in csv.DictReader(file) if row["Message"] == "NODE"]
cycles = [int(row["Time"]) for row in rows if row["Event Identifier"].startswith("conv")]
print("cycles of the same convolution, run by run:", *(f"{each:,}" for each in cycles))
assert len(cycles) == RUNS
assert len(set(cycles)) > 1, "the cycles are the same in each run: the finding is out of date"
PY
cd "$folder" && "$folder/venv/bin/python" "$folder/seen.py"
