"""The lower bound of every node, module and group of nodes on a chip: docs/roofline.md derives it.

``Bounder.of`` treats its nodes as one thing whose inside nobody sees: all units work at once, every
intermediate stays on the chip, and what memories between home and array can hold is there before, or is left
there after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

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
from onnxlens.specs.chip import Chip, Figure, Memory
from onnxlens.specs.ledger import Ledger, NodeCost
from onnxlens.specs.roofline import COMPUTE, ELEMENTWISE, TRANSCENDENTAL, Bound, ChipBounds
from onnxlens.specs.traffic import FusionMode

VECTOR_WORK = frozenset({families.ELEMENTWISE, families.NORM, families.SOFTMAX, families.REDUCTION})
"""What takes the elementwise unit's time where it does not ride on another operator."""


@dataclass(frozen=True, slots=True)
class Held:
    """A graph in the types that are asked for, its costs and its edges: shared by all chips."""

    graph: Graph
    costs: Sequence[NodeCost]
    fusion: Fusion

    @classmethod
    def of(cls, graph: Graph, ledger: Ledger, dtype: str) -> Held:
        """The graph as its file has it if ``dtype`` is ""."""
        held = as_if_held(graph, dtype) if dtype else graph
        costs = count_nodes(held) if dtype else ledger.nodes
        return cls(held, costs, Fusion(held, costs))


@dataclass(frozen=True, slots=True)
class _Moved:
    """What some nodes must move: weights and activations read, and written."""

    weights: int
    reads: int
    writes: int


@dataclass(slots=True)
class _Units:
    """The time of one node in each unit, which add up over nodes; its fit, if that is known."""

    times: dict[str, float]
    fit: LayerFit | None = None
    fit_s: float = 0.0
    vendor_cycles: int | None = None


