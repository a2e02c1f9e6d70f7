"""Tracing: a module on fake tensors to an ONNX graph whose weights are names and shapes.

No weight is ever allocated here, so a graph of any size is traced in the same small memory, and the graph
does not depend on where its weights come from.
"""

from __future__ import annotations

import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.errors import ExportError, first_line
from onnxlens.export.lowering import OLDEST_OPSET
from onnxlens.specs.tensor import TensorSpec, dtype_name, torch_type

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from torch.export import ExportedProgram
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    from onnxlens.export.network import Network

TRACED_OPSETS = range(18, 26)
"""The opsets that torch's exporter writes with module metadata: 17 drops it, 26 comes out stamped 18."""

OPSETS = range(OLDEST_OPSET, TRACED_OPSETS.stop)
"""The opsets that can be asked for; those before 18 are made from it."""

DEFAULT_OPSET = 18

_REGISTRIES: dict[int, ONNXRegistry] = {}
"""What torch's exporter translates operators by, for each opset it was asked for in this process."""

FLAT_WEIGHTS = r"The tensor attributes (self\.[\w.]*_flat_weights\[\d+\](, )?)+ were assigned during export"
"""What torch warns of for every recurrent layer of its own, which keeps its parameters in a list as well."""


def require_opset(opset: int) -> None:
    """Refuse an opset before any work is done for it.

    Raises:
        ExportError: the exporter does not write it faithfully.
    """
    if opset not in OPSETS:
        raise ExportError(
            f"opset {opset} is not written faithfully by the exporter; choose {OPSETS[0]} to {OPSETS[-1]}"
        )


def trace(network: Network, opset: int) -> ir.Model:
    """The graph as torch's exporter writes it, unoptimized; weights have a name, dtype and shape.

    Args:
        network: to trace; it is as before when this returns.
        opset: to write in the end; older ones than ``TRACED_OPSETS`` are traced at the first of these.

    Raises:
        ExportError: the module cannot be traced, or the graph is not what was asked for.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    require_opset(opset)
    opset = max(opset, TRACED_OPSETS.start)
    exported = None
    fakes = FakeTensorMode(allow_non_fake_inputs=True)  # the constants that the module keeps are real
    with _quiet(), _operators_read_once(), fakes, network.lent(fake_of), torch.no_grad():
        inputs = tuple(map(fake_input, network.spec.inputs))
        try:
            exported = torch.export.export(network.module, inputs, strict=False)
            program = torch.onnx.export(
                exported,
                dynamo=True,
                optimize=False,
                verbose=False,
                opset_version=opset,
                input_names=[tensor.name for tensor in network.spec.inputs],
                output_names=[tensor.name for tensor in network.spec.outputs],
            )
        except Exception as error:
            _require_call_of_forward(network)
            raise ExportError(f"{network.spec.name}: {why_not(error, exported)}") from error
    spec = network.spec  # with the outputs of the run, if none were declared
    if program is None:
        raise ExportError(f"{spec.name}: torch's exporter returned nothing")
    model = program.model
    _give_back_complex(model, exported.constants)
    _hold_to_request(network, opset, model)
    model.graph.name = spec.name
    return model


def _give_back_complex(model: ir.Model, constants: Mapping[str, Any]) -> None:
    """Give complex constants their values: torch's exporter takes their parts on fakes, which have none."""
    import onnx_ir as ir
    import torch

    for name, value in model.graph.initializers.items():
        held = constants.get(name)
        if isinstance(held, torch.Tensor) and held.is_complex():
            parts = torch.view_as_real(held.detach()).contiguous()
            value.const_value = ir.tensor(parts.numpy(), name=name)


