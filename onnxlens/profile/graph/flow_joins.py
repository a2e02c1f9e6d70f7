"""The module of a node that nothing names, by the data flow between nodes that have one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from onnxlens.profile.graph.node_view import DefUse, ValueView
from onnxlens.profile.graph.weight_owners import BETWEEN, PRODUCTS, TracedNode, common_path

Paths = list[str | None]
"""The module of every node; None while it is not known."""

KNOWN_PAIRS = 2**14


class FlowJoins:
    """Fills the gaps in ``paths``, in place.

    1. A product without a name of its own joins the module whose bias is added to its result.
    2. A node of a file whose exporter lost few modules joins its consumers' common module, else its
       producers': what rewriting inserts, it inserts before the node that needs it.
    3. Any other node joins the deepest module that contains its neighbors on both sides, those that are known
       or, through others that are not, the next. What has none on one side stands at an end of the model, or
       of a body, and belongs to the model, or to what runs the body.
    """

    def __init__(self, nodes: Sequence[TracedNode], paths: Paths, def_use: DefUse) -> None:
        self._nodes = nodes
        self._paths = paths
        self._producers = def_use.producers
        self._consumers = def_use.consumers

    def join_biases(self, bias_owners: Mapping[int, str]) -> None:
        """Let products and what follows them join the addition of a bias, given by its index."""
        for add, path in bias_owners.items():
            for value in self._nodes[add].reads:
                chain = self._back_to_product(value)
                for index in chain:
                    if self._paths[index] is None:
                        self._paths[index] = path

    def _back_to_product(self, value: ValueView) -> Sequence[int]:
        """The nodes from a product with a constant up to what it is added to; empty if there is none."""
        chain: list[int] = []
        index = self._producers.get(value.name)
        while index is not None and len(self._consumers.get(value.name, ())) == 1:
            node = self._nodes[index]
            chain.append(index)
            if node.view.op_type in PRODUCTS:
                return chain
            if node.view.op_type not in BETWEEN or node.constant_folded or not node.reads:
                return ()
            value = node.reads[0]
            index = self._producers.get(value.name)
        return ()

    def follow_consumers(self, indices: Sequence[int]) -> None:
        """Let these nodes join their consumers' common module, else their producers'."""
        for index in reversed(indices):
            outputs = (value.name for value in self._nodes[index].view.outputs if value is not None)
            self._infer(index, (user for name in outputs for user in self._consumers.get(name, ())))
        for index in indices:
            names = (value.name for value in self._nodes[index].view.inputs if value is not None)
            self._infer(index, (self._producers[name] for name in names if name in self._producers))

    def _infer(self, index: int, neighbors: Iterable[int]) -> None:
        if self._paths[index] is None:
            known = [path for neighbor in neighbors if (path := self._paths[neighbor]) is not None]
            self._paths[index] = common_path(known) if known else None

    def join_neighbors(self, indices: Sequence[int]) -> None:
        """Let these nodes join the deepest module that contains their neighbors on both sides."""
        before, after = self._paths_before(indices), self._paths_after(indices)
        around = self._enclosing()
        for index in reversed(indices):  # a node comes after the bodies inside it
            node = self._nodes[index]
            source = after[index] if node.constant_folded else before[index]
            path = _common(source, after[index])
            if node.within:
                outer = self._paths[around[node.within[-1]]] or ""
                path = path if contains(outer, path) else outer
            self._paths[index] = path

    def _paths_before(self, indices: Sequence[int]) -> Paths:
        """The deepest module that contains what each of these nodes reads, or what stands before that.

        What else comes from the graph's inputs, a mask or a length, does not count.
        """
        before, producers = list(self._paths), self._producers
        for index in indices:
            node = self._nodes[index]
            found: str | None = None
            read = () if node.constant_folded else node.reads if node.bodies else node.view.inputs
            for value in read:
                if value is not None and not value.is_weight:
                    source = producers.get(value.name)
                    path = None if source is None else before[source]
                    if path is not None and path != found:
                        found = path if found is None else _common(found, path)
            before[index] = found
        return before

    def _paths_after(self, indices: Sequence[int]) -> Paths:
        """The deepest module that contains what reads each of these nodes, or what stands behind that."""
        after, consumers = list(self._paths), self._consumers
        for index in reversed(indices):
            found: str | None = None
            for value in self._nodes[index].view.outputs:
                for user in () if value is None else consumers.get(value.name, ()):
                    path = after[user]
                    if path is not None and path != found:
                        found = path if found is None else _common(found, path)
            after[index] = found
        return after

    def _enclosing(self) -> Mapping[str, int]:
        """The node that runs each body, by the body's key."""
        return {body.key: index for index, node in enumerate(self._nodes) for body in node.bodies}


@lru_cache(KNOWN_PAIRS)
def _common(one: str | None, other: str | None) -> str:
    """The deepest module that contains both; the model, where one is not known."""
    return "" if one is None or other is None else common_path((one, other))


def contains(outer: str, path: str) -> bool:
    """Whether the module at ``outer`` is, or has inside it, the one at ``path``."""
    return not outer or path == outer or path.startswith(f"{outer}.")
