"""Tries cases with rknn-toolkit2 for the RK3588 and its simulator: run by ``generate.py`` in its Python."""

from importlib.metadata import version

import numpy as np
from onnx import numpy_helper
from trying import Refused, try_all

READ = numpy_helper.to_array
numpy_helper.to_array = lambda *given, **named: np.array(
    READ(*given, **named)
)  # it writes into arrays of files

from rknn.api import RKNN  # noqa: E402


def outputs_of(folder, case, inputs):
    """The outputs by name."""
    tool = RKNN(verbose=False)
    try:
        tool.config(target_platform="rk3588")
        for step, code in (
            ("load_onnx", lambda: tool.load_onnx(model=str(folder / "model.onnx"))),
            ("build", lambda: tool.build(do_quantization=False)),
            ("init_runtime", lambda: tool.init_runtime()),
        ):
            if code():
                raise Refused(f"{step} fails")
        formats = ["nchw" if array.ndim == 4 else "undefined" for array in inputs.values()]
        found = tool.inference(inputs=list(inputs.values()), data_format=formats)
        if found is None:
            raise Refused("inference returns nothing")
    except Refused:
        raise
    except Exception as error:
        raise Refused(error) from error
    finally:
        tool.release()
    return dict(zip(case["outputs"], found, strict=True))


if __name__ == "__main__":
    try_all(outputs_of, version("rknn-toolkit2"))
