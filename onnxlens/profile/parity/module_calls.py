"""The calls of a network's modules in one run of PyTorch.

``observe`` and ``capture`` run it on real inputs and keep types and shapes, or chosen values; ``calls_of``
runs it on the meta device, without values, and keeps whole calls.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from onnxlens.errors import ParityError
from onnxlens.profile.parity.parity import uncompiled
from onnxlens.specs.module_state import slots
from onnxlens.specs.tensor import TensorSpec, as_array, as_tensor, spec_of, torch_type

if TYPE_CHECKING:
    import torch
    from torch import nn

Side = Literal["in", "out"]

Record = Callable[[str, int, Side, Any], None]
"""Receives a module's path, the number of its call from 0, and its arguments or what it returns."""


class Port(NamedTuple):
    """One tensor of a call: its position among the inputs or outputs, each counted once; all from 0."""

    path: str
    call: int
    side: Side
    position: int


PRODUCTS, NORMALIZATIONS = ("conv", "linear", "sparse"), ("batchnorm", "instancenorm", "normalization")
"""The Python modules of ``torch.nn.modules`` with layers that return what their weights make.

The weights of products take the input as it is, those of normalizations may take what was made of it.
"""


class _Complete(Exception):
    """All wanted tensors have been captured."""


def observe(
    network: nn.Module, inputs: Mapping[str, np.ndarray], paths: Collection[str]
) -> Mapping[Port, TensorSpec]:
    """Type and shape of every tensor that the modules at ``paths`` take or return in one run, in order."""
    import torch

    observed: dict[Port, TensorSpec] = {}

    def record(path: str, call: int, side: Side, nested: Any) -> None:
        for index, tensor in enumerate(tensors_in(nested)):
            observed[Port(path, call, side, index)] = spec_of("", tensor)

    with _recorded(network, paths, record), torch.inference_mode(), uncompiled():
        network(*(as_tensor(value).clone() for value in inputs.values()))
    return observed


def layers_of(network: nn.Module) -> Mapping[str, bool]:
    """PyTorch's own layers whose last step takes their weights, by path: whether the first one does, too."""
    homes = {f"torch.nn.modules.{name}": name in PRODUCTS for name in (*PRODUCTS, *NORMALIZATIONS)}
    return {
        path: homes[type(module).__module__]
        for path, module in network.named_modules()
        if type(module).__module__ in homes and not any(module.children())
    }


def capture(
    network: nn.Module, inputs: Mapping[str, np.ndarray], wanted: Mapping[Port, str]
) -> dict[str, np.ndarray]:
    """The values at the wanted ports, under the given names; the run ends at the last of them.

    Each is copied at once: the next module may work in place.

    Raises:
        ParityError: the run does not reach a port: two runs of the network differ.
    """
    import torch

    values: dict[str, np.ndarray] = {}

    def record(path: str, call: int, side: Side, nested: Any) -> None:
        for index, tensor in enumerate(tensors_in(nested)):
            if name := wanted.get(Port(path, call, side, index)):
                values[name] = as_array(tensor.clone(memory_format=torch.contiguous_format))
                if len(values) == len(wanted):
                    raise _Complete

    if wanted:
        paths = {port.path for port in wanted}
        with suppress(_Complete), _recorded(network, paths, record), torch.inference_mode(), uncompiled():
            network(*(as_tensor(value).clone() for value in inputs.values()))
    for port, name in wanted.items():
        if name not in values:
            raise ParityError(f"{name}: a second run of PyTorch did not reach {port}; is it random?")
    return values


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of a module on the meta device: its tensors have a type and a shape, and it can be repeated.

    ``graph_inputs`` and ``weights`` are the names of the network's, by the ids of their tensors.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    returned: Any
    graph_inputs: Mapping[int, str]
    weights: Mapping[int, str]

    @property
    def inputs(self) -> list[torch.Tensor]:
        """The tensors among its arguments, each once."""
        return tensors_in((self.args, dict(self.kwargs)))

    @property
    def outputs(self) -> list[torch.Tensor]:
        """The tensors that it returns, each once."""
        return tensors_in(self.returned)

    def parameters(self) -> Sequence[str]:
        """The parameter of ``forward`` for each input; "" if unknown."""
        names: dict[int, str] = {}
        with suppress(TypeError, ValueError):  # a forward without a signature
            bound = inspect.signature(self.module.forward).bind(*self.args, **self.kwargs)
            for name, argument in bound.arguments.items():
                for index, tensor in enumerate(tensors_in(argument)):
                    names.setdefault(id(tensor), name if tensor is argument else f"{name}[{index}]")
        return [names.get(id(tensor), "") for tensor in self.inputs]

    def repeated(self, replaced: Mapping[int, torch.Tensor]) -> Any:
        """What the module returns when called again, with some input tensors replaced, by id."""
        from torch.utils._pytree import tree_map

        args, kwargs = tree_map(lambda leaf: replaced.get(id(leaf), leaf), (self.args, dict(self.kwargs)))
        return self.module(*args, **kwargs)


