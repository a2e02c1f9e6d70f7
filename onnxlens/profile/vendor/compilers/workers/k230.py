"""Compiles a model with nncase for the K230, calibrated, and runs its simulator: a script, see ``start.py``.

nncase ends the process at what it does not take, with the reason on standard error. What it compiled is
written before the simulation, which may take hours; the outputs are written if that comes to its end.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Any

SITE = Path(sysconfig.get_paths()["purelib"])
RUNTIME = SITE / "dnv" / "net" / "runtime" / ".net"


def _find_runtime() -> None:
    """Have nncase find .NET and its simulator: before it is imported."""
    if RUNTIME.is_dir():
        os.environ["DOTNET_ROOT"] = str(RUNTIME)
    os.environ.setdefault("DOTNET_ROLL_FORWARD", "Major")
    os.environ.setdefault("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
    os.environ["PATH"] = f"{SITE}{os.pathsep}{os.environ.get('PATH', '')}"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Compile the model, and run it where that is asked for."""
    _find_runtime()
    import nncase
    import numpy as np

    options = nncase.CompileOptions()
    options.target = "k230"
    options.dump_ir, options.dump_asm, options.dump_dir = request["dump"], False, "dump"
    compiler = nncase.Compiler(options)
    print("stage: import", file=sys.stderr, flush=True)
    compiler.import_onnx(Path(request["model"]).read_bytes(), nncase.ImportOptions())
    with np.load("inputs.npz") as held:
        inputs = [held[str(index)] for index in range(len(request["inputs"]))]
    ptq = nncase.PTQTensorOptions()
    ptq.quant_type, ptq.w_quant_type = "uint8", "uint8"
    ptq.calibrate_method, ptq.samples_count = "NoClip", 1
    ptq.dump_quant_error = request["dump"]
    ptq.set_tensor_data([[each] for each in inputs])
    compiler.use_ptq(ptq)
    print("stage: compile", file=sys.stderr, flush=True)
    compiler.compile()
    code = compiler.gencode_tobytes()
    result = {"version": version("nncase"), "notes": [f"its program takes {len(code):,} bytes"]}
    Path("result.json").write_text(json.dumps(result), encoding="utf-8")
    if request["simulate"]:
        print("stage: simulate", file=sys.stderr, flush=True)
        simulator = nncase.Simulator()
        simulator.load_model(code)
        for index, array in enumerate(inputs):
            simulator.set_input_tensor(index, nncase.RuntimeTensor.from_numpy(array))
        simulator.run()
        outputs = [simulator.get_output_tensor(index).to_numpy() for index in range(simulator.outputs_size)]
        np.savez("simulated.npz", **{str(index): array for index, array in enumerate(outputs)})
        os.replace("simulated.npz", "outputs.npz")
    return result