def fake_of(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor like it on the CPU, without memory; called inside a FakeTensorMode."""
    import torch

    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")


def fake_input(tensor: TensorSpec) -> torch.Tensor:
    """An input without memory; called inside a FakeTensorMode."""
    import torch

    return torch.zeros([int(size) for size in tensor.shape], dtype=torch_type(tensor.dtype))


def _require_call_of_forward(network: Network) -> None:
    """Say of a class with a ``__call__`` of its own that this is why it was not exported."""
    kind = type(network.module)
    if not str(kind.__call__.__module__).startswith("torch."):
        raise ExportError(
            f"{network.spec.name}: {kind.__name__} has a __call__ of its own, and what is exported is what "
            "forward returns; write as forward what its __call__ does, and leave __call__ to nn.Module"
        )


def _hold_to_request(network: Network, opset: int, model: ir.Model) -> None:
    """Refuse another opset or other outputs than were asked for: the exporter says nothing of them."""
    spec = network.spec
    written = model.opset_imports.get("")
    if written != opset:
        raise ExportError(
            f"{spec.name}: asked for opset {opset}, the exporter wrote {written}; choose another --opset"
        )
    for kind, declared, values in (
        ("input", spec.inputs, model.graph.inputs),
        ("output", spec.outputs, model.graph.outputs),
    ):
        found = tuple(_described(value) for value in values)
        if found != declared:
            _require_call_of_forward(network)
            raise ExportError(
                f"{spec.name}: the module's {kind}s are {_listed(found)}, declared are {_listed(declared)}"
            )


def _described(value: ir.Value) -> TensorSpec:
    dims = value.shape if value.shape is not None else ()
    return TensorSpec(
        name=value.name or "",
        dtype=dtype_name(value.dtype.name) if value.dtype is not None else "untyped",
        shape=tuple(dim if isinstance(dim, int) else str(dim) for dim in dims),
    )


def _listed(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(map(str, tensors)) or "none"


@contextmanager
def _operators_read_once() -> Iterator[None]:
    """Let torch's exporter read its table of operators once per process and opset, not once per export.

    ``torch.onnx.export`` accepts no registry: each call parses the 500 functions that translate operators,
    which takes longer than exporting a small module does. The class is internal to torch: where it is absent
    or has no ``from_torchlib``, the export works and takes that time again.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        original, read = ONNXRegistry.__dict__["from_torchlib"], ONNXRegistry.from_torchlib
    except (ImportError, KeyError):
        yield
        return

    def copied(opset_version: int) -> ONNXRegistry:
        if opset_version not in _REGISTRIES:
            _REGISTRIES[opset_version] = read(opset_version)
        registry = copy(_REGISTRIES[opset_version])  # the exporter may add to what it gets
        registry.functions = {target: [*found] for target, found in registry.functions.items()}
        return registry

    ONNXRegistry.from_torchlib = staticmethod(copied)  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = original  # type: ignore[method-assign]


@contextmanager
def quiet_logs(levels: Mapping[str, int]) -> Iterator[None]:
    """Let loggers say meanwhile only what is as severe as this."""
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch's exporter says about itself and a user can do nothing about.

    It logs the absence of torchvision, its own use of a deprecated class of torch.utils raises a
    FutureWarning, its own recurrent layers raise a UserWarning, and before it raises an error it logs a stack
    and prints the graph that it had so far.
    """
    logs = {
        "torch.onnx": logging.ERROR,
        "torch._subclasses.fake_tensor": logging.CRITICAL,
        "torch.fx.experimental.symbolic_shapes": logging.CRITICAL,
    }
    with quiet_logs(logs), warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", category=UserWarning, message=FLAT_WEIGHTS)
        yield


NO_FUNCTION = re.compile(r"No ONNX function found for <OpOverload\(op='(?P<operator>[^']+)'")
"""Its message for an operator that it cannot translate."""

DATA_DEPENDENT = "GuardOnDataDependentSymNode"
"""Its error where Python needs a value that the graph computes."""

COLORS = re.compile(r"\x1b\[[0-9;]*m")


def why_not(error: Exception, program: ExportedProgram | None) -> str:
    """The reason, with the operator that the exporter lacks and the modules that use it.

    Args:
        error: that torch raised.
        program: what was to be translated; None if the module could not be traced at all.
    """
    causes = [*_causes(error)]
    for cause in causes:
        if isinstance(cause, ExportError):
            return str(cause)
        if lacking := NO_FUNCTION.search(str(cause)):
            operator = lacking["operator"]
            used = _users(operator, program)
            where = f" (used by {', '.join(used)})" if used else ""
            return (
                f"torch's exporter has no ONNX form of the operator {operator}{where}; "
                "replace it in the module with operators that it has"
            )
    if "PackedParams" in str(causes[-1]):
        return (
            "the module's weights are packed by torch.ao.quantization, which ONNX has no form of; export the "
            "float module, and quantize the file (onnxruntime.quantization)"
        )
    place = _users_line(causes[-1])
    if type(causes[-1]).__name__ == DATA_DEPENDENT:
        return (
            f"the module's code takes a way that only the values of a run decide{place}; choose it in the "
            "factory, or write it with torch.where or torch.cond"
        )
    reason = COLORS.sub("", first_line(causes[-1]))
    if isinstance(causes[-1], KeyError):  # says no more than the key
        reason = f"KeyError: {reason}"
    return f"torch could not trace the module: {reason}{place}"


def _users_line(error: Exception) -> str:
    """The last line of the module's own code that the error came through, in brackets."""
    import torch

    others = (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")
    library = str(Path(traceback.__file__).parent)
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(others)
        and (not frame.filename.startswith(library) or "-packages" in frame.filename)
    ]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno}: {own[-1].line})" if own else ""


def _causes(error: Exception) -> Iterator[Exception]:
    """The error and what it was raised from, down to the first one."""
    current: BaseException | None = error
    while isinstance(current, Exception):
        yield current
        current = current.__cause__


def _users(operator: str, program: ExportedProgram | None) -> list[str]:
    """The paths of at most three modules that call the operator, or one that torch takes apart into it."""
    if program is None:
        return []
    found: dict[str, None] = {}
    for graph in (program.graph, program.run_decompositions().graph):
        for node in graph.nodes:
            if str(node.target).rpartition(".")[0] == operator and (
                stack := node.meta.get("nn_module_stack")
            ):
                path = [*stack.values()][-1][0]
                found[path or "the model"] = None
        if found:
            break
    return [*found][:3]
