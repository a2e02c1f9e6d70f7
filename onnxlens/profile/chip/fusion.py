"""Memory traffic when operators are fused: which tensors never leave the chip in each mode.

Every mode keeps reads of tensors on the chip, and those of the mode before it. A tensor of which every read
is kept is not written either; one with another reader is.

``none``
    Nothing is fused.
``epilogue``
    Elementwise operators, activations, casts, quantization and batch normalizations in inference ride on the
    operator before them: one with MACs, or a normalization or softmax. The statistics of these need a pass,
    so their own input is written and read once; what follows them rides on them. A rider has the shape of
    what it rides on. It waits for what else it reads, which is read from memory, and so does its cluster: a
    node outside that reads of the cluster before the rider runs, ends it.
``attention``
    From the product of queries and keys over scale, mask and softmax to the product with the values all is
    one cluster: the scores never leave the chip.
``layer-pairs``
    Of two clusters that run one after the other, what the second reads of the first stays where it fits on
    the chip as a whole. A cluster in two pairs holds both tensors at once. Of all choices the one that saves
    most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import groupby, pairwise

from onnxlens.errors import UsageError
from onnxlens.profile.chip.memory_edges import MemoryEdges
from onnxlens.profile.count.families import (
    ELEMENTWISE,
    NORM,
    QUANTIZATION,
    SCORES,
    SOFTMAX,
    families,
    of_operator,
)
from onnxlens.profile.count.rules import Traffic
from onnxlens.profile.count.rules.normalization import is_training
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.traffic import FUSION_MODES, FusionMode

CASTS = frozenset({"Cast", "CastLike"})
NEEDS_A_PASS = frozenset({"DynamicQuantizeLinear"})
"""Elementwise, but for figures of the whole tensor that come first."""

Clusters = Sequence[int]
"""For each node the index of the first node of its cluster."""

Stays = Mapping[int, frozenset[str]]
"""By the index of a node the tensors that it reads on the chip."""


class Fusion:
    """The traffic of one graph in every mode; what modes share is found once."""

    def __init__(self, graph: Graph, costs: Sequence[NodeCost]) -> None:
        """``costs`` are those of the graph's nodes, as they are counted."""
        self._graph, self._costs = graph, costs
        self.edges = MemoryEdges(graph, costs)

    def traffic(self, mode: FusionMode, on_chip_bytes: int | None = None) -> Sequence[Traffic]:
        """What each node moves in all its runs.

        Args:
            mode: what is fused.
            on_chip_bytes: what fits on the chip; ``layer-pairs`` needs it.

        Raises:
            UsageError: it is not given.
        """
        stays = self.stays(mode, on_chip_bytes)
        return [self._traffic(index, cost, stays) for index, cost in enumerate(self._costs)]

    def stays(self, mode: FusionMode, on_chip_bytes: int | None = None) -> Stays:
        """The reads that are kept on the chip; arguments are those of ``traffic``."""
        if mode not in FUSION_MODES:
            raise UsageError(f"fusion {mode!r} is none of {', '.join(FUSION_MODES)}")
        if mode == "none":
            return {}
        clusters = self._epilogue if mode == "epilogue" else self._attention
        inside = self._inside(clusters)
        if mode != "layer-pairs":
            return inside
        if on_chip_bytes is None:
            raise UsageError(
                "--fusion layer-pairs needs the size of the memory on the chip; add --on-chip SIZE"
            )
        return self._with_pairs(clusters, inside, on_chip_bytes)

    def _traffic(self, index: int, cost: NodeCost, stays: Stays) -> Traffic:
        moves = self.edges.moves.get(index)
        if moves is None:
            return Traffic(cost.weight_read_bytes, cost.read_bytes, cost.write_bytes)
        here = stays.get(index, frozenset())
        reads = sum(size_bytes for tensor, size_bytes in moves.reads.items() if tensor in here)
        writes = sum(
            size_bytes for tensor, size_bytes in moves.writes.items() if self._unwritten(tensor, stays)
        )
        return Traffic(
            cost.weight_read_bytes,
            cost.read_bytes - cost.repeats * reads,
            cost.write_bytes - cost.repeats * writes,
        )

    def _unwritten(self, tensor: str, stays: Stays) -> bool:
        """Whether every read of it is kept on the chip, and it has any."""
        readers = self.edges.readers.get(tensor)
        if not readers or tensor in self.edges.kept:
            return False
        return all(tensor in stays.get(reader, ()) for reader in readers)

    @cached_property
    def _epilogue(self) -> Clusters:
        clusters = list(range(len(self._costs)))
        open_until: dict[int, int] = {}  # by cluster, its last node
        for index, moves in self.edges.moves.items():
            made_in = {
                tensor: clusters[maker]
                for tensor in moves.tensors
                if (maker := self.edges.maker.get(tensor)) is not None
            }
            ridden = [made_in[tensor] for tensor in self._may_ride_on(index) if tensor in made_in]
            joined = max(
                (each for each in ridden if each in open_until), key=open_until.__getitem__, default=None
            )
            for each in made_in.values():
                if each != joined:
                    open_until.pop(each, None)
            if joined is not None:
                clusters[index] = joined
            if joined is not None or self._is_anchor(index):
                open_until[clusters[index]] = index
        return clusters

    def _may_ride_on(self, index: int) -> Iterator[str]:
        """The tensors that the node works on element by element, if it does."""
        node, moves = self._graph.nodes[index], self.edges.moves[index]
        if not (moves.writes and is_elementwise(node.view) and not self._costs[index].macs):
            return
        output = node.view.outputs[0]
        for value in node.view.inputs:
            if value is None or output is None or value.shape != output.shape:
                continue
            tensor = self.edges.tensor_of(value.name)
            maker = self.edges.maker.get(tensor)
            if maker is not None and self._graph.nodes[maker].within == node.within:
                yield tensor

    def _is_anchor(self, index: int) -> bool:
        if not self.edges.moves[index].writes:
            return False
        view = self._graph.nodes[index].view
        return self._costs[index].macs > 0 or _family(view.domain, view.op_type) in (NORM, SOFTMAX)

    @cached_property
    def _attention(self) -> Clusters:
        """The clusters of ``epilogue``, those of each attention joined."""
        clusters = list(self._epilogue)
        members = self._members(clusters)
        for part in self._attentions():
            joined = {clusters[index] for index in part}
            together = sorted(index for cluster in joined for index in members[cluster])
            if not self._is_read_before(together):
                members[min(joined)] = together
                for index in together:
                    clusters[index] = min(joined)
        return clusters

    def _members(self, clusters: Clusters) -> dict[int, list[int]]:
        members: dict[int, list[int]] = {}
        for index in self.edges.moves:
            members.setdefault(clusters[index], []).append(index)
        return members

    def _is_read_before(self, members: Sequence[int]) -> bool:
        """Whether another node reads what the members make before the last of them runs: it might feed it."""
        inside, end = set(members), members[-1]
        readers = (
            reader
            for index in members
            for tensor in self.edges.moves[index].writes
            for reader in self.edges.readers.get(tensor, ())
        )
        return any(reader not in inside and reader < end for reader in readers)

    def _attentions(self) -> Iterator[Sequence[int]]:
        """The nodes of each attention that is written out: products, softmax and what stands between them."""
        found = families(self._graph)
        parts: dict[int, list[int]] = {}
        part_of: dict[int, int] = {}
        for index in self.edges.moves:
            if found[index] != SCORES:
                continue
            makers = (self.edges.maker.get(tensor) for tensor in self.edges.moves[index].tensors)
            within = self._graph.nodes[index].within
            before = {
                part_of[maker]
                for maker in makers
                if maker in part_of and self._graph.nodes[maker].within == within
            }
            first = min(before, default=index)
            part = parts.setdefault(first, [])
            for other in sorted(before - {first}):
                part += parts.pop(other)
            part.append(index)
            part_of.update(dict.fromkeys(part, first))
        for part in parts.values():
            views = [self._graph.nodes[index].view for index in part]
            if any(_family(view.domain, view.op_type) == SOFTMAX for view in views):
                yield part

    def _inside(self, clusters: Clusters) -> dict[int, frozenset[str]]:
        """What nodes read of their own cluster."""
        maker = self.edges.maker
        return {
            index: here
            for index, moves in self.edges.moves.items()
            if (
                here := frozenset(
                    tensor
                    for tensor in moves.reads
                    if (made := maker.get(tensor)) is not None and clusters[made] == clusters[index]
                )
            )
        }

    def _with_pairs(self, clusters: Clusters, inside: Stays, on_chip_bytes: int) -> Stays:
        stays = dict(inside)
        for run in self._runs(clusters):
            for reader, tensor in _chosen(run, on_chip_bytes):
                stays[reader] = stays.get(reader, frozenset()) | {tensor}
        return stays

    def _runs(self, clusters: Clusters) -> Iterator[Sequence[Pair]]:
        """The pairs of clusters that run one after the other, as long as each follows the one before."""
        order = sorted(self._members(clusters).values(), key=lambda part: part[-1])
        around = [self._graph.nodes[part[0]].within for part in order]
        start = 0
        for _, same in groupby(around):
            end = start + len(list(same))
            yield [Pair(self, *both) for both in pairwise(order[start:end])]
            start = end


