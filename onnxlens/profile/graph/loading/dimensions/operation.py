"""One node as the rules see it: its attributes, and its inputs' shapes in names of dimensions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

from onnxlens.profile.graph.loading.dimensions.equations import Equations, Role
from onnxlens.profile.graph.loading.dimensions.polynomials import Poly, Size, named
from onnxlens.profile.graph.loading.protobuf import FileNode, label_of

Shape = tuple[Size | None, ...]
"""None for a dimension of which nothing is known."""

Vector = tuple[Size | None, ...]
"""The elements of a small tensor of integers; of a scalar, one."""


class Operation:
    """A node whose rule runs."""

    __slots__ = ("_found", "_reach", "_returned", "_vector", "node", "returns_caches", "shapes")

    def __init__(
        self,
        node: FileNode,
        shapes: Sequence[Shape | None],
        vector: Callable[[str], Vector | None],
        reach: Callable[[str], Vector | None],
        returned: Callable[[str], Shape | None],
        found: Equations,
    ) -> None:
        """With what is known of each input, and the equations that it adds to."""
        self.node = node
        self.shapes = shapes
        self.returns_caches = False
        self._vector = vector
        self._reach = reach
        self._returned = returned
        self._found = found

    def has(self, index: int) -> bool:
        """Whether it reads such an input."""
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def shape(self, index: int, rank: int | None = None) -> Shape | None:
        """That of an input; None where it is left out, not known, or not of that rank."""
        found = self.shapes[index] if index < len(self.shapes) else None
        return None if found is None or (rank is not None and len(found) != rank) else found

    def vector(self, index: int) -> Vector | None:
        """The elements of an input."""
        return self._vector(self.node.inputs[index]) if self.has(index) else None

    def reach(self, index: int) -> Vector | None:
        """How far the indices in an input count (see ``reaches``)."""
        return self._reach(self.node.inputs[index]) if self.has(index) else None

    def returned_length(self) -> Size | None:
        """The length that the file declares of the cache that it returns."""
        declared = self._returned(self.node.outputs[1]) if len(self.node.outputs) > 1 else None
        return declared[-2] if declared is not None and len(declared) > 1 else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value."""
        return self.node.attributes.get(name, default)

    def axis(self, rank: int, default: int = 0) -> int:
        """The attribute of that name, counted from the front; -1 where there is no such axis."""
        axis: int = self.attribute("axis", default)
        axis += rank * (axis < 0)
        return axis if 0 <= axis < rank else -1

    def axes(self) -> Sequence[int] | None:
        """Those of the attribute, or of the second input; None where they are left out or not known."""
        held = self.attribute("axes")
        given = self.vector(1) or (None,) if held is None else held
        known = [each for each in given if isinstance(each, int)]
        return known if len(known) == len(given) else None

    def equal(self, first: Size | None, second: Size | None, what: str) -> None:
        """Both are one size, because of what is named."""
        if first is not None and second is not None and first != second:
            self._found.add(first, second, self._said(what))

    def alike(self, first: Shape | None, second: Shape | None, what: str) -> None:
        """All of their dimensions are equal."""
        for one, other in zip(first or (), second or (), strict=False):
            self.equal(one, other, what)

    def at_least(self, size: Size | None, least: Size | None, what: str) -> None:
        """A name that is taken to be the least that runs."""
        name = _name(size)
        if name is not None and least is not None and size != least:
            self._found.require_least(name, least, self._said(what))

    def cached(self, batch: Size | None, length: Size | None = None) -> None:
        """It has the caches of so many sequences, each of so many tokens where it grows."""
        self.returns_caches = True
        self._found.batch = self._found.batch or _name(batch)
        self._set_role(length, "cached")

    def reads_tokens(self, shape: Shape | None) -> None:
        """It reads sequences of tokens."""
        if shape is not None and len(shape) > 1:
            self._set_role(shape[0], "sequences")
            self._set_role(shape[1], "tokens")

    def _set_role(self, size: Size | None, role: Role) -> None:
        name = _name(size)
        if name is not None:
            self._found.roles.setdefault(name, role)

    def _said(self, what: str) -> str:
        return f"{self.node.op_type} {label_of(self.node.proto)}: {what}"


Made = Sequence[Shape | None]
Rule = Callable[[Operation], Made]
"""The shapes of a node's outputs, as far as they are known; the operation learns what must be equal."""


def _name(size: Size | None) -> str | None:
    """The name that a dimension is."""
    name = next(iter(size.names)) if isinstance(size, Poly) else ""
    return name if size == named(name) else None


def total(sizes: Iterable[Size | None]) -> Size | None:
    """The sum; None where one is not known."""
    return _folded(sizes, lambda first, second: first + second, 0)


def product(sizes: Iterable[Size | None]) -> Size | None:
    """The product; None where one is not known."""
    return _folded(sizes, lambda first, second: first * second, 1)


def _folded(sizes: Iterable[Size | None], join: Callable[[Size, Size], Size], start: Size) -> Size | None:
    known = list(sizes)
    held = [size for size in known if size is not None]
    return reduce(join, held, start) if len(held) == len(known) else None
