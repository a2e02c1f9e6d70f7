"""A spec's module without the memory of its weights, and the values that it computed for itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from weakref import ref

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from onnxlens.errors import OnnxlensError, UsageError, first_line
from onnxlens.export.calling import call_of, described, outputs_of
from onnxlens.export.exported import WidenedWeights
from onnxlens.specs.graph import GraphSpec, WeightSource
from onnxlens.specs.module_state import ModuleState, filled, slots, state_of
from onnxlens.specs.tensor import HALVES, TensorSpec, torch_type, type_name


class Network:
    """A module on the meta device, that takes its spec's inputs in order and returns the outputs in order.

    Parameters have no values. What the constructor computed has: tables, counters and constants, whether the
    ``state_dict`` holds them or not.

    Attributes:
        module: on the meta device.
        state: of the ``state_dict``.
    """

    def __init__(self, spec: GraphSpec) -> None:
        """Build the module: with its parameters on the meta device, or really if its constructor reads them.

        Raises:
            UsageError: the factory fails, or the module cannot take the inputs.
        """
        module = _sized(_built(spec), spec)
        self.state: ModuleState = state_of(module)
        self._constants = {
            slot.name: _kept(slot.tensor, slot.tensor.detach().resolve_conj())
            for slot in slots(module)
            if slot.kind == "constant" and not slot.tensor.is_meta
        }
        _require_exportable(spec, self.state)
        self._replace(module, {}, _on_meta)
        self._spec = spec
        self._returned: list[TensorSpec] = []
        self.module = _adapted(module, spec, self._returned)

    @property
    def spec(self) -> GraphSpec:
        """Of the graph; if it declares no outputs, with those of the first run."""
        return replace(self._spec, outputs=tuple(self._returned)) if self._returned else self._spec

    @contextmanager
    def lent(self, make: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
        """Let the module have other tensors meanwhile: constants their values, others what ``make`` makes.

        What was one tensor stays one.
        """
        before = [(slot.module, slot.attribute, slot.tensor) for slot in slots(self.module)]
        try:
            self._replace(self.module, self._constants, make)
            yield
        finally:
            for child, attribute, tensor in before:
                setattr(child, attribute, tensor)

    def filled(self, module: nn.Module, source: WeightSource) -> nn.Module:
        """``module``, which is this network's or part of it, with the source's values and its own constants.

        This network is then no longer on the meta device. With widened weights its own constants are too.

        Raises:
            CheckpointError: the source has no values.
        """
        wide = isinstance(source, WidenedWeights)
        for slot in list(slots(self.module)):
            values = self._constants.get(slot.name)
            if values is not None:
                half = wide and type_name(values.dtype) in HALVES
                setattr(slot.module, slot.attribute, _kept(values, values.float()) if half else values)
        return filled(module, source)

    @staticmethod
    def _replace(
        module: nn.Module,
        given: Mapping[str, torch.Tensor],
        make: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        """Give each tensor its value if there is one, else what ``make`` makes of it.

        ``setattr`` is what recurrent layers follow with the list that they keep of their parameters.
        """
        made: dict[torch.Tensor, torch.Tensor] = {}
        for slot in list(slots(module)):
            tensor = slot.tensor
            if slot.name not in given and tensor not in made:
                new = make(tensor)
                made[tensor] = _kept(tensor, new)
            setattr(slot.module, slot.attribute, given.get(slot.name, made.get(tensor)))


def _kept(tensor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The values, as a parameter where the tensor is one."""
    return nn.Parameter(values, False) if isinstance(tensor, nn.Parameter) else values


