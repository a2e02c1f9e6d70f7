"""A chip as its description file has it: figures, each with source and grade; what is absent is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from onnxlens.errors import UsageError
from onnxlens.specs.array_fit import FitRule

Grade = Literal["vendor", "quoted", "third party", "calculated", "measured"]
"""Who says so: the vendor's own text or package, the vendor as another page quotes it, somebody else, 
arithmetic on other figures or a vendor tool's output, or ``onnxlens calibrate`` on this machine."""

GRADES: tuple[Grade, ...] = get_args(Grade)

Holds = Literal["all", "weights", "activations", "nothing"]
"""What has its home in a memory; a cache or a buffer is home to nothing."""

HOLDS: tuple[Holds, ...] = get_args(Holds)

COMPUTED_AS: Mapping[str, tuple[str, ...]] = {"float32": ("float32", "tf32")}
"""The types that a product of tensors may be computed in, beside their own: the fastest bounds it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A published figure; its unit is in the name of its key: ``clock_hz``, ``bytes_per_s``.

    Attributes:
        value: integers where they are published so.
        source: document, package or repository, with version and place in it.
        note: what a reader must know, such as how it was calculated.
    """

    value: int | float
    source: str
    grade: Grade
    note: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory, the outermost first in its chip.

    Attributes:
        holds: what has its home there; what is read and written must pass it each time.
        size_bytes: of all cores together; None where it is not published.
        bytes_per_s: read and written together; None likewise.
    """

    name: str
    holds: Holds
    size_bytes: Figure | None = None
    bytes_per_s: Figure | None = None


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip, in one configuration and one system around it.

    Attributes:
        name: as ``--hardware`` takes it.
        title: vendor and product.
        cores: that compute at once; the figures per cycle are of one.
        macs_per_cycle: of one core, by operands: dtypes of weights x activations, such as ``int8xint8``.
        macs_per_s: of the whole chip, as published, likewise.
        vector_ops_per_s: elementwise operations of the whole chip, by the dtype of the result; a fused
            multiply-add is two.
        special_ops_per_s: transcendental operations, likewise.
        memories: from the outermost to the array.
        power_w: at most.
        array: how the MAC array is filled.
        not_published: why a figure is absent, by its key.
        notes: what a reader of the figures must know.
        system: the name of the system around it, such as clock and memories; "" if there is but one.
        systems: all that the file has.
    """

    name: str
    title: str
    cores: int = 1
    clock_hz: Figure | None = None
    macs_per_cycle: Mapping[str, Figure] = field(default_factory=dict)
    macs_per_s: Mapping[str, Figure] = field(default_factory=dict)
    vector_ops_per_s: Mapping[str, Figure] = field(default_factory=dict)
    special_ops_per_s: Mapping[str, Figure] = field(default_factory=dict)
    memories: tuple[Memory, ...] = ()
    power_w: Figure | None = None
    array: tuple[FitRule, ...] = ()
    not_published: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    system: str = ""
    systems: tuple[str, ...] = ()

    @property
    def peaks(self) -> Mapping[str, Figure]:
        """MACs per second by operands: as published, else MACs per cycle x cores x clock."""
        found = dict(self.macs_per_s)
        clock = self.clock_hz
        for operands, per_cycle in self.macs_per_cycle.items() if clock is not None else ():
            if clock is not None and operands not in found:
                rate = per_cycle.value * self.cores * clock.value
                text = f"{per_cycle.value:,} MACs per cycle x {self.cores} x {clock.value:,} Hz"
                found[operands] = Figure(rate, f"{per_cycle.source}; {clock.source}", "calculated", text)
        return found

    def peak(self, operands: str) -> Figure:
        """The highest rate at which the chip multiplies operands of these types.

        Raises:
            UsageError: none is published.
        """
        if (found := self.find_peak(operands)) is not None:
            return found
        key = f"macs_per_s.{operands}"
        why = self.not_published.get(key) or self.not_published.get("macs_per_s", "")
        if self.clock_hz is None and not self.macs_per_s and self.macs_per_cycle:
            raise UsageError(
                f"{self.name}: no clock is published, so that cycles have no time "
                f"({self.not_published.get('clock_hz', 'not in its file')}); give a chip file with clock_hz"
            )
        there = ", ".join(self.peaks) or "none"
        raise UsageError(
            f"{self.name}: no peak is published for {operands} (weights x activations)"
            f"{why and f': {why}'}; there is {there}: give --as-dtype, or a chip file of your own"
        )

    def find_peak(self, operands: str) -> Figure | None:
        """As ``peak``; None where none is published. Weights narrower than floats are made as wide first."""
        weights, _, activations = operands.partition("x")
        if activations.startswith(("float", "bfloat")):
            weights = activations
        pairs = (
            f"{each}x{activations if weights != activations else each}"
            for each in COMPUTED_AS.get(weights, (weights,))
        )
        rates = [self.peaks[pair] for pair in pairs if pair in self.peaks]
        return max(rates, key=lambda rate: rate.value, default=None)

    @property
    def buffered_bytes(self) -> int | None:
        """What the memories between home and array can hold together; None where one has no size."""
        return self.buffered_behind(-1)

    def buffered_behind(self, index: int) -> int | None:
        """The same in bytes, of those closer to the array than the memory at ``index``."""
        closer = [each for each in self.memories[index + 1 :] if each.holds == "nothing"]
        sizes = [each.size_bytes.value for each in closer if each.size_bytes is not None]
        return int(sum(sizes)) if len(sizes) == len(closer) else None

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Every figure of the file with its key, such as ``memory.DRAM.bytes_per_s``."""
        single = {"clock_hz": self.clock_hz, "power_w": self.power_w}
        for key, figure in single.items():
            if figure is not None:
                yield key, figure
        for key in RATES:
            for name, figure in getattr(self, key).items():
                yield f"{key}.{name}", figure
        for memory in self.memories:
            for key in ("size_bytes", "bytes_per_s"):
                if (figure := getattr(memory, key)) is not None:
                    yield f"memory.{memory.name}.{key}", figure


RATES = ("macs_per_cycle", "macs_per_s", "vector_ops_per_s", "special_ops_per_s")
