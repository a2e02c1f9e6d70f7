"""ONNX Runtime, opened on one file with one execution provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from onnxlens.errors import GraphError, ToolError

PROVIDERS: Mapping[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

SOURCE_PLACE = re.compile(r"\S*onnxruntime\S*\.(cc|h):\d+ .*?\) ")
"""A file, line and function of ONNX Runtime's own, which its messages begin with."""

ERRORS_ONLY = 3
"""ONNX Runtime's log severity from which its own lines reach stderr."""

WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
"""Where external weights of a model that comes from memory lie."""


def open_session(
    path: Path, provider: str = "cpu", *, optimised: bool = True, model: bytes | None = None
) -> ort.InferenceSession:
    """A session that really runs on ``provider``.

    Args:
        path: of the ``.onnx`` file.
        provider: one of ``PROVIDERS``.
        optimised: False turns every graph optimisation off.
        model: what to open in the file's stead, serialised: something made of it, with its external weights.

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
    if model is not None:
        options.add_session_config_entry(WEIGHTS_FOLDER, str(path.parent))
    try:
        session = ort.InferenceSession(str(path) if model is None else model, options, providers=[wanted])
    except (
        Exception
    ) as error:  # onnxruntime raises a class of its own per fault, without a common base but this
        raise GraphError(f"{path}: ONNX Runtime refuses it: {_reason(error)}") from error
    if wanted not in session.get_providers():
        raise ToolError(
            f"provider {provider!r} fell back to {session.get_providers()[0]}; is there such a device here?"
        )
    return session


def run(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Every output of one run, by name.

    Raises:
        GraphError: ONNX Runtime stops with an error.
    """
    names = [output.name for output in session.get_outputs()]
    accepted = {value.name for value in session.get_inputs()}
    fed = {name: value for name, value in inputs.items() if name in accepted}
    try:
        values = session.run(names, fed)
    except Exception as error:  # as in open_session
        raise GraphError(f"ONNX Runtime could not run the graph: {_reason(error)}") from error
    return dict(zip(names, values, strict=True))


def _reason(error: Exception) -> str:
    """What ONNX Runtime says, without its codes and the places in its own source."""
    line = str(error).strip().splitlines()[0]
    told = line.rpartition(" failed:")[2] or line
    return SOURCE_PLACE.sub("", told).removeprefix("[ONNXRuntimeError] : ").strip()
