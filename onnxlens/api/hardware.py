"""Chips: what there is, what is published of each, and the bounds of a graph on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget
from onnxlens.api.staging import staged_plot
from onnxlens.errors import UsageError
from onnxlens.specs.chip import Chip
from onnxlens.specs.traffic import FUSION_MODES, FusionMode

if TYPE_CHECKING:
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.roofline import ChipBounds


@dataclass(frozen=True, slots=True)
class OnChips:
    """Which columns of chips and of fusion are asked for; nothing by default.

    Attributes:
        hardware: names of chips or paths of chip files, with commas between them.
        stored_as: floats are as if held so, such as int8; "" for the file's.
        fusion: what is fused; also the traffic where operators run one after another.
        on_chip_bytes: the size of the memory on the chip; that of the first chip by default.
        has_vendor: also the cycles that each chip vendor's own tool computes, where its law is known.

    Raises:
        UsageError: what says more about chips that are not named.
    """

    hardware: str = ""
    stored_as: str = ""
    fusion: FusionMode | None = None
    on_chip_bytes: int | None = None
    has_vendor: bool = False

    def __post_init__(self) -> None:
        if self.has_vendor and not self.hardware:
            raise UsageError("--model is of chips; add --hardware CHIP")

    @property
    def has_traffic(self) -> bool:
        """Whether memory traffic is asked for."""
        return self.fusion is not None or self.on_chip_bytes is not None

    def __bool__(self) -> bool:
        return bool(self.hardware) or self.has_traffic


def with_chips(opened: OpenedTarget, ledger: Ledger, asked: OnChips) -> Ledger:
    """The ledger with the bounds and the fused traffic that are asked for.

    Raises:
        UsageError: as of ``with_bounds`` and ``with_traffic``.
    """
    from onnxlens.api.traffic import with_traffic

    fusion = asked.fusion or "none"
    if asked.hardware:
        ledger = with_bounds(
            opened, ledger, asked.hardware, asked.stored_as, fusion, has_vendor=asked.has_vendor
        )
    if not asked.has_traffic:
        return ledger
    return with_traffic(opened, ledger, fusion, asked.on_chip_bytes, asked.stored_as)


HOST = "host"
"""The chip that ``onnxlens calibrate`` measures."""


def list_chips() -> Sequence[Chip]:
    """Every chip that comes with the package, and ``host`` once it is calibrated."""
    from onnxlens.profile.chip.chip_file import chip_names, host_file, load_chip

    own = [chip_of(HOST)] if host_file().exists() else []
    return [*own, *map(load_chip, chip_names())]


def chip_of(name: str) -> Chip:
    """A chip by its name, such as ``h200`` or ``ethos-u85-1024@SYS_DRAM_Low``, or the path of a chip file.

    Raises:
        UsageError: there is none, or the file cannot be read.
    """
    from onnxlens.profile.chip.chip_file import host_file, load_chip

    if name != HOST:
        return load_chip(name)
    if not host_file().exists():
        raise UsageError("host: this machine is not calibrated; 'onnxlens calibrate' measures it in a minute")
    return replace(load_chip(str(host_file())), name=HOST)


def chips_of(names: str) -> dict[str, Chip]:
    """The chips that are listed with commas, by what they are called.

    Raises:
        UsageError: there is none of the name, or it is named twice.
    """
    listed = [name.strip() for name in names.split(",") if name.strip()]
    if not listed or len(set(listed)) < len(listed):
        raise UsageError(f"--hardware {names!r}: name chips, each once, with commas between them")
    return {name: chip_of(name) for name in listed}


def chips_with_peak(operands: str) -> tuple[dict[str, Chip], Sequence[str]]:
    """The chips of the list that have a rate for operands of these types, and the names of the others."""
    chips = {chip.name: chip for chip in list_chips()}
    able = {name: chip for name, chip in chips.items() if chip.find_peak(operands) is not None}
    return able, [name for name in chips if name not in able]


def with_bounds(
    opened: OpenedTarget,
    ledger: Ledger,
    hardware: str,
    dtype: str = "",
    fusion: FusionMode = "none",
    *,
    has_vendor: bool = False,
) -> Ledger:
    """The ledger with the lower bounds of every row on chips.

    Args:
        opened: what the ledger is of.
        ledger: its costs.
        hardware: names of chips or paths of chip files, with commas between them.
        dtype: floats are as if held so, such as int8; "" for the file's.
        fusion: which traffic is left where operators run one after another.
        has_vendor: also the cycles that each chip vendor's own tool computes, where its law is known.

    Raises:
        UsageError: there is no such chip, or the rate that most of the MACs need is not published.
    """
    from onnxlens.profile.chip.bound import bounds_of

    if fusion not in FUSION_MODES:
        raise UsageError(f"fusion {fusion!r} is none of {', '.join(FUSION_MODES)}")
    bounds = bounds_of(opened.graph, ledger, chips_of(hardware), dtype, fusion, has_vendor=has_vendor)
    notes = [note for each in bounds for note in bound_notes(each)]
    return replace(ledger, bounds=bounds, notes=(*ledger.notes, *notes))


def plot_roofline(ledger: Ledger, out: Path | str, depth: int | None = None) -> Path:
    """Draw the modules of a depth under the roofs of the chips whose bounds the ledger has, as svg or png.

    Without a depth it is 1, or 0 where no module there has MACs.

    Raises:
        UsageError: it has none, ``out`` cannot be written, or no module there has MACs.
    """
    from onnxlens.reports.plots.roofline import write_roofline

    return staged_plot(out, partial(write_roofline, ledger, depth))


def bound_notes(bounds: ChipBounds) -> Sequence[str]:
    """What the bounds of a chip are of, what they rest on, and what they leave out."""
    from onnxlens.reports.numbers import short_time

    whole = bounds.total
    types = f"floats as {bounds.dtype}" if bounds.dtype else "types as in the file"
    system = f", system {bounds.chip.system}" if bounds.chip.system else ""
    grades = ", ".join(bounds.grades.get(whole.limited_by, ()))
    said = "no bound, as nothing that is known of the graph takes time"
    if whole.bound_s:
        said = (
            f"at least {short_time(whole.bound_s)}, limited by {whole.limited_by} ({grades}); operators one "
            f"after another, fusion {bounds.fusion}: at least {short_time(whole.serial_s)}"
        )
    head = f"{bounds.label} ({bounds.chip.title}{system}; {types})"
    return [f"{head}: {said}", *(f"{bounds.label}: {note}" for note in bounds.notes)]
