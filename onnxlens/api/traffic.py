"""The memory traffic of a graph under fusion, and on a chip with so much memory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged_plot
from onnxlens.api.target import Settings, Target
from onnxlens.errors import UsageError
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.traffic import ROW_KINDS, FusionMode, Rows

if TYPE_CHECKING:
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.traffic import TrafficReport


def traffic_of(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    fusion: FusionMode = "attention",
    on_chip_bytes: int | None = None,
    by: Rows = "module",
    stored_as: str = "",
    progress: Progress = silent,
) -> TrafficReport:
    """What every module, operator type or node moves, fused or not, and reads again on a small chip.

    Args:
        target: what to count.
        settings: how it is exported, unless it is a file.
        fusion: the mode of the kinds of bytes, of what is spilled and of the knee.
        on_chip_bytes: the size of the memory on the chip; ``layer-pairs`` needs it.
        by: what a row is.
        stored_as: the dtype in which floats are held, such as int8; "" for the file's.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is not an ONNX graph.
    """
    if by not in ROW_KINDS:
        raise UsageError(f"rows by {by!r} are not known; choose one of {', '.join(ROW_KINDS)}")
    _require_size(on_chip_bytes)
    from onnxlens.profile.chip.traffic import GraphTraffic

    with opened(target, settings, progress) as it:
        graph, ledger = it.graph, it.ledger
        it.progress("fusing and tiling", 0, 0)
        return GraphTraffic(graph, ledger, stored_as).report(fusion, on_chip_bytes, by)


def _require_size(on_chip_bytes: int | None) -> None:
    if on_chip_bytes is not None and on_chip_bytes < 1:
        raise UsageError(f"a chip with {on_chip_bytes} bytes holds nothing; give at least 1")


def with_traffic(
    opened: OpenedTarget,
    ledger: Ledger,
    fusion: FusionMode,
    on_chip_bytes: int | None = None,
    stored_as: str = "",
) -> Ledger:
    """The ledger with the memory traffic of every row when operators are fused, and what a small chip spills.

    Args:
        opened: what the ledger is of.
        ledger: its costs.
        fusion: what is fused.
        on_chip_bytes: the size of the memory on the chip; that of the first chip of the bounds by default.
        stored_as: the dtype in which floats are held, such as int8; "" for the file's.

    Raises:
        UsageError: ``layer-pairs`` without a size, or the size is not one.
    """
    _require_size(on_chip_bytes)
    from onnxlens.profile.chip.traffic import GraphTraffic

    if on_chip_bytes is None and ledger.bounds:
        on_chip_bytes = ledger.bounds[0].chip.buffered_bytes or None
    return replace(ledger, traffic=GraphTraffic(opened.graph, ledger, stored_as).fused(fusion, on_chip_bytes))


def write_traffic_plot(report: TrafficReport, out: Path | str) -> Path:
    """Plot traffic by kind in every mode, and by the size of the memory on the chip, as svg or png.

    Raises:
        UsageError: another suffix, or ``out`` cannot be written.
    """
    from onnxlens.reports.plots.traffic import write_traffic_plot as write

    return staged_plot(out, partial(write, report))
