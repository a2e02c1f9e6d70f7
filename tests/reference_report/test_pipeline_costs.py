"""The bill, the overlap and the training step of the report: as derived by hand, and as committed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from onnxlens import write_gantt
from onnxlens.specs.training import MODES
from reference_report.pipeline_costs import DRAWN, TYPES, overlap_rows, overlaps, step_rows, write_bill
from reference_report.tables.figures import BILL_PLOT, OVERLAP_PLOT
from reference_report.tables.pipeline_tables import (
    BILL_PAGE,
    OVERLAP,
    TRAINING_STEP,
    OverlapRow,
    StepRow,
    bill_rows,
    data_table,
    read_rows,
)

REPORTS = Path(__file__).parents[2] / "reports"
STALE = "stale: run scripts/reference_report.sh --pipeline"


@pytest.fixture(scope="module")
def steps() -> Sequence[StepRow]:
    return read_rows(StepRow, REPORTS / TRAINING_STEP)


def test_the_bills_rows_add_up_to_both_pictures() -> None:
    rows = {row.what: row for row in bill_rows()}
    stages = [row for row in rows.values() if row.stage is not None]
    openpose, canny = rows["**a picture, openpose**"], rows["**a picture, canny**"]
    assert sum(row.sum.macs for row in stages) == openpose.sum.macs
    annotator = sum(row.sum.macs for row in stages if row.stage and row.stage.call.stage == "annotator")
    # body at 184 x 184 once; two hands at 1/4, 1, 9/4 and 4 times the area of 368 x 368
    assert annotator == 33_983_501_696 + 2 * 103_187_671_040 * 15 // 2
    assert openpose.sum.macs - annotator == canny.sum.macs == 23_001_866_309_632
    assert 20 * rows["one step"].sum.macs == sum(
        row.sum.macs for row in stages if row.stage and row.stage.call.stage in ("controlnet", "unet")
    )
    # one prompt for all pictures of a second
    text = rows["`clip-text`"].sum.macs
    assert rows["a second at 24 pictures, openpose"].sum.macs == 24 * (openpose.sum.macs - text)
    last = [column.cell(rows["`clip-text`"], exact=False) for column in BILL_PAGE][-3:]
    assert last == ["385 us (LPDDR5)", "562 us (DRAM)", "7.1 ms (DRAM)"]


def test_no_schedule_beats_its_bound_or_halves_the_time() -> None:
    rows = read_rows(OverlapRow, REPORTS / OVERLAP)
    assert [(row.chip, row.shared) for row in rows] == [
        (chip, shared) for chip in TYPES for shared in ("nothing", "memory", "chip")
    ]
    for row in rows:
        assert max(row.path_s, row.total_s / 2) <= row.bound_s * (1 + 1e-9)
        assert row.bound_s <= row.schedule_s * (1 + 1e-9) <= row.total_s * (1 + 2e-9)
    # ControlNet and encoder side by side save the smaller, a quarter of a step: 1 / (1 - 249.34 / 1086.57)
    assert all(1.25 < row.total_s / row.bound_s < 1.45 for row in rows if row.shared == "nothing")


def test_a_committed_step_of_training_is_counted_so(steps: Sequence[StepRow]) -> None:
    """AdamW holds two tensors of each parameter that a gradient arrives at, and a counter of 4 bytes."""
    (row,) = step_rows(("sd-locked",), checkpointing=False)
    assert row == next(each for each in steps if each.mode == row.mode), STALE
    assert row.gradient_bytes == 4 * 361_279_120 == 4 * row.reached_params
    assert row.optimizer_bytes == 2 * row.gradient_bytes + 4 * 340
    assert row.macs == 2 * (283_291_975_680 + 803_273_441_280)


def test_a_step_trains_what_the_table_of_the_modes_says(steps: Sequence[StepRow]) -> None:
    """The one is counted from a recorded step, the other from the modules of the graphs."""
    with (REPORTS / "training.csv").open(encoding="utf-8", newline="") as file:
        modes = list(csv.DictReader(file))
    assert [
        (row["mode"], int(row["params trained"]), int(row["params without a gradient"])) for row in modes
    ] == [(row.mode, row.trained_params, row.trained_params - row.reached_params) for row in steps[:3]]


def test_checkpointing_computes_again_what_it_does_not_keep(steps: Sequence[StepRow]) -> None:
    assert len(steps) == 2 * len(MODES)
    for plain, less in zip(steps[: len(MODES)], steps[len(MODES) :], strict=True):
        assert (plain.mode, plain.recomputed_macs) == (less.mode, 0)
        assert less.backward_macs - less.recomputed_macs == plain.backward_macs
        assert less.saved_bytes < plain.saved_bytes / 4
        assert plain.total_bytes - less.total_bytes == plain.saved_bytes - less.saved_bytes


def test_the_committed_plot_of_the_bill_is_what_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    write_bill(tmp_path)
    assert (tmp_path / BILL_PLOT.file).read_bytes() == (REPORTS / BILL_PLOT.file).read_bytes(), STALE


@pytest.mark.slow
def test_every_committed_step_of_training_is_counted_so(steps: Sequence[StepRow]) -> None:
    found = [row for checkpointing in (False, True) for row in step_rows(MODES, checkpointing)]
    assert data_table(StepRow, found) == (REPORTS / TRAINING_STEP).read_text(encoding="utf-8"), STALE


@pytest.mark.slow
def test_the_committed_schedules_are_those_of_the_chips(tmp_path: Path) -> None:
    schedules = dict(overlaps())
    found = [row for chip, report in schedules.items() for row in overlap_rows(chip, report)]
    for row, committed in zip(found, read_rows(OverlapRow, REPORTS / OVERLAP), strict=True):
        for name, value in asdict(row).items():
            expected = asdict(committed)[name]
            assert value == (pytest.approx(expected, rel=1e-9) if isinstance(value, float) else expected), (
                STALE
            )
    write_gantt(schedules[DRAWN], tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_bytes() == (REPORTS / OVERLAP_PLOT.file).read_bytes(), STALE