def calls_of(network: nn.Module, inputs: Sequence[TensorSpec], path: str) -> tuple[ModuleCall, ...]:
    """Every call of the module at ``path`` in one run of the network; empty if there is no such module.

    The network is on the meta device: nothing is computed. Its inputs are in the order of its ``forward``.

    Raises:
        Exception: whatever the network raises if it cannot run without values.
    """
    import torch

    modules = dict(network.named_modules())
    if path not in modules:
        return ()
    given = [
        torch.empty(tuple(map(int, tensor.shape)), dtype=torch_type(tensor.dtype), device="meta")
        for tensor in inputs
    ]
    graph_inputs = {id(tensor): spec.name for tensor, spec in zip(given, inputs, strict=True)}
    weights = {id(slot.tensor): slot.name for slot in reversed([*slots(network)]) if slot.kind != "constant"}
    arguments: dict[int, tuple[Any, Any]] = {}
    returned: dict[int, Any] = {}

    def record(_: str, call: int, side: Side, nested: Any) -> None:
        (arguments if side == "in" else returned)[call] = nested

    with _recorded(network, {path}, record), torch.no_grad(), torch.device("meta"):
        network(*given)
    return tuple(
        ModuleCall(modules[path], *arguments[call], returned[call], graph_inputs, weights)
        for call in sorted(returned)
    )


@contextmanager
def _recorded(network: nn.Module, paths: Collection[str], record: Record) -> Iterator[None]:
    """Call ``record`` before and after every call of the modules at ``paths``."""
    calls: defaultdict[str, int] = defaultdict(int)
    running: defaultdict[str, list[int]] = defaultdict(list)

    def before(path: str, _: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        running[path].append(calls[path])
        calls[path] += 1
        record(path, running[path][-1], "in", (args, dict(kwargs)))

    def after(path: str, _: nn.Module, args: Any, returned: Any) -> None:
        record(path, running[path].pop(), "out", returned)

    handles = []
    try:
        for path, module in network.named_modules():
            if path in paths:
                handles += [
                    module.register_forward_pre_hook(partial(before, path), with_kwargs=True),
                    module.register_forward_hook(partial(after, path)),
                ]
        yield
    finally:
        for handle in handles:
            handle.remove()


def tensors_in(nested: Any) -> list[torch.Tensor]:
    """The tensors in nested tuples, lists and dicts, each once."""
    import torch
    from torch.utils._pytree import tree_leaves

    found = {id(leaf): leaf for leaf in tree_leaves(nested) if isinstance(leaf, torch.Tensor)}
    return list(found.values())


def unreadable() -> torch.Tensor:
    """A tensor that can be passed on, and raises TypeError when anything else is done with it."""
    import torch

    class Unreadable(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *_: Any, **__: Any) -> Any:
            raise TypeError("this tensor stands for one that is not read")

    return torch.empty(0).as_subclass(Unreadable)
