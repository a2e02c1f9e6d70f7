"""Has rknn-toolkit2 compile an ONNX file and print its table of layers: a script, see ``start.py``.

What it prints is its report, which so is the worker's log.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from onnx import numpy_helper


def _dataset() -> list[str]:
    """The sample, as a file of each input; the list of them is ``dataset.txt``."""
    names = []
    with np.load("inputs.npz") as arrays:
        for name in arrays.files:
            names.append(f"input{name}.npy")
            np.save(names[-1], arrays[name])
    Path("dataset.txt").write_text(" ".join(names) + "\n", encoding="utf-8")
    return names


def _done(code: int, step: str) -> None:
    if code:
        sys.exit(f"rknn-toolkit2's {step} returned {code}")


def _read_copies() -> None:
    """Have arrays of the file be copies: it writes into them, and ends where a Pad is before a Conv."""
    read = numpy_helper.to_array
    setattr(numpy_helper, "to_array", lambda *given, **named: np.array(read(*given, **named)))  # noqa: B010


def _compile(tool: Any, request: dict[str, Any]) -> None:
    """Have the table printed; in int8 the error at each tensor too."""
    tool.config(target_platform=request["chip"])
    _done(tool.load_onnx(model=request["model"]), "load_onnx")
    if request["dtype"] == "int8":
        names = _dataset()
        _done(tool.build(do_quantization=True, dataset="dataset.txt"), "build")
        _done(tool.accuracy_analysis(inputs=names, output_dir="errors"), "accuracy_analysis")
    else:
        _done(tool.build(do_quantization=False), "build")


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Compile the model."""
    _read_copies()
    from rknn.api import RKNN

    _compile(RKNN(verbose=True), request)
    return {"version": version("rknn-toolkit2"), "report": "log.txt"}
