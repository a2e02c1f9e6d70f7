"""Tries cases with tpu-mlir for the BM1684X and its simulator: run by ``generate.py`` in its Python."""

import os
import re
import sys
import tempfile
import traceback
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from trying import Crashed, Refused, apart, printed, try_all, worker

CHIP, KIND = "bm1684x", "F16"

DIED = re.compile(r"Stack dump|LLVM ERROR|Assertion|core dumped|Segmentation|Aborted|terminate called")
TELLING = re.compile(r"error|ASSERT INFO|Assertion|not support|NotImpl|what\(\)|LLVM ERROR", re.I)

if "TPUC_ROOT" not in os.environ:  # its libraries are found by variables that must be there at the start
    arguments = [str(Path(each).absolute()) for each in sys.argv[:3]]
    os.chdir(tempfile.mkdtemp())
    environment = worker("tpu_mlir")._environment(Path(find_spec("tpu_mlir").origin).parent)
    os.execve(sys.executable, [sys.executable, *arguments, *sys.argv[3:]], dict(environment))

from tpu_mlir.python.tools import model_runner  # noqa: E402 - it reads the variables
from tpu_mlir.python.tools.model_transform import OnnxTransformer  # noqa: E402
from tpu_mlir.python.utils.mlir_shell import mlir_lowering, mlir_to_model  # noqa: E402

for name in ("link_cmodel_so", "link_custom_so", "link_bmlib_so"):  # they change the installation: this
    setattr(model_runner, name, lambda *given: None)  # chip's libraries are those that it comes with


@apart
def outputs_of(folder, case, inputs):
    """The outputs by name."""
    try:
        OnnxTransformer("model", str(folder / "model.onnx"), dump_final_opt=False).model_transform(
            "model.mlir"
        )
        mlir_lowering("model.mlir", "tpu.mlir", mode=KIND, chip=CHIP)
        mlir_to_model(tpu_mlir="tpu.mlir", bmodel_path="model.bmodel", final_mlir="final.mlir")
    except BaseException as error:
        said = printed().splitlines()
        told = next((line.strip() for line in reversed(said) if TELLING.search(line)), "")
        if str(error).startswith("[!Error]: tpuc-opt"):
            died = any(map(DIED.search, said))
            first = next((line for line in said if TELLING.search(line)), said[-1] if said else "")
            raise (Crashed if died else Refused)(first.strip()) from error
        at = traceback.extract_tb(error.__traceback__)[-1].line
        raise Refused(f"{type(error).__name__}: {str(error) or told or at}") from error
    found = list(model_runner._model_inference(inputs, "model.bmodel", dump_all=False).values())
    if len(found) != len(case["outputs"]):
        raise Refused(f"its model has {len(found)} outputs instead of {len(case['outputs'])}")
    return dict(zip(case["outputs"], found, strict=True))


if __name__ == "__main__":
    try_all(outputs_of, version("tpu-mlir"))
    os._exit(0)
