#!/usr/bin/env bash
# onnxruntime-qnn 2.7.0 with onnxruntime 1.31.1: Qualcomm's HTP on its simulator for x86-64 Linux, float16.
#
# One would guess: a Pad of zeros at the bottom and on the right, which the HTP takes, pads with zeros. TensorFlow's
# "SAME" convolutions of stride 2 come as such a Pad.
#
# What happens: for many sizes (8 x 8, 16 x 16, 8 x 40; not 4 x 4 or 32 x 32) the column on the right holds values of
# the input from further down, in a graph that is the Pad alone. The row at the bottom is zero. A Pad on the right alone,
# or on all four sides, is right for the same sizes. Nothing warns: the session says that the HTP runs the node.
#
# Why it matters: "the NPU takes it" is not "the numbers are right". Inside a network the Pad is fused into the
# convolution behind it, and right: a test of whole networks passes, one of single layers finds 25 % of error. It may be
# the simulator's fault alone, which is what there is without the chip.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.31.1 onnxruntime-qnn==2.7.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxruntime|onnxruntime-qnn) "
cat > "$folder/seen.py" <<'PY'
import sys

import numpy as np
import onnxruntime as ort
import onnxruntime_qnn as qnn
from onnx import TensorProto, helper, numpy_helper

PROVIDER = "QNNExecutionProvider"
ort.set_default_logger_severity(4)
ort.register_execution_provider_library(PROVIDER, qnn.get_library_path())


def padded(side: int, pads: list[int]) -> np.ndarray:
    """What the HTP makes of ones."""
    value, before, after = helper.make_tensor_value_info, pads[:4], pads[4:]
    sizes = [size + first + last for size, first, last in zip((1, 2, side, side), before, after)]
    node = helper.make_node("Pad", ["x", "pads"], ["y"], "pad")
    ends = [value("x", TensorProto.FLOAT, [1, 2, side, side]), value("y", TensorProto.FLOAT, sizes)]
    held = [numpy_helper.from_array(np.array(pads, np.int64), "pads")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")  # the HTP, or an error
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
    settings = {"backend_path": qnn.get_qnn_htp_path(), "htp_arch": "75", "soc_model": "57"}
    options.add_provider_for_devices(devices, {**settings, "enable_htp_fp16_precision": "1"})
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": np.ones((1, 2, side, side), np.float32)})[0]


corner = [0, 0, 0, 0, 0, 0, 1, 1]
column, row = padded(8, corner)[..., :-1, -1], padded(8, corner)[..., -1, :]
print("8 x 8, padded at the bottom and on the right: the column", column[0, 0], "and the row", row[0, 0])
right = {
    "on the right alone": padded(8, [0, 0, 0, 0, 0, 0, 0, 1])[..., -1],
    "on all sides": padded(8, [0, 0, 1, 1, 0, 0, 1, 1])[..., -1],
    "of 4 x 4": padded(4, corner)[..., -1],
    "of 32 x 32": padded(32, corner)[..., -1],
}
for name, edge in right.items():
    print(f"the column {name}: {'zero' if not edge.any() else 'NOT zero'}")
sys.exit(not column.any() or row.any() or any(edge.any() for edge in right.values()))
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
