"""ONNX Runtime, opened on one file with one execution provider."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from onnxlens.errors import GraphError, ToolError
from onnxlens.specs.tensor import dtype_name

PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

SOURCE_PLACE = re.compile(r"\S*onnxruntime\S*\.(cc|h):\d+ .*?\) ")
"""A file, line and function of ONNX Runtime's own, which its messages begin with."""

NO_KERNEL = re.compile(
    r"Could not find an implementation for (?P<operator>\S+) node with name '(?P<node>.*)'"
)
"""What it says of a node that it knows, and cannot run in the types that the node is given."""

LEVELS: Mapping[str, ort.GraphOptimizationLevel] = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
"""How far ONNX Runtime rewrites a graph, least first."""

WEIGHTS_APART = "session.optimized_model_external_initializers_file_name"
"""Where a saved graph's weights go: it is itself a protobuf, which ends at 2 GB."""

ERRORS_ONLY = 3
"""ONNX Runtime's log severity from which its own lines reach stderr."""

WARNINGS_TOO, FATAL_ONLY = 2, 4
"""Its own default, and what keeps its lines on libraries back that are not there."""

WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
"""Where external weights of a model that comes from memory lie."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """How a session is opened.

    Attributes:
        level: one of ``LEVELS``.
        profile_prefix: where to write the profile that ``end_profiling`` closes; a time and .json follow it.
        optimised_path: where to save the graph that is really run; its weights lie beside it (``.data``).
        threads: that one operator may use; None is ONNX Runtime's own choice.
        model: what to open in the file's stead, serialised: something made of it, with its external weights.
    """

    level: str = "all"
    profile_prefix: Path | None = None
    optimised_path: Path | None = None
    threads: int | None = None
    model: bytes | None = None


PLAIN = SessionRequest()
"""As ONNX Runtime does it unasked."""

UNOPTIMISED = SessionRequest("disabled")
"""With every graph optimisation off."""


def open_session(path: Path, provider: str = "cpu", request: SessionRequest = PLAIN) -> ort.InferenceSession:
    """A session on the ``.onnx`` file that really runs on ``provider``, one of ``PROVIDERS``.

    Raises:
        ToolError: the provider or level is unknown, or the provider is not to be had on this machine.
        GraphError: ONNX Runtime refuses the file.
    """
    if provider not in PROVIDERS:
        raise ToolError(f"provider {provider!r} is none of {', '.join(PROVIDERS)}")
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise ToolError(f"provider {provider!r}: this onnxruntime has no {wanted}; install onnxruntime-gpu")
    options = _options(path, request)
    try:
        with _libraries() if wanted != PROVIDERS["cpu"] else nullcontext():
            held = str(path) if request.model is None else request.model
            session = ort.InferenceSession(held, options, providers=[wanted], enable_fallback=0)
    except Exception as error:  # onnxruntime raises a class of its own per fault, with no other common base
        if "RegisterTensorRTPlugins" in str(error):
            raise _unavailable(provider, reason(error).rstrip(".")) from error
        if lacking := NO_KERNEL.search(str(error)):
            raise GraphError(_without_kernel(path, provider, lacking)) from error
        raise GraphError(f"{path}: ONNX Runtime refuses it: {reason(error)}") from error
    if wanted not in session.get_providers():
        raise _unavailable(provider, f"it fell back to {session.get_providers()[0]}")
    return session


@contextmanager
def _libraries() -> Iterator[None]:
    """A device's libraries, loaded from where pip puts them; what is missing shows when the session opens.

    Both ONNX Runtime's own log and its Python code would print pages of what they did not find.
    """
    ort.set_default_logger_severity(FATAL_ONLY)
    try:
        with redirect_stdout(StringIO()):
            ort.preload_dlls()
        yield
    finally:
        ort.set_default_logger_severity(WARNINGS_TOO)


def _unavailable(provider: str, why: str) -> ToolError:
    return ToolError(
        f"provider {provider!r} is not to be had: {why}; it needs its device, driver and libraries"
    )


def _without_kernel(path: Path, provider: str, lacking: re.Match[str]) -> str:
    kinds = _input_types(path, lacking["node"])
    return (
        f"{path}: ONNX Runtime's provider {provider!r} has no kernel for {lacking['operator']} "
        f"in {', '.join(kinds) or 'its types'} (node {lacking['node']!r}); "
        "export with another --dtype, or take another --provider"
    )


def _input_types(path: Path, name: str) -> list[str]:
    """The element types of what a node reads, each once; none where the file does not say."""
    graph = onnx.load(path, load_external_data=False).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    known = {value.name: value.type.tensor_type.elem_type for value in values}
    known |= {weight.name: weight.data_type for weight in graph.initializer}
    read = {known.get(value, 0): None for node in graph.node if node.name == name for value in node.input}
    return [dtype_name(onnx.TensorProto.DataType.Name(kind)) for kind in read if kind]


def _options(path: Path, request: SessionRequest) -> ort.SessionOptions:
    if request.level not in LEVELS:
        raise ToolError(f"level {request.level!r} is none of {', '.join(LEVELS)}")
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.graph_optimization_level = LEVELS[request.level]
    options.intra_op_num_threads = request.threads or 0
    if request.profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(request.profile_prefix)
    if request.optimised_path is not None:
        options.optimized_model_filepath = str(request.optimised_path)
        options.add_session_config_entry(WEIGHTS_APART, f"{request.optimised_path.name}.data")
    if request.model is not None:
        options.add_session_config_entry(WEIGHTS_FOLDER, str(path.parent))
    return options


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
        raise GraphError(f"ONNX Runtime could not run the graph: {reason(error)}") from error
    return dict(zip(names, values, strict=True))


def reason(error: Exception) -> str:
    """What ONNX Runtime says, without its codes and the places in its own source."""
    line = str(error).strip().splitlines()[0]
    told = line.rpartition(" failed:")[2] or line
    return SOURCE_PLACE.sub("", told).removeprefix("[ONNXRuntimeError] : ").strip()
