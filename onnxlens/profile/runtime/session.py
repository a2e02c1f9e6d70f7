"""ONNX Runtime sessions: one file, one execution provider; and how to run them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from onnxlens.errors import GraphError, ToolError
from onnxlens.profile.runtime.values import Value, from_runtime, is_foreign, is_foreign_type, to_runtime
from onnxlens.specs.tensor import dtype_name

PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

DEVICES: Mapping[str, str] = {"cuda": "cuda", "tensorrt": "cuda"}
"""The device that holds a provider's tensors, by ONNX Runtime's name; other providers use host memory."""

SOURCE_LOCATION = re.compile(r"\S*onnxruntime\S*\.(cc|h):\d+ .*?\) ")
"""The file, line and function in ONNX Runtime's source with which its messages begin."""

NO_KERNEL = re.compile(
    r"Could not find an implementation for (?P<operator>\S+) node with name '(?P<node>.*)'"
)
"""Its message for an operator that it knows but has no kernel for in the node's types."""

MISSING_WEIGHTS = re.compile(r'External data path does not exist: "(?P<file>[^"]+)"')
"""Its message for a file of weights that is not there."""

NOT_REGISTERED = re.compile(r"Fatal error: (?P<operator>\S+?)\(-?\d+\) is not a registered function/op")
"""Its message for an operator that it does not know."""

LEVELS: Mapping[str, ort.GraphOptimizationLevel] = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
"""ONNX Runtime's graph optimization levels, lowest first."""

WEIGHTS_FILE = "session.optimized_model_external_initializers_file_name"
"""The option that saves an optimized graph's weights in a file of their own: a protobuf ends at 2 GB."""

FATAL_ONLY = 4
"""The log severity from which ONNX Runtime's own lines reach stderr: an error is told by its exception."""

WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
"""The option that names the folder of the external weights of a model opened from memory."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """How a session is opened.

    Attributes:
        level: one of ``LEVELS``.
        profile_prefix: path of the profile that ``end_profiling`` closes; a timestamp and .json are appended.
        optimized_path: where to save the optimized graph; its weights are saved next to it (``.data``).
        threads: per operator; None is ONNX Runtime's default.
        streams: how many operators run at a time, each with so many threads.
        model: a serialized model to open instead of the file; its external weights are in the file's folder.
        memory_pattern: whether a second run plans one block for all activations, on top of what the first
            run's arena holds: 1.5 GiB more for the full-size UNet, in the same time.
    """

    level: str = "all"
    profile_prefix: Path | None = None
    optimized_path: Path | None = None
    threads: int | None = None
    model: bytes | None = None
    memory_pattern: bool = True
    streams: int = 1


PLAIN = SessionRequest()
"""ONNX Runtime's defaults."""

UNOPTIMIZED = SessionRequest("disabled")
"""All graph optimizations off."""


def open_session(path: Path, provider: str = "cpu", request: SessionRequest = PLAIN) -> ort.InferenceSession:
    """Open a session on the ``.onnx`` file that really runs on ``provider``, one of ``PROVIDERS``.

    Raises:
        ToolError: the provider or level is unknown, or the provider is not available on this machine.
        GraphError: ONNX Runtime refuses the file.
    """
    if provider not in PROVIDERS:
        raise ToolError(f"provider {provider!r} is not one of {', '.join(PROVIDERS)}")
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise ToolError(f"provider {provider!r}: this onnxruntime has no {wanted}; install onnxruntime-gpu")
    options = _options(path, request)
    ort.set_default_logger_severity(FATAL_ONLY)
    try:
        if wanted != PROVIDERS["cpu"]:
            _load_libraries()
        source = str(path) if request.model is None else request.model
        session = ort.InferenceSession(source, options, providers=[wanted], enable_fallback=0)
    except Exception as error:  # each onnxruntime error class derives from Exception directly
        if "RegisterTensorRTPlugins" in str(error):
            raise _unavailable(provider, reason(error).rstrip(".")) from error
        if missing := MISSING_WEIGHTS.search(str(error)):
            raise GraphError(
                f"{path}: ONNX Runtime refuses it: its weights are in {Path(missing['file']).name}, "
                "which is not beside it; download or copy that file, too"
            ) from error
        if unregistered := NOT_REGISTERED.search(str(error)):
            raise GraphError(
                f"{path}: ONNX Runtime does not know the operator {unregistered['operator']} and cannot run "
                "the file; 'onnxlens profile' counts it, by a rule of yours (onnxlens.rules.register)"
            ) from error
        if lacking := NO_KERNEL.search(str(error)):
            raise GraphError(_without_kernel(path, provider, lacking)) from error
        raise GraphError(f"{path}: ONNX Runtime refuses it: {reason(error)}") from error
    if wanted not in session.get_providers():
        raise _unavailable(provider, f"it fell back to {session.get_providers()[0]}")
    return session


def _load_libraries() -> None:
    """Load a device's libraries from pip's packages; one that is missing shows when the session opens.

    Silences Python code, which would print pages about missing libraries.
    """
    with redirect_stdout(StringIO()):
        ort.preload_dlls()


def _unavailable(provider: str, why: str) -> ToolError:
    return ToolError(
        f"provider {provider!r} is not available: {why}; it needs its device, driver and libraries"
    )


