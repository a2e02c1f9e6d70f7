"""What bounds the time of every node of a graph on a chip: docs/roofline.md derives it.

``ChipBounds.of`` treats any nodes as one thing whose inside nobody sees: all units work at once, every
intermediate stays on the chip, and what memories between home and array can hold is there before, or is left
there after.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxlens.errors import UsageError
from onnxlens.profile.chip.array_fit import fit_layers
from onnxlens.profile.chip.as_held import as_if_held, operands_of
from onnxlens.profile.chip.fusion import Fusion
from onnxlens.profile.chip.matrix_work import matrix_work
from onnxlens.profile.count import families
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.count.rules import Traffic
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NotCountable
from onnxlens.specs.array_fit import LayerFit
from onnxlens.specs.chip import Chip
from onnxlens.specs.edges import Edges, Moved
from onnxlens.specs.ledger import Ledger, NodeCost
from onnxlens.specs.roofline import (
    COMPUTE,
    ELEMENTWISE,
    TRANSCENDENTAL,
    ChipBounds,
    NodeTimes,
    memory_times,
)
from onnxlens.specs.traffic import FusionMode

VECTOR_WORK = frozenset({families.ELEMENTWISE, families.NORM, families.SOFTMAX, families.REDUCTION})
"""What takes the elementwise unit's time where it does not ride on another operator."""


@dataclass(frozen=True, slots=True)
class Held:
    """A graph in the types that are asked for, its costs and its edges: shared by all chips."""

    graph: Graph
    costs: Sequence[NodeCost]
    fusion: Fusion
    edges: Edges
    around: Sequence[tuple[str, ...]]

    @classmethod
    def of(cls, graph: Graph, costs: Sequence[NodeCost]) -> Held:
        """A graph that is held as it is to be bounded, with the costs of its nodes."""
        fusion = Fusion(graph, costs)
        passed = fusion.edges
        outputs = frozenset(passed.tensor_of(each.name) for each in graph.outputs)
        edges = Edges(passed.moves, passed.maker, passed.readers, outputs)
        around = [graph.hierarchy.lineage(node.module.path) for node in graph.nodes]
        return cls(graph, costs, fusion, edges, around)


