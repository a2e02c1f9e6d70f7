"""What bounds the time of a row on a chip: docs/roofline.md says how, and what it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import fsum
from os.path import commonprefix

from onnxlens.specs.chip import Chip
from onnxlens.specs.edges import Edges, Moved
from onnxlens.specs.record import record

AT = "@"
"""Stands between the name of a column and its chip, if that is not the first."""

ON_CHIPS: Mapping[str, str] = {
    **dict.fromkeys(
        ("bound_s", "serial_s", "compute_s", "elementwise_s", "transcendental_s", "memory_s", "fit_bound_s",
         "lost_macs", "vendor_cycles", "vendor_macs", "bound_percent", "turning_factor"), "macs"),
    **dict.fromkeys(
        ("fused_bytes", "fused_weight_read_bytes", "fused_read_bytes", "fused_write_bytes", "spilled_bytes",
         "sram_bytes"), "moved_bytes"),
}  # fmt: skip
"""The columns of numbers on chips, and the figure that lacks what is unknown where they do."""

COMPUTE, ELEMENTWISE, TRANSCENDENTAL = UNITS = "compute", "elementwise", "transcendental"


@record(frozen=True, slots=True)
class Bound:
    """The least time of some nodes on a chip whose units all work at once, whatever is fused.

    Attributes:
        limits: seconds by what limits: the units, and each memory by its name; what is not known is absent.
        bound_s: the largest of them, or what a module around the nodes takes at least, if that is less: they
            may be fused with what is around them.
        serial_s: the sum over the nodes of the largest time of each, run one after another with the traffic
            that the mode of fusion leaves: the bound of a chip that works so.
        weight_bytes: weights that must be read, each once.
        other_bytes: activations that must be read from elsewhere or written for others, each once.
        fit_s: compute, with the steps of the MAC array; None where none are known.
        lost_macs: slots of the array in which nothing is multiplied; None likewise.
        blame: the dimension that wastes most of them; "" for none.
        vendor_cycles: what the chip vendor's own tool computes for the layers that its law covers, of one
            core; None where it covers none, or where that is not asked for.
        vendor_macs: the MACs of those layers.
    """

    limits: Mapping[str, float]
    bound_s: float
    serial_s: float
    macs: int
    weight_bytes: int
    other_bytes: int
    fit_s: float | None = None
    lost_macs: int | None = None
    blame: str = ""
    vendor_cycles: int | None = None
    vendor_macs: int | None = None

    @property
    def limited_by(self) -> str:
        """Which limit that is; "" where nothing takes time."""
        return max(self.limits, key=self.limits.__getitem__) if self.bound_s else ""

    @property
    def memory_s(self) -> float | None:
        """The largest of the memories' limits; None where none is known."""
        return max((time for name, time in self.limits.items() if name not in UNITS), default=None)

    @property
    def fit_bound_s(self) -> float | None:
        """The bound with the steps of the MAC array; None where none are known."""
        return None if self.fit_s is None else max(self.fit_s, self.bound_s)


@record(frozen=True, slots=True)
class NodeTimes:
    """What one node takes at least in all its runs.

    Attributes:
        units: seconds by unit; what is not known is absent.
        memories: seconds by memory, likewise, with the traffic that the mode of fusion leaves.
        serial_s: the largest of all these.
        fit_s: compute, with the steps of the MAC array; None where none are known for it.
        lost_macs, blame, vendor_cycles: as in a ``Bound``.
    """

    macs: int
    units: Mapping[str, float]
    memories: Mapping[str, float]
    serial_s: float
    fit_s: float | None = None
    lost_macs: int = 0
    blame: str = ""
    vendor_cycles: int | None = None


