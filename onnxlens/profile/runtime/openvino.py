"""OpenVINO on the processor, to be timed beside ONNX Runtime in the same process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from onnxlens.errors import GraphError, ToolError, first_line


def require_openvino() -> None:
    """Refuse before anything is exported an environment without OpenVINO.

    Raises:
        ToolError: it is not installed.
    """
    if find_spec("openvino") is None:
        raise ToolError(
            "provider 'openvino' is not available: this environment has no openvino; "
            "install it (pip install openvino==2026.4.1)"
        )


def openvino_call(
    path: Path, inputs: Mapping[str, np.ndarray], threads: int
) -> tuple[Callable[[], object], str]:
    """A callable that runs the graph once, as ``bound`` gives for ONNX Runtime; and what it is called.

    It computes in float32 as ONNX Runtime does, also where the processor has instructions for less.

    Raises:
        GraphError: OpenVINO refuses the graph; the callable raises it if it stops with an error.
    """
    import openvino as ov

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        core = ov.Core()
        model = core.read_model(path)
        known = {name for port in model.inputs for name in port.get_names()}
        fed = {name: np.ascontiguousarray(array) for name, array in inputs.items() if name in known}
        model.reshape({name: list(array.shape) for name, array in fed.items()})
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        for name, array in fed.items():
            request.set_tensor(name, ov.Tensor(array, shared_memory=True))
    except (RuntimeError, TypeError, ValueError) as error:
        raise GraphError(f"{path}: OpenVINO refuses it: {first_line(error)}") from error

    def call() -> None:
        try:
            request.infer()
        except RuntimeError as error:
            raise GraphError(f"OpenVINO could not run the graph: {first_line(error)}") from error

    return call, f"OpenVINO {ov.__version__.partition('-')[0]}"
