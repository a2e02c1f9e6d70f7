"""Modules that PyTorch does not see, as they are in lists, tuples and dicts of Python's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

HIDDEN = "_hidden_children"
"""The attribute of a module that names those of its children that PyTorch does not see."""


def with_hidden(module: nn.Module, others: Mapping[str, object] | None = None) -> nn.Module:
    """The module with those in lists, tuples and dicts of Python's as children: ``layers[0]``.

    PyTorch does not save them, so that their tensors are constants. The attributes stay as they are.

    Args:
        module: to be changed.
        others: what else it knows, by name: modules, and collections with modules.
    """
    from torch import nn

    known, plain = set(map(id, module.modules())), vars(nn.Module()).keys()
    for child in module.modules():  # and what is found meanwhile
        held = {name: value for name, value in vars(child).items() if name not in plain}
        if found := _hidden_in(held, known):
            child._modules.update(found)
            vars(child)[HIDDEN] = {*found, *held.get(HIDDEN, ())}
    module._modules.update(_hidden_in(others or {}, known))
    return module


def _hidden_in(held: Mapping[Any, object], known: set[int], around: str = "") -> dict[str, nn.Module]:
    """The modules that are not known yet: ``layers[0]``, ``heads[left][1]``."""
    from torch import nn

    found: dict[str, nn.Module] = {}
    for key, value in held.items():
        if not isinstance(value, nn.Module | Mapping | list | tuple) or id(value) in known:
            continue
        known.add(id(value))
        name = f"{around}[{key}]".replace(".", "_") if around else str(key)
        if isinstance(value, nn.Module):
            known.update(map(id, value.modules()))
            found[name] = value
        else:
            entries = value if isinstance(value, Mapping) else dict(enumerate(value))
            found |= _hidden_in(entries, known, name)
    return found
