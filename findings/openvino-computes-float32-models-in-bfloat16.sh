#!/usr/bin/env bash
# openvino 2026.4.1 on a processor with avx512_bf16 (or AMX); without one there is nothing to see.
#
# One would guess: a model whose weights, inputs and outputs are float32 is computed in float32, as ONNX Runtime does on the
# same processor.
#
# What happens: the CPU plugin's INFERENCE_PRECISION_HINT is bfloat16 by default where the processor has instructions for
# it. One convolution of random values has a relative L2 error of 2e-3 to 4e-3, with no word of it. Set to f32 it is 1e-7.
#
# Why it matters: OpenVINO is compared with ONNX Runtime, in time and in numbers, on whatever machine is there. On this
# one it computes something else, at another peak; the same script on an older processor compares like with like.
set -euo pipefail
if ! grep -qE "avx512_bf16|amx_bf16" /proc/cpuinfo; then
    echo "this processor has no instructions for bfloat16"
    exit 1
fi
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(openvino|onnx) "
cat > "$folder/seen.py" <<'PY'
import sys

import numpy as np
import openvino as ov
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
weight, x = (rng.normal(size=size).astype(np.float32) for size in ((16, 16, 3, 3), (1, 16, 16, 16)))
ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", x.shape), ("y", (1, 16, 14, 14)))]
node = helper.make_node("Conv", ["x", "w"], ["y"], "conv")
graph = helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
core, windows = ov.Core(), np.lib.stride_tricks.sliding_window_view(x[0].astype(np.float64), (3, 3), (1, 2))
exact = np.einsum("chwij,ocij->ohw", windows, weight.astype(np.float64))[None]
errors = {}
for name, settings in (("by default", {}), ("with f32", {"INFERENCE_PRECISION_HINT": "f32"})):
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)
    errors[name] = float(np.linalg.norm(compiled([x])[0] - exact) / np.linalg.norm(exact))
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    print(f"{name}: precision {precision}, relative L2 error {errors[name]:.1e}")
sys.exit(not (errors["by default"] > 1e-3 and errors["with f32"] < 1e-6))
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
