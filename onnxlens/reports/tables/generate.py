"""What ``generate`` did: the time of every graph, and where the pictures are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxlens.reports.numbers import counted, short_bytes
from onnxlens.reports.tables.render import Column, TableFormat, render_table, with_notes
from onnxlens.specs.generate import Generated, Stage


def generated_table(generated: Generated, folder: Path, table_format: TableFormat) -> str:
    """One row for each graph in the order they were closed; below it the files."""
    running_s = sum(stage.running_s for stage in generated.stages)
    opening_s = generated.opening_s
    rest_s = generated.seconds - running_s - opening_s
    notes = (
        f"{generated.height} x {generated.width} pixels, {counted(len(generated.timesteps), 'step')}, "
        f"{generated.backend}, {generated.weights} weights",
        f"{generated.seconds:.1f} s: graphs ran {running_s:.1f}, were opened {opening_s:.1f}, all else "
        f"{rest_s:.1f}; at most {short_bytes(generated.peak_memory_bytes)} of memory",
        *generated.notes,
        *(f"{folder / name}" for name in (*generated.controls, *generated.pictures)),
    )
    return with_notes("", render_table(generated.stages, STAGE_COLUMNS, table_format), notes, table_format)


STAGE_COLUMNS: Sequence[Column[Stage]] = (
    Column("graph", lambda stage: stage.name),
    Column("batch", lambda stage: stage.batch, right=True),
    Column("calls", lambda stage: stage.calls, right=True),
    Column("opening_s", lambda stage: stage.opening_s, lambda stage: f"{stage.opening_s:.1f}", right=True),
    Column("running_s", lambda stage: stage.running_s, lambda stage: f"{stage.running_s:.1f}", right=True),
    Column(
        "s per call",
        lambda stage: stage.running_s / max(stage.calls, 1),
        lambda stage: f"{stage.running_s / max(stage.calls, 1):.2f}",
        right=True,
    ),
)
