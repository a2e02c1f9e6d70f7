#!/usr/bin/env bash
# ONNX Runtime 1.31.1 (onnxruntime-gpu's, on the CPU), onnx 1.23.2, numpy 2.4.
#
# One would guess: reusing the memory of tensors that are needed no more (enable_mem_reuse, on by default) lowers the
# peak of a run.
#
# What happens: it can double it. A buffer that is to be reused by a later tensor of the same size is not given back
# in between, however long that takes: what is large meanwhile, and of another size, comes on top. With
# enable_mem_reuse = False buffers go back to the arena, which gives them to whoever comes next.
#
# Why it matters: an unoptimized UNet of Stable Diffusion 1.5 (512 x 512, batch 2) has 2,471 MiB of activations in use
# at its peak, and 1,119 MiB without reuse: the 1 GiB of the first attention's scores waits for the last attention.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime-gpu==1.31.1 onnx==1.23.2 "numpy>=2,<3"
cat > "$folder/measure.py" <<'PY'
import json
import sys

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper


def integers(name: str, values: list[int]):
    return numpy_helper.from_array(np.array(values, np.int64), name)


nodes, last = [], "x"
for index, repeats in enumerate(("many", "fewer", "many")):  # 64, 62.5 and 64 MiB, never two of them at once
    nodes.append(helper.make_node("Tile", [last, repeats], [f"t{index}"]))
    nodes.append(helper.make_node("ReduceMax", [f"t{index}", "axes"], [f"m{index}"], keepdims=1))
    last = f"m{index}"
graph = helper.make_graph(
    nodes, "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1024])],
    [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 1024])],
    [integers("many", [16384, 1]), integers("fewer", [16000, 1]), integers("axes", [0])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
options = ort.SessionOptions()
options.enable_mem_reuse = sys.argv[1] == "reuse"
options.enable_mem_pattern = False
options.enable_profiling = True
options.profile_file_prefix = sys.argv[2]
session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
session.run(None, {"x": np.zeros((1, 1024), np.float32)})
with open(session.end_profiling(), encoding="utf-8") as file:
    arguments = [event.get("args", {}) for event in json.load(file)]
field = "mem_bytes_requested_in_use"
print(max(int(each[field]) for each in arguments if field in each) >> 20)
PY
with="$("$folder/venv/bin/python" "$folder/measure.py" reuse "$folder/with")"
without="$("$folder/venv/bin/python" "$folder/measure.py" no "$folder/without")"
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnxruntime-gpu|onnx|numpy) "
echo "MiB in use at the peak, with enable_mem_reuse (the default): $with; without: $without"
if (( with < without + 32 )); then
    echo "this has changed"
    exit 1
fi
