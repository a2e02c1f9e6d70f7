"""The tensors of a PyTorch module: its ``state_dict``, each tensor once, and what it keeps besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Literal, NamedTuple

from onnxlens.errors import CheckpointError
from onnxlens.specs.hidden_modules import HIDDEN
from onnxlens.specs.record import record
from onnxlens.specs.tensor import TensorSpec, as_tensor, spec_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from onnxlens.specs.graph import WeightSource

RUNNING_STATISTICS = ("running_mean", "running_var")
"""The buffers that training fills; a module that was just made has 0 and 1 there."""

NO_STATISTIC = "num_batches_tracked"
"""The counter beside them, which files older than torch 0.4.1 lack and nothing computes with."""


class Slot(NamedTuple):
    """A tensor at an attribute of a module; a ``constant`` is one that the ``state_dict`` does not hold."""

    name: str
    module: nn.Module
    attribute: str
    tensor: torch.Tensor
    kind: Literal["parameter", "buffer", "constant"]


@record(frozen=True, slots=True)
class ModuleState:
    """The entries of a module's ``state_dict``.

    Attributes:
        tensors: name, dtype and shape of each; a tensor with several names is there once, under the first.
        computed: values that the constructor computed, of buffers and of parameters that are not to be
            trained: tables and counters, no running statistics.
        aliases: the first name of a tensor, by each of its further names.
    """

    tensors: Mapping[str, TensorSpec]
    computed: Mapping[str, torch.Tensor] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


def slots(module: nn.Module) -> Iterator[Slot]:
    """Every tensor of the module and its children, under all its names; in the ``state_dict``'s order."""
    import torch

    hidden: tuple[str, ...] = ()
    for path, child in module.named_modules(remove_duplicate=False):
        within = f"{path}." if path else ""
        hidden += tuple(f"{within}{name}." for name in vars(child).get(HIDDEN, ()))
        for held in (child._parameters, child._buffers, vars(child)):
            for attribute, tensor in list(held.items()):
                if isinstance(tensor, torch.Tensor):
                    saved: Literal["parameter", "buffer"] = (
                        "parameter" if held is child._parameters else "buffer"
                    )
                    name = f"{within}{attribute}"
                    unsaved = held is vars(child) or attribute in child._non_persistent_buffers_set
                    unsaved = unsaved or name.startswith(hidden)
                    yield Slot(name, child, attribute, tensor, "constant" if unsaved else saved)


def state_of(module: nn.Module) -> ModuleState:
    """What the ``state_dict`` holds, on any device; on the meta device nothing was computed."""
    found = [slot for slot in slots(module) if slot.kind != "constant"]
    first = {id(slot.tensor): slot.name for slot in reversed(found)}
    once = {slot.name: slot for slot in found if first[id(slot.tensor)] == slot.name}
    return ModuleState(
        {name: spec_of(name, slot.tensor) for name, slot in once.items()},
        {
            name: slot.tensor.detach()
            for name, slot in once.items()
            if not (slot.tensor.is_meta or _is_trained(slot))
        },
        {slot.name: first[id(slot.tensor)] for slot in found if slot.name not in once},
    )


def _is_trained(slot: Slot) -> bool:
    if slot.kind == "buffer":
        return slot.attribute in RUNNING_STATISTICS
    return slot.tensor.requires_grad


def filled(module: nn.Module, source: WeightSource) -> nn.Module:
    """The module with the source's values; it may come from the meta device, so that nothing is held twice.

    A tensor with several names stays one.

    Raises:
        CheckpointError: the source has no values, or none for an entry of the module.
    """
    from torch import nn

    made: dict[int, torch.Tensor] = {}
    for slot in list(slots(module)):
        if slot.kind == "constant":
            continue
        if id(slot.tensor) not in made:
            if slot.name not in source.tensors:
                raise CheckpointError(f"{slot.name}: {source.label} has no value for it; export again")
            values = as_tensor(source.read(slot.name))
            made[id(slot.tensor)] = nn.Parameter(values, False) if slot.kind == "parameter" else values
        # recurrent layers of torch follow setattr with the list that they keep of their parameters
        setattr(slot.module, slot.attribute, made[id(slot.tensor)])
    return module