class Bounder:
    """What every node of one graph takes on one chip."""

    def __init__(self, held: Held, chip: Chip, *, has_vendor: bool = False) -> None:
        """``has_vendor``: also the cycles by the law of the chip's vendor.

        Raises:
            UsageError: the chip's rate for the operands of most of the MACs is not published.
        """
        self._held, self._chip = held, chip
        self._left_out: Counter[str] = Counter()
        self._grades: dict[str, dict[str, None]] = defaultdict(dict)
        self._stays = held.fusion.stays("epilogue")
        self._operands = {
            index: operands_of(held.graph, held.graph.nodes[index])
            for index, cost in enumerate(held.costs)
            if cost.macs
        }
        self._require_rate(self._operands)
        self._has_law = has_vendor and self._finds_law()

    def bounds(self, label: str, dtype: str, fusion: FusionMode) -> ChipBounds:
        """Of any nodes."""
        traffic = self._held.fusion.traffic(fusion, self._chip.buffered_bytes)
        nodes = [self._node(index, moved) for index, moved in enumerate(traffic)]
        for index, memory in enumerate(self._chip.memories):
            if memory.bytes_per_s is None:
                continue
            if self._chip.buffered_behind(index) is None:
                self._left_out[f"{memory.name}: what caches hold is not published"] = 0
            else:
                self._grades[memory.name][memory.bytes_per_s.grade] = None
        grades = {name: tuple(found) for name, found in self._grades.items()}
        notes = [
            f"left out: {what}{f' ({times} nodes)' if times else ''}"
            for what, times in self._left_out.items()
        ]
        held = self._held
        return ChipBounds(
            self._chip, label, dtype, fusion, nodes, held.edges, held.around, grades, tuple(notes)
        )

    def _require_rate(self, operands: Mapping[int, str]) -> None:
        """Refuse a chip that has no rate for most of the work."""
        macs: Counter[str] = Counter()
        for index, pair in operands.items():
            macs[pair] += self._held.costs[index].macs
        for pair, _ in macs.most_common(1):
            self._chip.peak(pair)

    def _node(self, index: int, traffic: Traffic) -> NodeTimes:
        cost, units = self._held.costs[index], self._units(index)
        moved = Moved(traffic.weight_read_bytes, traffic.read_bytes, traffic.write_bytes)
        memories = dict(memory_times(self._chip, [moved], keeps=False))
        serial_s = max((*units.values(), *memories.values()), default=0.0)
        fit, clock = self._fit(index) if COMPUTE in units else None, self._chip.clock_hz
        cycles = self._vendor_cycles(index) if self._has_law and cost.macs else None
        vendor_cycles = None if cycles is None else cycles * cost.repeats
        if fit is None or clock is None:
            return NodeTimes(cost.macs, units, memories, serial_s, vendor_cycles=vendor_cycles)
        fit_s = fit.cycles * cost.repeats / (self._chip.cores * clock.value)
        return NodeTimes(
            cost.macs,
            units,
            memories,
            serial_s,
            fit_s,
            fit.macs_lost * cost.repeats,
            fit.blame,
            vendor_cycles,
        )

    def _units(self, index: int) -> Mapping[str, float]:
        cost = self._held.costs[index]
        if cost.macs:
            operands = self._operands[index]
            rate = self._chip.find_peak(operands)
            if rate is None:
                self._left_out[f"{operands} products: no peak is published"] += 1
                return {}
            self._grades[COMPUTE][rate.grade] = None
            return {COMPUTE: cost.macs / rate.value}
        return self._elementwise(index) if self._works_alone(index) else {}

    def _elementwise(self, index: int) -> Mapping[str, float]:
        cost, view = self._held.costs[index], self._held.graph.nodes[index].view
        output = view.outputs[0] if view.outputs else None
        dtype = (output.dtype if output is not None else None) or "unknown"
        units = {}
        for unit, ops, rates in (
            (ELEMENTWISE, cost.vector_ops, self._chip.vector_ops_per_s),
            (TRANSCENDENTAL, cost.special_ops, self._chip.special_ops_per_s),
        ):
            if ops and dtype in rates:
                units[unit] = ops / rates[dtype].value
                self._grades[unit][rates[dtype].grade] = None
            elif ops:
                self._left_out[f"{unit} ops of {dtype}: no rate is published"] += 1
        return units

    def _works_alone(self, index: int) -> bool:
        """Whether its elementwise work is not part of a product: it neither rides on nor folds into one."""
        cost, view = self._held.costs[index], self._held.graph.nodes[index].view
        family = families.of_operator(cost.domain, cost.op_type)
        if index in self._stays or family not in VECTOR_WORK:
            return False
        with_weight = any(value is not None and value.is_weight for value in view.inputs)
        return not with_weight or family != families.ELEMENTWISE

    def _fit(self, index: int) -> LayerFit | None:
        """The steps of the array, where the chip's file has some for such a layer."""
        node = self._held.graph.nodes[index]
        if not self._chip.array or node.observed:
            return None
        try:
            return fit_layers(matrix_work(node.view), self._chip.array, self._operands[index])
        except NotCountable:
            return None

    def _finds_law(self) -> bool:
        """Whether the cycle model of the chip's vendor is known."""
        from onnxlens.profile.chip.laws.vendor import law_of  # bounds alone do without

        law = law_of(self._chip)
        said = "vendor_cycles: the vendor's cycle model is not known for this chip"
        if law is not None:
            said = f"operators that the vendor's law does not cover: {law.title}"
        self._left_out[said] = 0
        return law is not None

    def _vendor_cycles(self, index: int) -> int | None:
        from onnxlens.profile.chip.laws.vendor import vendor_cycles

        node = self._held.graph.nodes[index]
        return None if node.observed else vendor_cycles(node.view, self._chip, self._operands[index])


def bounds_of(
    graph: Graph,
    ledger: Ledger,
    chips: Mapping[str, Chip],
    dtype: str = "",
    fusion: FusionMode = "none",
    *,
    has_vendor: bool = False,
) -> tuple[ChipBounds, ...]:
    """The bounds of a graph on several chips, by what they are called.

    Raises:
        UsageError: a chip's rate for the operands of most of the MACs is not published.
    """
    held = as_if_held(graph, dtype) if dtype else graph
    shared = Held.of(held, count_nodes(held) if dtype else ledger.nodes)
    try:
        return tuple(
            Bounder(shared, chip, has_vendor=has_vendor).bounds(label, dtype, fusion)
            for label, chip in chips.items()
        )
    except UsageError as error:
        raise UsageError(f"--hardware: {error}") from error
