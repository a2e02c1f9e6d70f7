"""How PyTorch calls one module of a network: found in a run without values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnxlens.profile.parity.layers.observing import tensors_in
from onnxlens.specs.tensor import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of a module; its tensors are on the meta device: they have a type and a shape.

    Attributes:
        args: what it is handed by position.
        kwargs: and by name.
        returned: what it hands back.
        inputs: the names of the network's inputs, by the ids of their tensors.
        weights: the names of the network's weights, likewise.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    returned: Any
    inputs: Mapping[int, str]
    weights: Mapping[int, str]

    @property
    def handed(self) -> list[torch.Tensor]:
        """The tensors that it is handed, each once."""
        return tensors_in((self.args, dict(self.kwargs)))

    @property
    def handed_back(self) -> list[torch.Tensor]:
        """The tensors that it returns, each once."""
        return tensors_in(self.returned)

    def parameters(self) -> Sequence[str]:
        """What ``forward`` calls each tensor that it is handed; "" where that cannot be told."""
        names: dict[int, str] = {}
        with suppress(TypeError, ValueError):  # a forward without a signature
            bound = inspect.signature(self.module.forward).bind(*self.args, **self.kwargs)
            for name, argument in bound.arguments.items():
                tensors = tensors_in(argument)
                single = tensors[:1] == [argument] if len(tensors) == 1 else False
                for index, tensor in enumerate(tensors):
                    names.setdefault(id(tensor), name if single else f"{name}[{index}]")
        return [names.get(id(tensor), "") for tensor in self.handed]


def calls_of(network: nn.Module, inputs: Sequence[TensorSpec], path: str) -> tuple[ModuleCall, ...]:
    """Every call of the module at ``path`` in one run of the network; none where there is no such module.

    Args:
        network: on the meta device; nothing is computed.
        inputs: of the network, in the order of its ``forward``.
        path: of the module.

    Raises:
        Exception: whatever the network raises that cannot run without values.
    """
    import torch

    if path not in dict(network.named_modules()):
        return ()
    given = [
        torch.empty(tuple(map(int, tensor.shape)), dtype=getattr(torch, tensor.dtype), device="meta")
        for tensor in inputs
    ]
    calls: list[ModuleCall] = []
    names = {id(tensor): spec.name for tensor, spec in zip(given, inputs, strict=True)}
    weights = {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items()}
    with _recorded(network.get_submodule(path), names, weights, calls), torch.no_grad(), torch.device("meta"):
        network(*given)
    return tuple(calls)


@contextmanager
def _recorded(
    module: nn.Module, inputs: Mapping[int, str], weights: Mapping[int, str], calls: list[ModuleCall]
) -> Iterator[None]:
    def record(called: nn.Module, args: Any, kwargs: Any, returned: Any) -> None:
        calls.append(ModuleCall(called, args, dict(kwargs), returned, inputs, weights))

    handle = module.register_forward_hook(record, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True, slots=True)
class Answers:
    """Which tensors of a call the values of a file are.

    Attributes:
        handed: for each input that was found, its place among the tensors handed.
        returned: for each output that was found, its place among those handed back.
        doubt: why the call cannot be set beside the file; empty where it can.
    """

    handed: Mapping[str, int]
    returned: Mapping[str, int]
    doubt: str = ""


def answers(call: ModuleCall, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Answers:
    """Match a file's values with the tensors of a call: inputs of the network by name, others by kind.

    A kind is element type and shape; where two have the same, neither is matched: they could be taken for
    each other. What the call returns as it was handed is not computed, and no output of the file.
    """
    handed, back = call.handed, call.handed_back
    named = {
        call.inputs[id(tensor)]: place for place, tensor in enumerate(handed) if id(tensor) in call.inputs
    }
    found = {value.name: named[value.name] for value in inputs if value.name in named}
    found |= _one_to_one(
        [value for value in inputs if value.name not in found],
        {place: tensor for place, tensor in enumerate(handed) if place not in found.values()},
    )
    passed = {id(tensor) for tensor in handed}
    made = {place: tensor for place, tensor in enumerate(back) if id(tensor) not in passed}
    returned = _one_to_one(outputs, made)
    lost = [value for value in inputs if value.name not in found]
    if lost:
        return Answers(found, returned, _doubt("is handed", handed, "reads", lost[0]))
    lost = [value for value in outputs if value.name not in returned]
    if lost:
        return Answers(found, returned, _doubt("returns", list(made.values()), "makes", lost[0]))
    return Answers(found, returned, _why_uncallable(call, set(found.values())))


def _one_to_one(values: Sequence[TensorSpec], tensors: Mapping[int, torch.Tensor]) -> dict[str, int]:
    """The place of each value that one tensor fits, and that alone fits it."""
    fitting = {value.name: [place for place in tensors if _fits(value, tensors[place])] for value in values}
    return {
        name: places[0]
        for name, places in fitting.items()
        if len(places) == 1 and sum(places[0] in others for others in fitting.values()) == 1
    }


def _fits(value: TensorSpec, tensor: torch.Tensor) -> bool:
    """Whether the value can be the tensor; a dimension that is not fixed fits any size."""
    kind = spec_of("", tensor)
    return (value.dtype, len(value.shape)) == (kind.dtype, len(kind.shape)) and all(
        isinstance(dim, str) or dim == size for dim, size in zip(value.shape, kind.shape, strict=True)
    )


def spec_of(name: str, tensor: torch.Tensor) -> TensorSpec:
    """The tensor's element type and shape under a name."""
    dtype = str(tensor.dtype).removeprefix("torch.").replace("_", "")
    return TensorSpec(name, dtype, tuple(tensor.shape))


def _doubt(verb: str, tensors: Sequence[torch.Tensor], other_verb: str, lost: TensorSpec) -> str:
    kinds = ", ".join(str(spec_of("", tensor)).strip() for tensor in tensors) or "no tensor"
    return f"PyTorch's call {verb} {kinds}, the file {other_verb} {lost}: which is which cannot be told"


def _why_uncallable(call: ModuleCall, read: set[int]) -> str:
    """Why the call cannot be made with the file's inputs alone; empty where it can.

    What the file does not read, PyTorch must not read either: what depends on weights alone is no input of
    the file, and its value is not at hand.
    """
    import torch

    rest = {place: tensor for place, tensor in enumerate(call.handed) if place not in read}
    for place, tensor in rest.items():
        if id(tensor) in call.weights:
            return f"PyTorch hands it the weight {call.weights[id(tensor)]!r} of another module"
        try:
            with torch.no_grad(), torch.device("meta"):
                repeated(call, {id(tensor): untouchable()})
        except Exception:  # the user's code, which may turn ours into another
            return (
                f"PyTorch's call reads {spec_of(call.parameters()[place] or 'a tensor', tensor)}, "
                "which the file holds as a constant or works out otherwise"
            )
    return ""


def repeated(call: ModuleCall, others: Mapping[int, torch.Tensor]) -> Any:
    """What the module returns for the call once more, with other tensors in the place of some, by id."""
    from torch.utils._pytree import tree_map

    args, kwargs = tree_map(lambda leaf: others.get(id(leaf), leaf), (call.args, dict(call.kwargs)))
    return call.module(*args, **kwargs)


def untouchable() -> torch.Tensor:
    """A tensor that can be handed on, and raises TypeError when anything is done with it."""
    import torch

    class Untouchable(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *_: Any, **__: Any) -> Any:
            raise TypeError("this tensor stands for one that is not read")

    return torch.empty(0).as_subclass(Untouchable)