def _without_kernel(path: Path, provider: str, lacking: re.Match[str]) -> str:
    kinds = _input_types(path, lacking["node"])
    return (
        f"{path}: ONNX Runtime's provider {provider!r} has no kernel for {lacking['operator']} "
        f"in {', '.join(kinds) or 'its types'} (node {lacking['node']!r}); "
        "export with another --dtype, or take another --provider"
    )


def _input_types(path: Path, name: str) -> list[str]:
    """The element types of a node's inputs, each once; empty if the file does not declare them."""
    graph = onnx.load(path, load_external_data=False).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    known = {value.name: value.type.tensor_type.elem_type for value in values}
    known |= {weight.name: weight.data_type for weight in graph.initializer}
    read = {known.get(value, 0): None for node in graph.node if node.name == name for value in node.input}
    return [dtype_name(onnx.TensorProto.DataType.Name(kind)) for kind in read if kind]


def _options(path: Path, request: SessionRequest) -> ort.SessionOptions:
    if request.level not in LEVELS:
        raise ToolError(f"level {request.level!r} is not one of {', '.join(LEVELS)}")
    options = ort.SessionOptions()
    options.enable_mem_pattern = request.memory_pattern
    options.log_severity_level = FATAL_ONLY
    options.graph_optimization_level = LEVELS[request.level]
    options.intra_op_num_threads = request.threads or 0
    if request.streams > 1:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = request.streams
    if request.profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(request.profile_prefix)
    if request.optimized_path is not None:
        options.optimized_model_filepath = str(request.optimized_path)
        options.add_session_config_entry(WEIGHTS_FILE, f"{request.optimized_path.name}.data")
    if request.model is not None:
        options.add_session_config_entry(WEIGHTS_FOLDER, str(path.parent))
    return options


def run(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> Mapping[str, Value]:
    """Every output of one run, by name; values for what the session does not take are left out.

    Raises:
        GraphError: ONNX Runtime stops with an error.
    """
    names = [output.name for output in session.get_outputs()]
    fed = _fed(session, inputs)
    if _is_foreign(session, fed):
        call, binding = _bound(session, fed, "cpu")
        call()
        return dict(zip(names, map(from_runtime, names, binding.get_outputs()), strict=True))
    return dict(zip(names, _outputs(session, names, fed), strict=True))


def _outputs(
    session: ort.InferenceSession, names: Sequence[str], fed: Mapping[str, Value]
) -> Sequence[Value]:
    try:
        values: Sequence[Value] = session.run(names, fed)
        return values
    except Exception as error:  # as in open_session
        raise GraphError(f"ONNX Runtime could not run the graph: {reason(error)}") from error


def _fed(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> Mapping[str, Value]:
    """What the session takes of the inputs; an array for a sequence is the only one in it."""
    kinds = {value.name: value.type for value in session.get_inputs()}
    fed = ((name, value) for name, value in inputs.items() if name in kinds)
    return {name: [value] if kinds[name].startswith("seq(") else value for name, value in fed}


def _is_foreign(session: ort.InferenceSession, fed: Mapping[str, Value]) -> bool:
    """Whether a type that numpy lacks goes in or comes out."""
    kinds = (output.type for output in session.get_outputs())
    return any(map(is_foreign, fed.values())) or any(map(is_foreign_type, kinds))


def bound(
    session: ort.InferenceSession, inputs: Mapping[str, np.ndarray], provider: str
) -> Callable[[], object]:
    """A callable that runs the session once and returns when the run is done.

    For a device, inputs are copied there once, here, and outputs stay there: no run includes a copy, but for
    inputs of a type that numpy lacks.

    Raises:
        GraphError: an input cannot be bound; the callable raises it if ONNX Runtime stops with an error.
    """
    fed, device = _fed(session, inputs), DEVICES.get(provider)
    if device is None and not _is_foreign(session, fed):
        names = [output.name for output in session.get_outputs()]
        return lambda: _outputs(session, names, fed)
    return _bound(session, fed, device or "cpu")[0]


def _bound(
    session: ort.InferenceSession, fed: Mapping[str, Value], device: str
) -> tuple[Callable[[], None], ort.IOBinding]:
    """A callable that runs the session on inputs and outputs on a device, and where these are bound."""
    binding = session.io_binding()
    try:
        for name, value in fed.items():
            on_device = device != "cpu" and not is_foreign(value)
            held = ort.OrtValue.ortvalue_from_numpy(value, device, 0) if on_device else to_runtime(value)
            binding.bind_ortvalue_input(name, held)
        for output in session.get_outputs():
            binding.bind_output(output.name, device, 0)
        binding.synchronize_inputs()
    except Exception as error:  # as in open_session
        raise GraphError(f"inputs cannot be bound to {device}: {reason(error)}") from error

    def call() -> None:
        try:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        except Exception as error:  # as above
            raise GraphError(f"ONNX Runtime could not run the graph: {reason(error)}") from error

    return call, binding


def reason(error: Exception) -> str:
    """ONNX Runtime's message, without error codes and source locations."""
    line, *more = str(error).strip().splitlines()
    if line.endswith("following indices"):  # they are in the lines below
        line = f"{line}: {'; '.join(more[:-1])}; give inputs of the file's own sizes"
    message = line.rpartition(" failed:")[2] or line
    return SOURCE_LOCATION.sub("", message).removeprefix("[ONNXRuntimeError] : ").strip()