@dataclass(frozen=True)
class ChipBounds:
    """The bounds of one graph on one chip.

    Attributes:
        label: how columns name the chip: as it was asked for.
        dtype: floats are as if held so; "" for the file's.
        fusion: which traffic ``serial_s`` has.
        nodes: by their positions in the ledger.
        edges: what they pass to each other.
        around: the paths of the modules around each node, outermost first.
        grades: of the figures that each limit rests on.
        notes: what was left out, and why.
    """

    chip: Chip
    label: str
    dtype: str
    fusion: str
    nodes: Sequence[NodeTimes]
    edges: Edges
    around: Sequence[tuple[str, ...]]
    grades: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def total(self) -> Bound:
        """The whole graph."""
        return self.of(range(len(self.nodes)))

    @cached_property
    def _boxes(self) -> dict[Sequence[int], Bound]:
        return {}

    @cached_property
    def _inside(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = {}
        for index, paths in enumerate(self.around):
            for path in paths:
                found.setdefault(path, []).append(index)
        return {path: tuple(indices) for path, indices in found.items()}

    def of(self, indices: Sequence[int]) -> Bound:
        """The bound of any nodes together, by rising indices, each once."""
        box = self._box(tuple(indices))
        shared: Sequence[str] = commonprefix([self.around[index] for index in indices])
        least = min([box.bound_s, *(self._box(self._inside[path]).bound_s for path in shared)])
        return box if least == box.bound_s else replace(box, bound_s=least)

    def _box(self, indices: Sequence[int]) -> Bound:
        """As one thing whose inside nobody sees, run by itself."""
        if indices not in self._boxes:
            self._boxes[indices] = self._closed(indices)
        return self._boxes[indices]

    def _closed(self, indices: Sequence[int]) -> Bound:
        nodes = [self.nodes[index] for index in indices]
        moved = list(self.edges.compulsory(indices))
        limits: dict[str, float] = {}
        for unit in UNITS:
            if times := [each.units[unit] for each in nodes if unit in each.units]:
                limits[unit] = fsum(times)
        limits.update(memory_times(self.chip, moved))
        fitted = [each for each in nodes if each.fit_s is not None]
        priced = [each for each in nodes if each.vendor_cycles is not None]
        return Bound(
            limits,
            max(limits.values(), default=0.0),
            fsum(each.serial_s for each in nodes),
            sum(each.macs for each in nodes),
            sum(each.weight_read_bytes for each in moved),
            sum(each.read_bytes + each.write_bytes for each in moved),
            fsum(each.fit_s or each.units.get(COMPUTE, 0.0) for each in nodes) if fitted else None,
            sum(each.lost_macs for each in fitted) if fitted else None,
            max(fitted, key=lambda each: each.lost_macs).blame if fitted else "",
            sum(each.vendor_cycles or 0 for each in priced) if priced else None,
            sum(each.macs for each in priced) if priced else None,
        )

    def turning_factor(self, bound: Bound) -> float | None:
        """By which the batch must be multiplied until compute takes as long as the home memory.

        Weights are read once whatever the batch is; all else grows with it. None where there are no weights,
        or where the memory takes longer at any batch.
        """
        home = next((each for each in self.chip.memories if each.holds == "all" and each.bytes_per_s), None)
        if home is None or home.bytes_per_s is None or not bound.macs or not bound.weight_bytes:
            return None
        growing = bound.limits.get(COMPUTE, 0.0) - bound.other_bytes / home.bytes_per_s.value
        return bound.weight_bytes / home.bytes_per_s.value / growing if growing > 0 else None


def memory_times(chip: Chip, runs: Iterable[Moved], *, keeps: bool = True) -> Iterator[tuple[str, float]]:
    """The time of each memory for what must be moved; none where its rate, or what caches hold, is unknown.

    Args:
        chip: whose memories.
        runs: less is read, and less written, in each of them by what the memories closer to the array hold.
        keeps: whether these hold anything from before, or for later.
    """
    runs = list(runs)
    for index, memory in enumerate(chip.memories):
        kept = chip.buffered_behind(index) if keeps else 0
        if memory.bytes_per_s is None or kept is None:
            continue
        weights, others = memory.holds != "activations", memory.holds != "weights"
        passed = sum(
            max(0, each.weight_read_bytes * weights + each.read_bytes * others - kept)
            + max(0, each.write_bytes * others - kept)
            for each in runs
        )
        yield memory.name, passed / memory.bytes_per_s.value
