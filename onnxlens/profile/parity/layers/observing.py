"""PyTorch's side: every tensor that a module is handed or hands on, told as it passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from onnxlens.errors import ParityError
from onnxlens.specs.tensor import as_array, as_tensor

if TYPE_CHECKING:
    import torch
    from torch import nn

Side = Literal["in", "out"]
Kind = tuple[str, tuple[int, ...]]
"""Element type and shape of a tensor."""


class Place(NamedTuple):
    """Where PyTorch shows a tensor: the ``place``-th that the ``call``-th call of a module takes or gives."""

    path: str
    call: int
    side: Side
    place: int


@dataclass(frozen=True, slots=True)
class ObservedCall:
    """One call of a module: the kinds of tensors it was handed and handed on, each tensor once."""

    path: str
    call: int
    inputs: tuple[Kind, ...]
    outputs: tuple[Kind, ...]


See = Callable[[Place, "torch.Tensor"], None]


def observe(
    module: nn.Module, inputs: Mapping[str, np.ndarray], paths: Collection[str]
) -> tuple[Mapping[Place, Kind], tuple[ObservedCall, ...]]:
    """What passes in one run, in the order it passes, and the calls it passes through; no value is kept."""
    kinds: dict[Place, Kind] = {}

    def see(place: Place, tensor: torch.Tensor) -> None:
        kinds[place] = (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))

    _watch(module, inputs, paths, see)
    sides: dict[tuple[str, int], dict[Side, list[Kind]]] = {}
    for place, kind in kinds.items():
        sides.setdefault((place.path, place.call), {"in": [], "out": []})[place.side].append(kind)
    calls = (
        ObservedCall(path, call, tuple(found["in"]), tuple(found["out"]))
        for (path, call), found in sides.items()
    )
    return kinds, tuple(calls)


class _Enough(Exception):
    """Everything that was wanted has passed."""


def capture(
    module: nn.Module, inputs: Mapping[str, np.ndarray], wanted: Mapping[Place, str]
) -> dict[str, np.ndarray]:
    """The values that pass at the wanted places, by the names given; the run ends at the last of them.

    Each is copied as it passes: the next module may work in place.

    Raises:
        ParityError: a place was not passed: two runs of the module differ.
    """
    import torch

    values: dict[str, np.ndarray] = {}

    def see(place: Place, tensor: torch.Tensor) -> None:
        if place in wanted:
            values[wanted[place]] = as_array(tensor.clone(memory_format=torch.contiguous_format))
            if len(values) == len(wanted):
                raise _Enough

    if wanted:
        try:
            _watch(module, inputs, {place.path for place in wanted}, see)
        except _Enough:
            return values
    for place, name in wanted.items():
        if name not in values:
            raise ParityError(f"{name}: a second run of PyTorch did not pass {place}; is it random?")
    return values


def _watch(module: nn.Module, inputs: Mapping[str, np.ndarray], paths: Collection[str], see: See) -> None:
    """Run the module once and tell of every tensor that passes a border of the modules at ``paths``."""
    import torch

    with _hooks(module, paths, see), torch.inference_mode():
        module(*(as_tensor(value) for value in inputs.values()))


@contextmanager
def _hooks(module: nn.Module, paths: Collection[str], see: See) -> Iterator[None]:
    calls: defaultdict[str, int] = defaultdict(int)
    running: defaultdict[str, list[int]] = defaultdict(list)

    def before(path: str, arguments: Any) -> None:
        running[path].append(calls[path])
        calls[path] += 1
        _tell(path, running[path][-1], "in", arguments, see)

    def after(path: str, returned: Any) -> None:
        _tell(path, running[path].pop(), "out", returned, see)

    handles = []
    try:
        for path, part in module.named_modules():
            if path in paths:
                handles += [
                    part.register_forward_pre_hook(
                        lambda _, args, kwargs, path=path: before(path, (args, kwargs)), with_kwargs=True
                    ),
                    part.register_forward_hook(lambda _, args, out, path=path: after(path, out)),
                ]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tell(path: str, call: int, side: Side, nested: Any, see: See) -> None:
    """Tell of each tensor, one that stands there twice once."""
    for index, tensor in enumerate(tensors_in(nested)):
        see(Place(path, call, side, index), tensor)


def tensors_in(nested: Any) -> list[torch.Tensor]:
    """The tensors in tuples, lists and dicts, one that stands there twice once."""
    import torch
    from torch.utils._pytree import tree_leaves

    found = {id(leaf): leaf for leaf in tree_leaves(nested) if isinstance(leaf, torch.Tensor)}
    return list(found.values())