class Bounder:
    """Bounds of one graph on one chip."""

    def __init__(
        self, held: Held, chip: Chip, fusion: FusionMode = "none", *, has_vendor: bool = False
    ) -> None:
        """Find the time of each node in each unit.

        Raises:
            UsageError: the chip's rate for the operands of most of the MACs is not published.
        """
        self._held, self.chip, self._mode = held, chip, fusion
        self._edges = held.fusion.edges
        self._left_out: Counter[str] = Counter()
        self._rates: dict[str, Figure] = {}
        self._stays = held.fusion.stays("epilogue")
        self._place = {index: place for place, index in enumerate(self._edges.moves)}
        self._outputs = frozenset(self._edges.tensor_of(each.name) for each in held.graph.outputs)
        operands = {
            index: operands_of(held.graph, held.graph.nodes[index])
            for index, cost in enumerate(held.costs)
            if cost.macs
        }
        self._require_rate(operands)
        self._units = [self._unit(index, operands.get(index, "")) for index in range(len(held.costs))]
        self._traffic = held.fusion.traffic(fusion, chip.buffered_bytes)
        if has_vendor:
            self._price(operands)
        self._serial = [self._serial_s(index) for index in range(len(held.costs))]

    def _require_rate(self, operands: Mapping[int, str]) -> None:
        """Refuse a chip that has no rate for most of the work."""
        macs: Counter[str] = Counter()
        for index, pair in operands.items():
            macs[pair] += self._held.costs[index].macs
        for pair, _ in macs.most_common(1):
            self.chip.peak(pair)

    def _unit(self, index: int, operands: str) -> _Units:
        cost, node = self._held.costs[index], self._held.graph.nodes[index]
        units = _Units({})
        if cost.macs:
            rate = self.chip.find_peak(operands)
            if rate is None:
                self._left_out[f"{operands} products: no peak is published"] += 1
            else:
                units.times[COMPUTE] = cost.macs / rate.value
                self._rates.setdefault(f"{COMPUTE} {operands}", rate)
                self._fit(index, operands, units)
        elif self._works_alone(index):
            output = node.view.outputs[0] if node.view.outputs else None
            dtype = (output.dtype if output is not None else None) or "unknown"
            for limit, ops, rates in (
                (ELEMENTWISE, cost.vector_ops, self.chip.vector_ops_per_s),
                (TRANSCENDENTAL, cost.special_ops, self.chip.special_ops_per_s),
            ):
                if ops and dtype in rates:
                    units.times[limit] = ops / rates[dtype].value
                    self._rates.setdefault(f"{limit} {dtype}", rates[dtype])
                elif ops:
                    self._left_out[f"{limit} ops of {dtype}: no rate is published"] += 1
        return units

    def _works_alone(self, index: int) -> bool:
        """Whether its elementwise work is not part of a product: it neither rides on nor folds into one."""
        cost, view = self._held.costs[index], self._held.graph.nodes[index].view
        if index in self._stays or families.of_operator(cost.domain, cost.op_type) not in VECTOR_WORK:
            return False
        with_weight = any(value is not None and value.is_weight for value in view.inputs)
        return not (with_weight and families.of_operator(cost.domain, cost.op_type) == families.ELEMENTWISE)

    def _fit(self, index: int, operands: str, units: _Units) -> None:
        """The steps of the array, where the chip's file has some for such a layer."""
        node, cost, clock = self._held.graph.nodes[index], self._held.costs[index], self.chip.clock_hz
        if not self.chip.array or clock is None or node.observed:
            return
        try:
            fit = fit_layers(matrix_work(node.view), self.chip.array, operands)
        except NotCountable:
            return
        if fit is not None:
            units.fit = fit
            units.fit_s = fit.cycles * cost.repeats / (self.chip.cores * clock.value)

    def _price(self, operands: Mapping[int, str]) -> None:
        """The cycles by the law of the chip's vendor."""
        from onnxlens.profile.chip.laws.vendor import law_of, vendor_cycles  # bounds alone do without

        law = law_of(self.chip)
        if law is None:
            self._left_out["vendor_cycles: the vendor's cycle model is not known for this chip"] = 0
            return
        self._left_out[f"operators that the vendor's law does not cover: {law.title}"] = 0
        for index, pair in operands.items():
            node, repeats = self._held.graph.nodes[index], self._held.costs[index].repeats
            cycles = None if node.observed else vendor_cycles(node.view, self.chip, pair)
            self._units[index].vendor_cycles = None if cycles is None else cycles * repeats

    def _serial_s(self, index: int) -> float:
        moved = self._traffic[index]
        times = [*self._units[index].times.values()]
        times += [each for _, each in self._memory_times([_of_traffic(moved)], keeps=False)]
        return max(times, default=0.0)

    def of(self, indices: Sequence[int]) -> Bound:
        """The bound of these nodes together."""
        units = [self._units[index] for index in indices]
        moved = list(self._compulsory(indices))
        limits: dict[str, float] = {}
        for unit in (COMPUTE, ELEMENTWISE, TRANSCENDENTAL):
            if times := [each.times[unit] for each in units if unit in each.times]:
                limits[unit] = fsum(times)
        limits.update(self._memory_times(moved))
        fits = [each for each in units if each.fit is not None]
        priced = [index for index in indices if self._units[index].vendor_cycles is not None]
        worst = max((each.fit for each in fits if each.fit), key=lambda fit: fit.macs_lost, default=None)
        return Bound(
            limits,
            fsum(self._serial[index] for index in indices),
            sum(self._held.costs[index].macs for index in indices),
            sum(each.weights for each in moved),
            sum(each.reads + each.writes for each in moved),
            fsum(each.fit_s or each.times.get(COMPUTE, 0.0) for each in units) if fits else None,
            sum(self._lost(index) for index in indices) if fits else None,
            worst.blame if worst else "",
            sum(self._units[index].vendor_cycles or 0 for index in priced) if priced else None,
            sum(self._held.costs[index].macs for index in priced) if priced else None,
        )

    def _lost(self, index: int) -> int:
        fit = self._units[index].fit
        return fit.macs_lost * self._held.costs[index].repeats if fit else 0

    def _runs(self, indices: Sequence[int]) -> Iterator[Sequence[int]]:
        """The nodes that move something, as long as each is the next one after the one before."""
        run: list[int] = []
        for index in indices:
            place = self._place.get(index)
            if place is None:
                continue
            if run and place != self._place[run[-1]] + 1:
                yield run
                run = []
            run.append(index)
        if run:
            yield run

    def _compulsory(self, indices: Sequence[int]) -> Iterator[_Moved]:
        """Of each run: weights and others' tensors, as the largest reader takes them; what others read.

        What an earlier run of the same nodes made or read is inside already.
        """
        inside = frozenset(indices)
        weights: dict[str, int] = {}
        reads: dict[str, int] = {}
        for run in self._runs(indices):
            before = sum(weights.values()), sum(reads.values())
            writes = 0
            for index in run:
                moves = self._edges.moves[index]
                _keep_largest(weights, moves.weights)
                _keep_largest(
                    reads,
                    {
                        tensor: size_bytes
                        for tensor, size_bytes in moves.reads.items()
                        if self._edges.maker.get(tensor) not in inside
                    },
                )
                for tensor, size_bytes in moves.writes.items():
                    readers = self._edges.readers.get(tensor, ())
                    if tensor in self._outputs or not inside.issuperset(readers):
                        writes += size_bytes
            yield _Moved(sum(weights.values()) - before[0], sum(reads.values()) - before[1], writes)

    def _memory_times(self, runs: Sequence[_Moved], *, keeps: bool = True) -> Iterable[tuple[str, float]]:
        """The time of every memory whose rate is published; ``keeps`` what those closer to the array hold."""
        for place, memory in enumerate(self.chip.memories):
            if memory.bytes_per_s is None:
                continue
            kept = self.chip.buffered_behind(place) if keeps else 0
            if kept is None:
                self._left_out[f"{memory.name}: what caches hold is not published"] = 0
                continue
            self._rates.setdefault(memory.name, memory.bytes_per_s)
            yield memory.name, _through(memory, runs, kept) / memory.bytes_per_s.value

    def bounds(self, ledger: Ledger, label: str, dtype: str) -> ChipBounds:
        """Of all rows of the ledger."""
        inside = self._held.graph.by_module()
        modules = {module.path: self.of(inside[module.path]) for module in ledger.modules}
        grades: dict[str, tuple[str, ...]] = {}
        for key, rate in self._rates.items():
            name = key.split(" ")[0]
            grades[name] = tuple(dict.fromkeys((*grades.get(name, ()), rate.grade)))
        notes = [
            f"left out: {what}{f' ({times} nodes)' if times else ''}"
            for what, times in self._left_out.items()
        ]
        return ChipBounds(self.chip, label, dtype, self._mode, modules, self.of, grades, tuple(notes))


def _keep_largest(found: dict[str, int], more: Mapping[str, int]) -> None:
    for name, size_bytes in more.items():
        found[name] = max(size_bytes, found.get(name, 0))


def _of_traffic(traffic: Traffic) -> _Moved:
    return _Moved(traffic.weight_read_bytes, traffic.read_bytes, traffic.write_bytes)


def _through(memory: Memory, runs: Sequence[_Moved], kept: int) -> int:
    """The bytes that must pass a memory, less what may be kept behind it before and after each run."""
    weights = memory.holds != "activations"
    others = memory.holds != "weights"
    return sum(
        max(0, each.weights * weights + each.reads * others - kept) + max(0, each.writes * others - kept)
        for each in runs
    )


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
    held = Held.of(graph, ledger, dtype)
    try:
        return tuple(
            Bounder(held, chip, fusion, has_vendor=has_vendor).bounds(ledger, label, dtype)
            for label, chip in chips.items()
        )
    except UsageError as error:
        raise UsageError(f"--hardware: {error}") from error
