"""Tries cases with nncase for the K230 and its simulator: run by ``generate.py`` in nncase's own Python.

nncase ends the process at most of what it does not take, which so is ``crashed``.
"""

import os
import sysconfig
from importlib.metadata import version
from pathlib import Path

SITE = Path(sysconfig.get_paths()["purelib"])
os.environ["DOTNET_ROOT"] = str(SITE / "dnv" / "net" / "runtime" / ".net")
os.environ["DOTNET_ROLL_FORWARD"] = "Major"
os.environ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1"
os.environ["PATH"] = f"{SITE}{os.pathsep}{os.environ['PATH']}"

import nncase  # noqa: E402 - it reads the variables
from trying import Refused, try_all  # noqa: E402


def outputs_of(folder, case, inputs):
    """The outputs by name."""
    try:
        options = nncase.CompileOptions()
        options.target = "k230"
        options.dump_dir = "/tmp/vendor_support_k230"
        compiler = nncase.Compiler(options)
        compiler.import_onnx((folder / "model.onnx").read_bytes(), nncase.ImportOptions())
        compiler.compile()
        code = compiler.gencode_tobytes()
    except Exception as error:
        raise Refused(error) from error
    simulator = nncase.Simulator()
    simulator.load_model(code)
    for index, array in enumerate(inputs.values()):
        simulator.set_input_tensor(index, nncase.RuntimeTensor.from_numpy(array))
    simulator.run()
    return {name: simulator.get_output_tensor(index).to_numpy() for index, name in enumerate(case["outputs"])}


if __name__ == "__main__":
    try_all(outputs_of, version("nncase"))
    os._exit(0)  # its runtime may abort while it is torn down
