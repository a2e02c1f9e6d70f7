"""What a module returns as a tuple of tensors, whatever it returns: nested, by name, one of them twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from onnxlens.errors import ExportError
from onnxlens.specs.tensor import TensorSpec, spec_of, type_name


def outputs_of(
    returned: Any, declared: Sequence[str], taken: Iterable[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """The declared outputs: entries of what is returned by their names, else all of its tensors in order.

    Args:
        returned: by ``forward``.
        declared: names of the outputs.
        taken: the module's inputs and its own tensors; one that is returned is an output of its own.

    Raises:
        ExportError: the declared outputs are not those that are returned.
    """
    found = list(_tensors("", returned))
    by_name = dict(found)
    if not by_name.keys() >= set(declared):
        _require_order(found, declared)
        by_name = {name: tensor for name, (_, tensor) in zip(declared, found, strict=True)}
    seen = set(map(id, taken))
    outputs = []
    for name in declared:
        tensor = by_name[name]
        outputs.append(tensor.clone() if id(tensor) in seen else tensor)
        seen.add(id(tensor))
    return tuple(outputs)


def described(returned: Any, taken: Sequence[str]) -> tuple[TensorSpec, ...]:
    """All tensors of what is returned: with the names of its entries if it has some, else ``output``.

    Args:
        returned: by ``forward``.
        taken: names that an output cannot have.
    """
    found = list(_tensors("", returned))
    alone = len(found) == 1
    specs = []
    for index, (path, tensor) in enumerate(found):
        name = path if not path[:1].isdigit() and path else "output" if alone else f"output_{index}"
        shape = tuple(size if isinstance(size, int) else str(size) for size in tensor.shape)
        specs.append(TensorSpec(f"{name}_out" if name in taken else name, type_name(tensor.dtype), shape))
    return tuple(specs)


def _require_order(found: Sequence[tuple[str, torch.Tensor]], declared: Sequence[str]) -> None:
    """Refuse names that are not in the order of what is returned."""
    names = [name for name, _ in found]
    misplaced = [name for name, own in zip(declared, names, strict=False) if name in names and name != own]
    if len(names) != len(declared) or misplaced:
        listed = ", ".join(str(spec_of(name, tensor)) for name, tensor in found) or "no tensor"
        raise ExportError(
            f"the module's outputs are {listed}, declared are {', '.join(declared)}; "
            "declare all in order, or some by name"
        )


def _tensors(path: str, nested: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in dicts, lists, tuples and dataclasses, with their keys, indices and field names."""
    if isinstance(nested, torch.Tensor):
        yield path, nested
        return
    entries: Iterable[tuple[object, Any]]
    if isinstance(nested, Mapping):
        entries = nested.items()
    elif hasattr(nested, "_fields"):
        entries = zip(nested._fields, nested, strict=True)
    elif isinstance(nested, list | tuple):
        entries = enumerate(nested)
    elif is_dataclass(nested):
        entries = ((field.name, getattr(nested, field.name)) for field in fields(nested))
    else:
        return
    for key, item in entries:
        yield from _tensors(f"{path}.{key}" if path else str(key), item)
