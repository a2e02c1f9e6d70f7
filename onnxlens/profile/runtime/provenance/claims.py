"""Which source nodes each node of the optimised graph computes.

Every source node has one claimer at most. Claims are made in this order, the surest first: by node name, by
the names of outputs, by weights, for what a twin computes as well, backwards for what ONNX Runtime fused
before a node, forwards for what it fused behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.provenance.runtime_graph import MOVING, RuntimeNode
from onnxlens.profile.runtime.provenance.twins import twins_of

BLOCKED = "_nchwc"
"""What ONNX Runtime appends to the name of a value for the node that makes it in blocks of channels."""

MADE_UP = re.compile(r"/\w*Fusion/*$|_token_\d+$|_new_reshape$")
"""What it appends to the name of the node that a new one stands for, once for each rewriting."""

NEVER_SOURCES = frozenset({"ReorderInput", "ReorderOutput", "MemcpyFromHost", "MemcpyToHost"})
"""Operators that no source node is replaced by."""


class Claims:
    """The claims of all nodes; ``sources`` and ``claimers`` hold what was found."""

    def __init__(self, graph: Graph, nodes: Sequence[RuntimeNode]) -> None:
        """Find the claims of ``nodes``, of the optimised form of ``graph``."""
        self.sources: list[set[int]] = [set() for _ in nodes]
        self.claimers: dict[int, int] = {}
        self.makers = {name: index for index, node in enumerate(nodes) for name in node.outputs}
        self._nodes = nodes
        self._graph = graph
        self._producers = {
            value.name: index
            for index, node in enumerate(graph.nodes)
            for value in node.view.outputs
            if value is not None
        }
        self._reads = [self._read_by(index) for index in range(len(graph.nodes))]
        self._by_node_name()
        self._aliases = self._known_by_another_name()
        self._by_output_name()
        self._by_weight()
        self._of_twins()
        self._feeds = self._claimers_before()
        self._backwards(strictly=True)
        while self._forwards():
            self._activations()
            self._backwards(strictly=True)
        self._backwards(strictly=False)

    def maker_of(self, name: str) -> int | None:
        """The source node that makes the value, which may have another name in the optimised graph."""
        return self._producers.get(self._aliases.get(name, name))

    def _read_by(self, index: int) -> tuple[int, ...]:
        """The source nodes whose outputs a source node reads."""
        names = (value.name for value in self._graph.nodes[index].reads)
        return tuple(dict.fromkeys(self._producers[name] for name in names if name in self._producers))

    def _claim(self, claimer: int, source: int) -> None:
        if source not in self.claimers:
            self.claimers[source] = claimer
            self.sources[claimer].add(source)

    def _by_node_name(self) -> None:
        named: dict[str, list[int]] = {}
        for source, traced in enumerate(self._graph.nodes):
            named.setdefault(traced.view.name, []).append(source)
        for index, node in enumerate(self._nodes):
            own = {self._producers[name] for name in node.outputs if name in self._producers}
            found = named.get(node.prefix + node.name, []) if node.name else []
            for source in found if len(found) == 1 else own.intersection(found):
                self._claim(index, source)
        for index, node in enumerate(self._nodes):
            if not self.sources[index]:
                for source in self._by_made_up_name(node, named):
                    self._claim(index, source)

    def _by_made_up_name(self, node: RuntimeNode, named: Mapping[str, list[int]]) -> Iterator[int]:
        """The source node whose name, or whose output's, the runtime made the node's name of."""
        name = node.prefix + node.name
        while (shorter := MADE_UP.sub("", name)) != name:
            name = shorter
            if len(found := named.get(name, [])) == 1 and self._may_replace(node, found[0]):
                yield found[0]
        if name.endswith(BLOCKED) and (source := self._producers.get(name.removesuffix(BLOCKED))) is not None:
            yield source

    def _may_replace(self, node: RuntimeNode, source: int) -> bool:
        """Whether the node can stand for the source node: what only moves elements stands for no other."""
        return node.op_type not in MOVING or self._moves(node, source)

    def _moves(self, node: RuntimeNode, source: int) -> bool:
        return node.op_type not in NEVER_SOURCES and self._graph.nodes[source].view.op_type in MOVING

    def _known_by_another_name(self) -> dict[str, str]:
        """Values without a source name of which a node put in makes a source value: by name, that one's."""
        aliases: dict[str, str] = {}
        for index in reversed(range(len(self._nodes))):
            node = self._nodes[index]
            if node.op_type in MOVING and not self.sources[index] and node.inputs and node.outputs:
                read, made = node.inputs[0], aliases.get(node.outputs[0], node.outputs[0])
                if made in self._producers and read not in self._producers and read in self.makers:
                    aliases.setdefault(read, made)
        return aliases

    def _by_output_name(self) -> None:
        for put_in in (False, True):
            for index, node in enumerate(self._nodes):
                moves = node.op_type in MOVING and not self.sources[index]
                if moves == put_in:
                    for source in map(self.maker_of, node.outputs):
                        if source is not None and (not moves or self._moves(node, source)):
                            self._claim(index, source)

    def _by_weight(self) -> None:
        """What alone reads a weight goes to the node that alone reads it: a bias tells whose Add it is."""
        users: dict[str, list[int]] = {}
        for source, traced in enumerate(self._graph.nodes):
            for value in traced.view.inputs:
                if value is not None and value.name in self._graph.weights:
                    users.setdefault(value.name, []).append(source)
        readers: dict[str, list[int]] = {}
        for index, node in enumerate(self._nodes):
            for name in set(node.inputs) & set(users):
                readers.setdefault(name, []).append(index)
        for name, found in readers.items():
            if len(found) == len(users[name]) == 1 and self._nodes[found[0]].op_type not in MOVING:
                self._claim(found[0], users[name][0])

    def _of_twins(self) -> None:
        for twins in twins_of(self._graph):
            claimers = [self.claimers[source] for source in twins if source in self.claimers]
            for source in twins if claimers else ():
                self._claim(claimers[0], source)

    def _claimers_before(self) -> Sequence[Set[int]]:
        """For each node those with claims that it reads from, directly or through nodes without any."""
        feeds: list[Set[int]] = []
        for index, node in enumerate(self._nodes):
            before: set[int] = set()
            for maker in (self.makers[name] for name in node.inputs if name in self.makers):
                if self.sources[maker]:
                    before.add(maker)
                elif maker < index:
                    before |= feeds[maker]
            feeds.append(before)
        return feeds

    def _free(self) -> Iterator[int]:
        """The source nodes that run and that nobody has claimed yet, in their order."""
        for index, node in enumerate(self._graph.nodes):
            if not node.constant_folded and index not in self.claimers:
                yield index

    def _forwards(self) -> bool:
        """Claim one step: what reads a node whose output is no source value, and else only what that reads.

        One step, since what comes next may be fused into its own reader.
        """
        found = {source: claimer for source in self._free() if (claimer := self._behind(source)) is not None}
        for source, claimer in found.items():
            self._claim(claimer, source)
        return bool(found)

    def _activations(self) -> None:
        """What a node says that it ends with, where that reads what the node has claimed."""
        for source in self._free():
            claimer = self._behind(source)
            if claimer is not None and self._awaits(claimer) == self._graph.nodes[source].view.op_type:
                self._claim(claimer, source)

    def _awaits(self, claimer: int) -> str | None:
        """The activation of a node that has no claim on any such source node yet."""
        activation = self._nodes[claimer].activation
        claimed = {self._graph.nodes[source].view.op_type for source in self.sources[claimer]}
        return activation if activation and activation not in claimed else None

    def _behind(self, source: int) -> int | None:
        """The node that the source node was fused into: it makes what that reads, or reads it too."""
        before = {self.claimers.get(read) for read in self._reads[source] if not self._is_offline(read)}
        claimers = {claimer for claimer in before if claimer is not None}
        if not claimers or len(claimers) < len(before):
            return None
        last = max(claimers)
        hidden = all(self.maker_of(name) is None for name in self._nodes[last].outputs)
        return last if hidden and claimers - {last} <= self._feeds[last] else None

    def _is_offline(self, source: int) -> bool:
        return self._graph.nodes[source].constant_folded

    def _backwards(self, *, strictly: bool) -> None:
        """What a claimed source node reads; strictly, if that reads only what the claimer reads too."""
        readers: dict[int, list[int]] = {}
        for reader, reads in enumerate(self._reads):
            for read in reads:
                readers.setdefault(read, []).append(reader)
        before = self._claimers_above()
        for source in reversed(list(self._free())):
            users = readers.get(source, ())
            for claimer in sorted({self.claimers[user] for user in users if user in self.claimers}):
                if not strictly or before[source] <= {claimer, *self._feeds[claimer]}:
                    self._claim(claimer, source)

    def _claimers_above(self) -> Sequence[Set[int]]:
        """For each source node the claimers of what it reads, directly or through unclaimed nodes."""
        above: list[Set[int]] = []
        for reads in self._reads:
            found: set[int] = set()
            for read in reads:
                if read in self.claimers:
                    found.add(self.claimers[read])
                else:
                    found |= above[read]
            above.append(found)
        return above
