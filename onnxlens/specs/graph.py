"""What is to be exported (GraphSpec) and where its numbers come from (WeightSource)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from onnxlens.errors import UsageError
from onnxlens.specs.hidden_modules import with_hidden
from onnxlens.specs.record import record
from onnxlens.specs.tensor import (
    DTYPE_BITS,
    DTYPES,
    TensorSpec,
    bad_range,
    is_floating,
    short_name,
    torch_type,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

Family = Literal["annotator", "controlnet", "sd-unet", "clip", "vae", "user"]
FAMILIES: tuple[str, ...] = get_args(Family)

DEFAULT_TOLERANCE = 1e-5
"""Of the relative L2 error: a hundred times float32's rounding."""


@record(frozen=True, slots=True)
class CheckpointScope:
    """Which entries of a checkpoint file belong to a graph.

    A file's key belongs to the graph when it starts with ``prefix`` and what follows starts with one of
    ``parts``; what follows the prefix is the key in the module's ``state_dict``. ``optional`` keys may be
    absent: they are index tables, which count from 0. All but ``prefix`` are keys of the module.
    """

    prefix: str = ""
    parts: tuple[str, ...] = ("",)
    optional: tuple[str, ...] = ()

    def module_key(self, file_key: str) -> str | None:
        """The ``state_dict`` key that ``file_key`` fills, or None when it belongs to another network."""
        if not file_key.startswith(self.prefix):
            return None
        key = file_key.removeprefix(self.prefix)
        return key if key.startswith(self.parts) else None


LONGEST_SUM = 2**17
"""Instances of more elements than this are averaged in two steps (docs/decisions/0004)."""


