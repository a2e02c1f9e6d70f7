"""What nodes make, kept over all walks through a file: repeated layers are alike."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from onnxlens.profile.graph.loading.inference.facts import Fact
from onnxlens.profile.graph.loading.protobuf import FileNode
from onnxlens.profile.graph.loading.value_types import ValueType


class Memo:
    """What nodes made of what they read: equal ones of equal inputs once, in all walks through a file."""

    def __init__(self) -> None:
        self.held: dict[str, Fact] = {}  # by unique name, what the file holds of its initializers
        self.made: dict[Hashable, Sequence[Fact]] = {}
        self._kinds: dict[int, Hashable] = {}  # by the id of a node, which the file's graph keeps

    def key_of(
        self, node: FileNode, inputs: Sequence[Fact | None], known: Sequence[ValueType]
    ) -> Hashable | None:
        """What the node's results follow from; None where it takes more: bodies, sequences."""
        if node.subgraphs or any(fact is not None and fact.items is not None for fact in inputs):
            return None
        kind = self._kinds.get(id(node))
        if kind is None:
            kind = self._kinds[id(node)] = _kind_of(node)
        runs = any(fact is not None and not fact.is_constant for fact in inputs)
        return (
            kind,
            tuple([None if fact is None else _key_of(fact, runs) for fact in inputs]),
            tuple(known),
        )


def _kind_of(node: FileNode) -> Hashable:
    """Equal for nodes that make the same of the same; of one with a tensor among its attributes its own."""
    kind = (node.domain, node.op_type, node.version, tuple(map(bool, node.outputs)))
    attributes = tuple(node.attributes.items())
    try:
        hash(attributes)
    except TypeError:
        return (*kind, id(node))
    return (*kind, id(node) if node.op_type == "Constant" else attributes)


def _key_of(fact: Fact, runs: bool) -> Hashable:
    """That of an input; a large constant's type decides where another input is known at run time alone."""
    return fact.type if runs and fact.is_large else fact.key
