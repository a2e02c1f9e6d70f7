"""What of a denoising step overlaps, what a training step costs: tables that the page reads, and plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onnxlens import Settings, TrainingRequest, schedule_graph, training_cost, write_gantt
from onnxlens.api.opened import OpenedTarget
from onnxlens.pipeline.bill import write_bill_plot
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.schedule import ScheduleReport
from onnxlens.specs.training import MODES, REFERENCE, REFERENCE_UNITS, TrainingMode
from reference_report.tables.figures import BILL_PLOT, OVERLAP_PLOT
from reference_report.tables.pipeline_tables import (
    CHIPS,
    HELD_AS,
    OVERLAP,
    TRAINING_STEP,
    OverlapRow,
    StepRow,
    bills,
    data_table,
)

ENGINES = 2
DRAWN = CHIPS[-1]
"""The chip whose schedule is drawn."""
TYPES = {**dict.fromkeys(CHIPS, HELD_AS), "h200": "float16"}
"""As what floats are held on each chip."""


def write_pipeline(folder: Path, progress: Progress = silent) -> None:
    """The tables of overlap and training, and the plots of bill and overlap: a minute or two."""
    steps = [row for checkpointing in (False, True) for row in step_rows(MODES, checkpointing, progress)]
    (folder / TRAINING_STEP).write_text(data_table(StepRow, steps), encoding="utf-8")
    schedules = list(overlaps(progress))
    rows = [row for chip, report in schedules for row in overlap_rows(chip, report)]
    (folder / OVERLAP).write_text(data_table(OverlapRow, rows), encoding="utf-8")
    write_gantt(dict(schedules)[DRAWN], folder / OVERLAP_PLOT.file)
    write_bill(folder)


def write_bill(folder: Path) -> None:
    """The plot of the bill with openpose."""
    write_bill_plot(bills()["openpose"], folder / BILL_PLOT.file)


def overlaps(progress: Progress = silent) -> Iterator[tuple[str, ScheduleReport]]:
    """The schedule of a denoising step for each chip; the graph is opened once."""
    with OpenedTarget("control-ldm", Settings(), progress) as it:
        for chip, dtype in TYPES.items():
            yield (
                chip,
                schedule_graph(it, streams=ENGINES, hardware=chip, stored_as=dtype, fusion="attention"),
            )


def overlap_rows(chip: str, report: ScheduleReport) -> Iterator[OverlapRow]:
    """A row for each way in which engines share a chip."""
    for plan in report.plans:
        yield OverlapRow(
            chip,
            TYPES[chip],
            plan.shared,
            report.total,
            report.critical_path,
            plan.makespan,
            plan.bound,
            plan.bounded_by,
        )


def step_rows(
    modes: tuple[TrainingMode, ...], checkpointing: bool, progress: Progress = silent
) -> Iterator[StepRow]:
    """A row for each mode of training, as published: 512 x 512, batch 4, float32, AdamW."""
    request = TrainingRequest(modes, units=REFERENCE_UNITS if checkpointing else ())
    for cost in training_cost(REFERENCE, None, request, progress).costs:
        assert not cost.unknown  # figures are no lower bounds
        names = StepRow.__slots__[2:]
        figures = {name: getattr(cost.totals, name) for name in names}
        yield StepRow(cost.title, "as published" if checkpointing else "none", **figures)