@dataclass(frozen=True)
class GraphSpec:
    """One graph to export: how to build its module, what goes in and what comes out.

    Attributes:
        factory: makes the module, or a function of tensors; called by ``build``.
        inputs: an input takes the parameter of ``forward`` that has its name, else the one at its position.
            ``batch.image`` is an entry of the dict that ``batch`` takes, ``states.0`` of a list.
        outputs: in the order it returns them, or entries of a returned dict by name; empty for all of them.
        input_ranges: for each input the lowest and highest value that a sample of it may take.
        dynamic_axes: for each input the axes that may vary, with their symbols.
        size_multiple: height and width must be multiples of this many pixels.
        min_size: and at least this many pixels.
        checkpoint: which entries of a published checkpoint fill the module.
        title: what the network is, in a few words.
        tolerance: the largest relative L2 error of an output that passes in float32.
        structure_only: the main job counts and draws the graph without weights.
    """

    name: str
    family: Family
    factory: Callable[[], nn.Module]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_ranges: Mapping[str, tuple[float, float]]
    dynamic_axes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    size_multiple: int = 1
    min_size: int = 1
    checkpoint: CheckpointScope = CheckpointScope()
    title: str = ""
    tolerance: float = DEFAULT_TOLERANCE
    structure_only: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(map(_normal, self.inputs)))
        object.__setattr__(self, "outputs", tuple(map(_normal, self.outputs)))
        _require_file_name(self.name)
        _require_types(self.name, (*self.inputs, *self.outputs))
        if not self.tolerance > 0:
            raise UsageError(f"graph {self.name!r}: tolerance {self.tolerance!r} is not a positive number")
        if self.family not in FAMILIES:
            raise UsageError(f"graph {self.name!r}: family {self.family!r} is none of {', '.join(FAMILIES)}")
        names = [tensor.name for tensor in (*self.inputs, *self.outputs)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise UsageError(
                f"graph {self.name!r}: tensor {repeated[0]!r} is named twice; give each its own name"
            )
        input_names = {tensor.name for tensor in self.inputs}
        if set(self.input_ranges) != input_names:
            raise UsageError(
                f"graph {self.name!r}: input_ranges names {sorted(self.input_ranges)}, "
                f"but the inputs are {sorted(input_names)}; give one range to each"
            )
        if wrong := bad_range(self.input_ranges):
            raise UsageError(f"graph {self.name!r}: {wrong}")

    def build(self, device: str = "cpu", *, frozen: bool = True) -> nn.Module:
        """The module in eval mode on ``device``; on ``"meta"`` it has shapes and takes no memory.

        No parameter of it is to be trained, unless ``frozen`` leaves that as the factory says.

        Raises:
            UsageError: the factory returns neither a module nor a function.
        """
        import torch

        with torch.device(device):
            module = _as_module(self.factory(), self.name)
        return module.eval().requires_grad_(False) if frozen else module.eval()

    def in_dtype(self, dtype: str | None) -> GraphSpec:
        """The graph with floating parameters, buffers, inputs and outputs of ``dtype``; integers stay.

        None is the graph as it is.

        Raises:
            UsageError: no graph is exported in that type.
        """
        if dtype is None:
            return self
        if dtype not in DTYPES:
            raise UsageError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
        return replace(
            self,
            factory=lambda: _cast(_as_module(self.factory(), self.name), dtype),
            inputs=tuple(_in_dtype(tensor, dtype) for tensor in self.inputs),
            outputs=tuple(_in_dtype(tensor, dtype) for tensor in self.outputs),
        )


def _require_file_name(name: str) -> None:
    """Refuse a name that cannot be a file's."""
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise UsageError(f"graph {name!r}: its files are called like it; give it a name without '/'")


def _normal(tensor: TensorSpec) -> TensorSpec:
    """The tensor as its fields say: ``torch.float32`` is float32, and a list of sizes a tuple."""
    return TensorSpec(tensor.name, short_name(str(tensor.dtype)), tuple(tensor.shape))


def _require_types(graph: str, tensors: Sequence[TensorSpec]) -> None:
    """Refuse types that no tensor has."""
    for tensor in tensors:
        if tensor.dtype not in DTYPE_BITS:
            raise UsageError(
                f"graph {graph!r}: {tensor.name!r} has type {tensor.dtype!r}, which is none of "
                f"{', '.join(DTYPE_BITS)}"
            )


def _as_module(made: object, graph: str) -> nn.Module:
    """What a factory returned, as a module: a function becomes the forward pass of one.

    Modules that the function calls, by the names that it knows them by, are its children; so are those that a
    module keeps in lists and dicts of Python's.
    """
    import torch
    from torch import nn

    for name, child in made.named_modules() if isinstance(made, nn.Module) else ():
        if isinstance(child, torch.jit.ScriptModule):
            what = f"has a scripted module at {name!r}" if name else "returns a scripted module"
            use = "keep" if name else "return"
            raise UsageError(f"graph {graph!r}: its factory {what}; {use} the nn.Module itself")
    if isinstance(made, nn.Module):
        return with_hidden(made)
    if not callable(made) or isinstance(made, type):
        raise UsageError(
            f"graph {graph!r}: its factory returns {type(made).__name__}, expected an nn.Module or a function"
        )
    if isinstance(owner := getattr(made, "__self__", None), nn.Module):
        module = owner  # a method of a module, other than forward
    else:
        module = nn.Module()
    module.forward = made
    return with_hidden(module, {} if owner is module else _closure(made))


def _closure(function: Callable[..., object]) -> Mapping[str, object]:
    """What a function uses of where it was made, by name."""
    try:
        known = inspect.getclosurevars(function)
        return {**known.globals, **known.nonlocals}
    except TypeError:  # not a function of Python
        return {}


def _cast(module: nn.Module, dtype: str) -> nn.Module:
    """The module with floating parameters and buffers of ``dtype``; what was one tensor stays one.

    ``Module.to`` swaps tensors in place, which those of a ``FakeTensorMode`` do not allow.
    """
    import torch
    from torch import nn

    cast: dict[torch.Tensor, torch.Tensor] = {}
    for child in module.modules():
        own: list[tuple[str, torch.Tensor]] = [*child.named_parameters(recurse=False, remove_duplicate=False)]
        own += child.named_buffers(recurse=False, remove_duplicate=False)
        for name, tensor in own:
            if tensor.is_floating_point() and tensor not in cast:
                values = tensor.detach().to(torch_type(dtype))
                cast[tensor] = nn.Parameter(values) if isinstance(tensor, nn.Parameter) else values
            if tensor.is_floating_point():
                setattr(child, name, cast[tensor])
    return module


def _in_dtype(tensor: TensorSpec, dtype: str) -> TensorSpec:
    return replace(tensor, dtype=dtype) if is_floating(tensor.dtype) else tensor


class WeightSource(Protocol):
    """Where the values of a module's ``state_dict`` come from: nowhere, a seed, or a checkpoint."""

    @property
    def label(self) -> str:
        """How reports name the source: ``none``, ``seeded``, or the checkpoint's file name."""

    @property
    def tensors(self) -> Mapping[str, TensorSpec]:
        """Name, dtype and shape of every entry, by its ``state_dict`` key."""

    def read(self, name: str) -> np.ndarray:
        """The values of one entry, in the dtype and shape that ``tensors`` gives.

        Raises:
            CheckpointError: the source has no values.
        """
