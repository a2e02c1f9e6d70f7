"""What bounds the time of a row on a chip: docs/roofline.md says how, and what it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from onnxlens.specs.chip import Chip
from onnxlens.specs.record import record

COMPUTE, ELEMENTWISE, TRANSCENDENTAL = "compute", "elementwise", "transcendental"


@record(frozen=True, slots=True)
class Bound:
    """The least time of some nodes on a chip whose units all work at once, whatever is fused.

    Attributes:
        limits: seconds by what limits: the units, and each memory by its name; what is not known is absent.
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
    def bound_s(self) -> float:
        """The largest of the limits."""
        return max(self.limits.values(), default=0.0)

    @property
    def limited_by(self) -> str:
        """Which limit that is; "" where nothing takes time."""
        return max(self.limits, key=self.limits.__getitem__) if self.bound_s else ""

    @property
    def memory_s(self) -> float | None:
        """The largest of the memories' limits; None where none is known."""
        units = (COMPUTE, ELEMENTWISE, TRANSCENDENTAL)
        return max((time for name, time in self.limits.items() if name not in units), default=None)

    @property
    def fit_bound_s(self) -> float | None:
        """The bound with the steps of the MAC array; None where none are known."""
        return None if self.fit_s is None else max(self.fit_s, self.bound_s)


@dataclass(frozen=True, slots=True)
class ChipBounds:
    """The bounds of one graph on one chip.

    Attributes:
        label: how columns name the chip: as it was asked for.
        dtype: floats are as if held so; "" for the file's.
        fusion: which traffic ``serial_s`` has.
        modules: by path, everything inside.
        of: of any nodes together, by their indices.
        grades: of the figures that each limit rests on.
        notes: what was left out, and why.
    """

    chip: Chip
    label: str
    dtype: str
    fusion: str
    modules: Mapping[str, Bound]
    of: Callable[[Sequence[int]], Bound]
    grades: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Bound:
        """The whole graph."""
        return self.modules[""]

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
