#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, onnx 1.16.1, numpy 1.26.4, torch 2.13.0, Python 3.11.
#
# One would guess: the table of cycles that the compiler prints for each layer is of the chip that it compiles for. The
# RK3576 is sold with 6 TOPS from two cores of at most 950 MHz, which takes some 1,580 multiply-accumulates in a cycle of
# a core; the RK3588, with 6 TOPS from three cores of 1 GHz, has 1,024. So its layers should take fewer cycles.
#
# What happens: every convolution of the RK3576's table has the RK3588's NPU cycles to the digit, those of 1,024 in a
# cycle. The table of the RK3576 has one column more (SparseRatio, in the middle), which the other chips' tables lack:
# who reads the columns by their places reads the wrong ones there.
#
# Why it matters: whoever sizes a product by this table takes 3.89 TOPS for what is sold as 6, and cannot tell from it
# which of the two is true; and a reader of these logs breaks on one chip of five.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder" # the compiler leaves files in the current folder
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps rknn-toolkit2==2.5.0
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 onnx==1.16.1 onnxruntime==1.18.1 \
    protobuf==4.25.4 "setuptools<80" torch==2.13.0 psutil ruamel.yaml scipy tqdm opencv-python-headless fast-histogram
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(rknn-toolkit2|onnx|numpy|torch) "
cat > "$folder/build.py" <<'PY'
"""Compile three convolutions in int8 for one chip; the compiler's table goes to stdout."""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from rknn.api import RKNN

random = np.random.default_rng(0)
for inner, outer, kernel in ((64, 64, 3), (3, 64, 3), (64, 64, 1)):
    pad = kernel // 2
    weight = random.standard_normal((outer, inner, kernel, kernel)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], "layer", pads=[pad] * 4, kernel_shape=[kernel] * 2)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inner, 16, 16])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outer, 16, 16])
    graph = helper.make_graph([node], "layer", [given], [made], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, "layer.onnx")
    np.save("x.npy", random.standard_normal((1, inner, 16, 16)).astype(np.float32))
    with open("data.txt", "w") as file:
        file.write("x.npy\n")
    tool = RKNN(verbose=True)
    tool.config(target_platform=sys.argv[1], mean_values=[[0] * inner], std_values=[[1] * inner])
    tool.load_onnx("layer.onnx")
    tool.build(do_quantization=True, dataset="data.txt")
PY
for chip in rk3588 rk3576; do
    "$folder/venv/bin/python" "$folder/build.py" "$chip" > "$folder/$chip.txt" 2>&1
done
cat > "$folder/seen.py" <<'PY'
import re
import sys


def table(chip: str) -> tuple[list[str], bool]:
    """Cycles (DDR/NPU/Total) of the convolutions, and whether a column says how sparse they are."""
    with open(f"{chip}.txt", errors="replace") as file:
        log = file.read()
    rows = re.findall(r"Conv\w* .* NPU .* (\d+/\d+/\d+) ", log)
    return rows, "SparseRatio" in log


(older, plain), (newer, sparse) = table("rk3588"), table("rk3576")
print("rk3588, cycles of DDR/NPU/Total:", *older, "- a column SparseRatio:", plain)
print("rk3576, cycles of DDR/NPU/Total:", *newer, "- a column SparseRatio:", sparse)
npu = [[row.split("/")[1] for row in rows] for rows in (older, newer)]
sys.exit(not (npu[0] == npu[1] == ["9216", "4608", "2048"] and sparse and not plain))
PY
"$folder/venv/bin/python" "$folder/seen.py"
