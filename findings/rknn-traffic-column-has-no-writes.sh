#!/usr/bin/env bash
# rknn-toolkit2 2.5.0 (librknnc 2.5.0), target rk3588, float16; no board needed.
#
# One would guess: the column `RW(KB)` of the "Network Layer Information Table", which a build with verbose=True prints,
# is what a layer reads and writes.
#
# What happens: it is the inputs and weights alone. A 3x3 Conv of 1,64,64,64 to 128 channels has 656, which is 512 of input
# and 144 of weights, and none of the 1,024 that it writes; to 512 channels it has 1,088, and writes 4,096. The cycles of
# DDR in the same row do have the output: both rows move 23.65 bytes of inputs, weights and outputs per cycle.
#
# Why it matters: the traffic of a network is too small by what every layer writes: hed at 128 x 128 has 47.6 MiB in that
# column, of which 28.1 are weights. A bandwidth that is worked out from RW and DDR cycles comes out far below what the
# estimate assumes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 onnx==1.16.1 onnxruntime==1.18.1 \
    torch==2.13.0 scipy==1.17.1 protobuf==4.25.4 psutil==7.2.2 tqdm==4.70.1 fast-histogram==0.14 ruamel.yaml==0.19.1 \
    opencv-python-headless==4.11.0.86 setuptools==79.0.1
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps rknn-toolkit2==2.5.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(rknn-toolkit2|onnx|numpy) "
cd "$folder"
cat > build.py <<'PY'
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from rknn.api import RKNN

channels = int(sys.argv[1])
weight = numpy_helper.from_array(np.random.default_rng(0).random((channels, 64, 3, 3), np.float32), "w")
node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1])
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64, 64, 64])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, 64, 64])
graph = helper.make_graph([node], "g", [x], [y], [weight])
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "conv.onnx")
rknn = RKNN(verbose=True)
rknn.config(target_platform="rk3588")
assert rknn.load_onnx("conv.onnx") == 0
assert rknn.build(do_quantization=False) == 0
PY
for channels in 128 512; do
    venv/bin/python build.py "$channels" > "log-$channels.txt" 2>&1
    grep "Conv:conv" "log-$channels.txt"
done
venv/bin/python - <<'PY'
import re

for channels in (128, 512):
    row = re.search(r"(\d+)/\d+/\d+ +(\d+) +Conv:conv", open(f"log-{channels}.txt").read())
    cycles, column = map(int, row.groups())
    inputs, weights, outputs = (2 * size // 1024 for size in (64 * 64 * 64, channels * 64 * 9, channels * 64 * 64))
    print(f"{channels} channels: RW {column} KB; inputs {inputs} + weights {weights} KB, outputs {outputs} KB; "
          f"{(inputs + weights + outputs) * 1024 / cycles:.2f} bytes per DDR cycle with the outputs")
    assert column == inputs + weights, "RW(KB) is not inputs and weights alone any more"
PY
