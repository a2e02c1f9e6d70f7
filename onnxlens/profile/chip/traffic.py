"""The memory traffic of a graph: by mode of fusion, by kind, and by the size of the memory on the chip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache

from onnxlens.profile.chip.as_held import as_if_held
from onnxlens.profile.chip.fusion import Fusion, Stays
from onnxlens.profile.chip.tiling import Statistics, Tiles, tiles_of
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.count.rules import Traffic
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NotCountable
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.traffic import (
    FUSION_MODES,
    FusedTraffic,
    FusionMode,
    KneePoint,
    Rows,
    TrafficKinds,
    TrafficReport,
    TrafficRow,
    traffic_together,
)

SMALLEST_KNEE_BYTES = 2**14


def compulsory_bytes(graph: Graph, fusion: Fusion) -> int:
    """What is read of each weight and input by the node that reads most of it, and each output once."""
    edges = fusion.edges
    weights: dict[str, int] = {}
    inputs = {edges.tensor_of(tensor.name): 0 for tensor in graph.inputs}
    for moves in edges.moves.values():
        for name, size_bytes in moves.weights.items():
            weights[name] = max(size_bytes, weights.get(name, 0))
        for tensor in inputs.keys() & moves.reads.keys():
            inputs[tensor] = max(moves.reads[tensor], inputs[tensor])
    outputs = {edges.tensor_of(tensor.name) for tensor in graph.outputs}
    makers = {tensor: edges.maker[tensor] for tensor in outputs if tensor in edges.maker}
    written = sum(edges.moves[maker].writes.get(tensor, 0) for tensor, maker in makers.items())
    return sum(weights.values()) + sum(inputs.values()) + written


class GraphTraffic:
    """The traffic of one graph; what several questions share is found once."""

    def __init__(self, graph: Graph, ledger: Ledger, dtype: str = "") -> None:
        """``ledger`` is the graph's; floats are as if held in ``dtype``, "" for the file's."""
        self._graph = as_if_held(graph, dtype) if dtype else graph
        self._ledger, self._dtype = ledger, dtype
        self._costs = count_nodes(self._graph) if dtype else ledger.nodes
        self.fusion = Fusion(self._graph, self._costs)

    @cached_property
    def tiles(self) -> Mapping[int, Tiles | Statistics | None]:
        """How the nodes are tiled that do not just stream; None for those whose tiles are unknown."""
        found: dict[int, Tiles | Statistics | None] = {}
        for index, moves in self.fusion.edges.moves.items():
            try:
                tiles = tiles_of(self._graph.nodes[index].view, moves, self.fusion.edges)
            except NotCountable:
                found[index] = None
            else:
                if tiles is not None:
                    found[index] = tiles
        return found

    def spilled(self, on_chip_bytes: int, stays: Stays) -> Mapping[int, int]:
        """What the nodes read again in all their runs; of those that do not fit in tiles a lower bound.

        Args:
            on_chip_bytes: the size of the memory on the chip.
            stays: what is read on the chip, of which nothing is read again.
        """
        return {
            index: _spilled(tiles, on_chip_bytes, *self._on_chip(index, stays)) * self._costs[index].repeats
            for index, tiles in self.tiles.items()
            if tiles is not None
        }

    def untiled(self, on_chip_bytes: int | None, nodes: Iterable[int]) -> int:
        """How many of the nodes do not fit on the chip in tiles, or have no known tiles."""
        tiled = (self.tiles[index] for index in nodes if index in self.tiles)
        return sum(each is None or each.least_bytes > (on_chip_bytes or each.least_bytes) for each in tiled)

    def _on_chip(self, index: int, stays: Stays) -> tuple[bool, bool]:
        """Whether a node's first input, and its second one, come from the chip."""
        here, tensor_of = stays.get(index, frozenset()), self.fusion.edges.tensor_of
        first, second = (*self._graph.nodes[index].view.inputs, None, None)[:2]
        return (
            first is not None and tensor_of(first.name) in here,
            second is not None and tensor_of(second.name) in here,
        )

    def knee(self, mode: FusionMode) -> tuple[KneePoint, ...]:
        """What the graph moves with more and more memory on the chip, until that changes nothing."""
        largest = max((tiles.whole_bytes for tiles in self.tiles.values() if tiles), default=0)
        if mode == "layer-pairs":
            sizes = (size for moves in self.fusion.edges.moves.values() for size in moves.writes.values())
            largest = max(largest, 2 * max(sizes, default=0))
        points = [self._at(size, mode) for size in _sizes(largest)]
        end = points[-1]
        while len(points) > 1 and replace(points[-2], on_chip_bytes=end.on_chip_bytes) == end:
            points.pop()
        return tuple(points)

    def _at(self, on_chip_bytes: int, mode: FusionMode) -> KneePoint:
        stays = self.fusion.stays(mode, on_chip_bytes)
        moved = sum(each.moved_bytes for each in self.fusion.traffic(mode, on_chip_bytes))
        spilled = sum(self.spilled(on_chip_bytes, stays).values())
        return KneePoint(on_chip_bytes, moved + spilled, self.untiled(on_chip_bytes, self.tiles))

    def report(self, mode: FusionMode, on_chip_bytes: int | None, by: Rows) -> TrafficReport:
        """Everything, in rows of one kind.

        Raises:
            UsageError: ``layer-pairs`` without a size.
        """
        modes = FUSION_MODES if on_chip_bytes is not None else FUSION_MODES[:-1]
        moved = {each: self.fusion.traffic(each, on_chip_bytes) for each in modes}
        nodes = self._nodes(mode, moved, on_chip_bytes)
        return TrafficReport(
            graph=self._ledger.graph,
            source=self._ledger.source,
            fusion=mode,
            on_chip_bytes=on_chip_bytes,
            compulsory_bytes=compulsory_bytes(self._graph, self.fusion),
            by=by,
            rows=tuple(
                traffic_together([nodes[index] for index in indices], modes, named)
                for named, indices in self._parts(by)
            ),
            total=traffic_together(nodes, modes, ("total", "", 0)),
            kinds={each: self._kinds(each, moved, on_chip_bytes) for each in modes},
            knee=self.knee(mode),
            attribution=self._ledger.attribution,
            stored_as=self._dtype,
        )

    def fused(self, mode: FusionMode, on_chip_bytes: int | None) -> FusedTraffic:
        """The traffic of one mode.

        Raises:
            UsageError: ``layer-pairs`` without a size.
        """
        moved = {mode: self.fusion.traffic(mode, on_chip_bytes)}
        return FusedTraffic(mode, on_chip_bytes, self._nodes(mode, moved, on_chip_bytes))

    def _nodes(
        self, mode: FusionMode, moved: Mapping[FusionMode, Sequence[Traffic]], on_chip_bytes: int | None
    ) -> Sequence[TrafficRow]:
        """The row of every node; ``mode`` is that of the kinds of bytes and of what is spilled."""
        stays = self.fusion.stays(mode, on_chip_bytes)
        spilled = {} if on_chip_bytes is None else self.spilled(on_chip_bytes, stays)
        rows = []
        for index, (cost, chosen) in enumerate(zip(self._costs, moved[mode], strict=True)):
            tiles = self.tiles.get(index)
            rows.append(
                TrafficRow(
                    cost.node,
                    cost.class_name,
                    0,
                    {each: traffic[index].moved_bytes for each, traffic in moved.items()},
                    chosen.weight_read_bytes,
                    chosen.read_bytes,
                    chosen.write_bytes,
                    None if on_chip_bytes is None else spilled.get(index, 0),
                    None if tiles is None else tiles.whole_bytes,
                    self.untiled(on_chip_bytes, (index,)),
                    int(cost.status == "unknown" and not cost.moved_bytes),
                )
            )
        return rows

    def _kinds(
        self, mode: FusionMode, moved: Mapping[FusionMode, Sequence[Traffic]], on_chip_bytes: int | None
    ) -> TrafficKinds:
        whole = traffic_together(self._nodes(mode, moved, on_chip_bytes), (mode,))
        return TrafficKinds(whole.weight_read_bytes, whole.read_bytes, whole.write_bytes, whole.spilled_bytes)

    def _parts(self, by: Rows) -> Iterator[tuple[tuple[str, str, int], Sequence[int]]]:
        """The name, class and depth of each row, and its nodes."""
        if by == "module":
            inside = self._graph.by_module()
            for module in self._ledger.modules:
                yield (module.path, module.class_name, module.depth), inside[module.path]
        elif by == "op":
            members: dict[str, list[int]] = {}
            for index, cost in enumerate(self._costs):
                members.setdefault(f"{cost.domain}::{cost.op_type}".removeprefix("::"), []).append(index)
            for name, nodes in members.items():
                yield (name, "", 0), nodes
        else:
            for index, cost in enumerate(self._costs):
                yield (cost.node, cost.class_name, 0), (index,)


@lru_cache(2**16)
def _spilled(tiles: Tiles | Statistics, size_bytes: int, input_stays: bool, weights_stay: bool) -> int:
    return tiles.spilled_bytes(size_bytes, input_stays=input_stays, weights_stay=weights_stay)


def _sizes(largest: int) -> Iterable[int]:
    """Powers of two and what is half way between them, up to the first that is large enough."""
    size = SMALLEST_KNEE_BYTES
    while True:
        yield size
        if size >= largest:
            return
        size += size // 2 if size & (size - 1) == 0 else size // 3
