"""ONNX Runtime, opened on one file with one execution provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from onnxlens.errors import GraphError, ToolError

PROVIDERS: Mapping[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

ERRORS_ONLY = 3
"""ONNX Runtime's log severity from which its own lines reach stderr."""


def open_session(path: Path, provider: str = "cpu", *, optimised: bool = True) -> ort.InferenceSession:
    """A session that really runs on ``provider``.

    Args:
        path: of the ``.onnx`` file.
        provider: one of ``PROVIDERS``.
        optimised: False turns every graph optimisation off.

    Raises:
        ToolError: the provider is unknown or not to be had on this machine.
        GraphError: ONNX Runtime refuses the file.
    """
    if provider not in PROVIDERS:
        raise ToolError(f"provider {provider!r} is none of {', '.join(PROVIDERS)}")
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise ToolError(f"provider {provider!r}: this onnxruntime has no {wanted}; install onnxruntime-gpu")
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(str(path), options, providers=[wanted])
    except (
        Exception
    ) as error:  # onnxruntime raises a class of its own per fault, without a common base but this
        raise GraphError(f"{path}: ONNX Runtime refuses it: {str(error).strip().splitlines()[0]}") from error
    if wanted not in session.get_providers():
        raise ToolError(
            f"provider {provider!r} fell back to {session.get_providers()[0]}; is there such a device here?"
        )
    return session


def run(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Every output of one run, by name."""
    names = [output.name for output in session.get_outputs()]
    accepted = {value.name for value in session.get_inputs()}
    fed = {name: value for name, value in inputs.items() if name in accepted}
    return dict(zip(names, session.run(names, fed), strict=True))