class Pair:
    """What the second of two clusters reads of the first: its size, and what keeping it on the chip saves."""

    def __init__(self, fusion: Fusion, first: Sequence[int], second: Sequence[int]) -> None:
        edges, inside = fusion.edges, {*first, *second}
        written = {tensor: size for index in first for tensor, size in edges.moves[index].writes.items()}
        self.edges = [
            (index, tensor) for index in second for tensor in edges.moves[index].reads if tensor in written
        ]
        passed = {tensor for _, tensor in self.edges}
        self.size_bytes = sum(written[tensor] for tensor in passed)
        self.saved_bytes = sum(edges.moves[index].reads[tensor] for index, tensor in self.edges)
        for tensor in passed - edges.kept:
            if inside.issuperset(edges.readers[tensor]):
                self.saved_bytes += written[tensor]


def _chosen(pairs: Sequence[Pair], on_chip_bytes: int) -> Iterable[tuple[int, str]]:
    """The reads of the pairs that save most, where each and any two in a row fit on the chip together.

    By dynamic programming: the most that the pairs so far save, with and without the last of them.
    """
    with_last, without_last = -1, 0
    steps: list[tuple[bool, bool]] = []  # of each pair, whether the best choice takes the one before it
    before = 0
    for pair in pairs:
        size = pair.size_bytes
        fits = bool(pair.edges) and size <= on_chip_bytes
        both = (
            with_last + pair.saved_bytes if fits and with_last >= 0 and before + size <= on_chip_bytes else -1
        )
        alone = without_last + pair.saved_bytes if fits else -1
        steps.append((both > alone, with_last > without_last))
        with_last, without_last = max(both, alone), max(with_last, without_last)
        before = size
    taken = with_last > without_last
    for pair, (after_taken, after_left) in zip(reversed(pairs), reversed(steps), strict=True):
        if taken:
            yield from pair.edges
        taken = after_taken if taken else after_left


def is_elementwise(node: NodeView) -> bool:
    """Whether each output element depends on the input elements at its position alone."""
    if node.op_type in NEEDS_A_PASS or node.op_type in CASTS:
        return node.op_type in CASTS
    family = _family(node.domain, node.op_type)
    if node.op_type == "BatchNormalization":
        return not is_training(node)
    return family in (ELEMENTWISE, QUANTIZATION)


@lru_cache(2**10)
def _family(domain: str, op_type: str) -> str:
    return of_operator(domain, op_type)