def _on_meta(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("meta")


def _require_exportable(spec: GraphSpec, state: ModuleState) -> None:
    """Refuse inputs without sizes, and names of weights for inputs and outputs: all are in one graph."""
    for tensor in spec.inputs:
        if tensor.elements is None:
            raise UsageError(
                f"graph {spec.name!r}: input {tensor} has a symbol in its shape; an export needs sizes, "
                "give a number for each"
            )
    for tensor in (*spec.inputs, *spec.outputs):
        if tensor.name in state.tensors:
            raise UsageError(
                f"graph {spec.name!r}: {tensor.name!r} is an entry of the module's state_dict too; give the "
                "input or output another name"
            )


def _adapted(module: nn.Module, spec: GraphSpec, returned: list[TensorSpec]) -> nn.Module:
    """The module with a ``forward`` that takes and returns what the spec says, in order.

    It does not keep the module alive, so that its weights are freed when the caller drops it.

    Args:
        module: on the meta device.
        spec: of the graph.
        returned: gets the outputs of the first run, if the spec declares none.

    Raises:
        UsageError: the inputs do not fit the parameters of ``forward``.
    """
    original, reference = module.forward, ref(module)
    own = getattr(original, "__self__", None) is module
    function = getattr(original, "__func__", original) if own else original
    names = [tensor.name for tensor in spec.inputs]
    try:
        call = call_of(original, names, lambda: _examples(spec))
    except UsageError as error:
        raise UsageError(f"graph {spec.name!r}: {error}") from error
    del original

    def forward(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        network = reference()
        assert network is not None  # it is what is being called
        args, kwargs = call.arguments(inputs)
        result = function(network, *args, **kwargs) if own else function(*args, **kwargs)
        if not (spec.outputs or returned):
            returned.extend(described(result, names))
        outputs = [tensor.name for tensor in spec.outputs or returned]
        exporting = (
            torch.compiler.is_exporting()
        )  # looking through a large module takes as long as running it
        held = [slot.tensor for slot in slots(network)] if exporting else []
        return outputs_of(result, outputs, [*inputs, *held])

    module.forward = forward
    return module


def _examples(spec: GraphSpec) -> list[torch.Tensor]:
    """Inputs on the meta device."""
    return [
        torch.empty(tuple(map(int, tensor.shape)), dtype=torch_type(tensor.dtype), device="meta")
        for tensor in spec.inputs
    ]


def _built(spec: GraphSpec) -> nn.Module:
    """The module; parameters are on the meta device if that is possible, so that none takes memory.

    It is not where the constructor reads one, or moves the module to a device. Then it is built as it is.
    """
    with suppress(Exception), _same_random_numbers(), _parameters_on_meta():
        module = spec.build(frozen=False)
        if not (_is_lazy(module) or _depends_on_meta(module)):
            return module
    try:
        with _same_random_numbers():
            return spec.build(frozen=False)
    except OnnxlensError:
        raise
    except Exception as error:  # the user's code, not ours
        raise UsageError(
            f"graph {spec.name!r}: its factory raised {type(error).__name__}: {first_line(error)}"
        ) from error


def _is_lazy(module: nn.Module) -> bool:
    """Whether it has layers that get their sizes when they are first run."""
    return any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers()))


def _sized(module: nn.Module, spec: GraphSpec) -> nn.Module:
    """The module, after a run on zeros if it has lazy layers: their sizes are those of what reaches them.

    Raises:
        UsageError: it cannot run, or does not reach all of them.
    """
    if not _is_lazy(module):
        return module
    examples = [torch.zeros_like(tensor, device="cpu") for tensor in _examples(spec)]
    try:
        call = call_of(module.forward, [tensor.name for tensor in spec.inputs], lambda: examples)
        args, kwargs = call.arguments(examples)
        with torch.no_grad():
            module(*args, **kwargs)
    except Exception as error:  # the user's code, not ours
        raise UsageError(
            f"graph {spec.name!r}: its lazy layers need a run on zeros, which raised "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    if _is_lazy(module):
        raise UsageError(
            f"graph {spec.name!r}: a run does not reach all of its lazy layers; give their sizes"
        )
    return module


def _depends_on_meta(module: nn.Module) -> bool:
    """Whether something other than a weight has no values: it was computed from one, or is never saved."""
    found = list(slots(module))
    weights = {id(slot.tensor) for slot in found if slot.kind != "constant"}
    kept = [
        value
        for child in module.modules()
        for name, value in vars(child).items()
        if name not in ("_parameters", "_modules")
    ]
    leaves = [*tree_leaves(kept), *(slot.tensor for slot in found if slot.kind == "constant")]
    return any(
        isinstance(leaf, torch.Tensor)
        and leaf.is_meta
        and not (isinstance(leaf, nn.Parameter) and id(leaf) in weights)
        for leaf in leaves
    )


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Let every parameter that is made meanwhile have a type and a shape and no values.

    Its initialization then takes no time either. One that is not to be trained is a table that the
    constructor computes, and is made as usual, as is what is no parameter.
    """
    original = nn.Parameter.__new__

    def without_values(cls: type, data: torch.Tensor | None = None, requires_grad: bool = True) -> Any:
        if data is not None and requires_grad:
            data = _on_meta(data)
        return original(cls, data, requires_grad)

    nn.Parameter.__new__ = staticmethod(without_values)  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Parameter.__new__ = original  # type: ignore[method-assign]


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Let a constructor that draws numbers draw the same ones each time; the caller's generators go on."""
    ours, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(arrays)
