"""The whole pipeline in tables: its bill on three chips, what of a step overlaps, a step of training."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from onnxlens.pipeline.bill import bill_of
from onnxlens.reports.numbers import share, short_bytes, short_count, short_time
from onnxlens.reports.tables.render import Column, figure_column, render_table
from onnxlens.reports.tables.schedule import SHARING
from onnxlens.specs.bill import Bill, BillRequest, BillStage, BillSum
from onnxlens.specs.roofline import COMPUTE
from onnxlens.specs.schedule import Shared

CHIPS = ("agx-orin-64gb", "intel-npu-4000", "ethos-u85-2048")
HELD_AS = "int8"
KINDS = ("canny", "openpose")
RATE = 24.0

OVERLAP, TRAINING_STEP = "overlap.csv", "training-step.csv"
"""Slow to make: the page reads them as they are committed."""

Row = TypeVar("Row", bound="OverlapRow | StepRow")


@dataclass(frozen=True, slots=True)
class OverlapRow:
    """One denoising step, ControlNet and UNet, on two engines; times are bounds on a chip.

    Attributes:
        shared: what the engines have in common.
        total_s: one part after another.
        path_s: the longest path.
        bound_s: no schedule of them is shorter.
    """

    chip: str
    held_as: str
    shared: Shared
    total_s: float
    path_s: float
    schedule_s: float
    bound_s: float
    bounded_by: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """What a step of training costs in one mode; figures are those of ``onnxlens training``."""

    mode: str
    checkpointing: str
    macs: int
    backward_macs: int
    recomputed_macs: int
    params: int
    trained_params: int
    reached_params: int
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    saved_bytes: int
    total_bytes: int
    needed_bytes: int


def read_rows(kind: type[Row], path: Path) -> Sequence[Row]:
    """The rows of a committed CSV file; whole numbers and seconds are numbers."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            kind(**{name: _value(name, text) for name, text in row.items()}) for row in csv.DictReader(file)
        ]


def _value(name: str, text: str) -> Any:
    if name.endswith("_s"):
        return float(text)
    return int(text) if text.isdecimal() else text


def data_table(kind: type[Row], rows: Sequence[Row]) -> str:
    """Rows as CSV, with every digit."""
    columns = [Column[Row](each.name, partial(_field, each.name)) for each in fields(kind)]
    return render_table(rows, columns, "csv") + "\n"


def _field(name: str, row: Row) -> Any:
    return getattr(row, name)


@cache
def bills() -> Mapping[str, Bill]:
    """The published demo's defaults, by the kind of control."""
    chips = ",".join(CHIPS)
    return {
        kind: bill_of(BillRequest((kind,), stored_as=HELD_AS, rate=RATE), hardware=chips) for kind in KINDS
    }


@dataclass(frozen=True, slots=True)
class BillRow:
    """A graph of the bill, or several together.

    Attributes:
        stage: None for several.
        of: all that it is a share of.
    """

    what: str
    sum: BillSum
    of: BillSum
    weights_bytes: int | None
    live_bytes: int | None
    stage: BillStage | None = None


def bill_rows() -> Iterator[BillRow]:
    """Every graph of the bill with openpose, which has all of canny's, and the sums of both."""
    canny, whole = (bills()[kind] for kind in KINDS)
    for stage in whole.stages:
        call, cost = stage.call, stage.cost
        name = f"`{call.graph}`" if call.height is None else f"`{call.graph}`, {call.height} x {call.width}"
        memory = cost.resident_weight_bytes, cost.peak_live_bytes
        yield BillRow(name, whole.sum_of([stage]), whole.total, *memory, stage)
    loop = whole.resident_weight_bytes(whole.loop), max(each.cost.peak_live_bytes for each in whole.loop)
    yield BillRow("one step", whole.per_step, whole.total, *loop)
    for kind, bill in zip(KINDS, (canny, whole), strict=True):
        memory = bill.resident_weight_bytes(), bill.peak_live_bytes
        yield BillRow(f"**a picture, {kind}**", bill.total, whole.total, *memory)
    for kind, bill in zip(KINDS, (canny, whole), strict=True):
        assert bill.per_second is not None  # a rate is asked for
        yield BillRow(f"a second at {RATE:g} pictures, {kind}", bill.per_second, whole.total, None, None)


def _chip_column(chip: str) -> Column[BillRow]:
    def text(row: BillRow) -> str:
        limit = row.stage.cost.limited_by[chip] if row.stage else COMPUTE
        return short_time(row.sum.bound_s[chip]) + ("" if limit == COMPUTE else f" ({limit})")

    return Column(f"{chip}, at least", text, right=True)


BILL_PAGE: Sequence[Column[BillRow]] = (
    Column("what", lambda r: r.what),
    Column("batch", lambda r: r.stage.call.batch if r.stage else "", right=True),
    Column("times", lambda r: r.stage.call.calls if r.stage else "", right=True),
    Column("MACs", lambda r: short_count(r.sum.macs), right=True),
    Column("share", lambda r: share(r.sum.macs, r.of.macs) if r.stage else "", right=True),
    Column("FLOPs", lambda r: short_count(r.sum.flops), right=True),
    Column("moved", lambda r: short_bytes(r.sum.moved_bytes), right=True),
    figure_column("weights", lambda r: r.weights_bytes, short_bytes, ""),
    figure_column("live", lambda r: r.live_bytes, short_bytes, ""),
    *map(_chip_column, CHIPS),
)

OVERLAP_PAGE: Sequence[Column[OverlapRow]] = (
    Column("chip", lambda r: f"{r.chip}, {r.held_as}"),
    Column("engines share", lambda r: SHARING[r.shared]),
    Column("one after another", lambda r: short_time(r.total_s), right=True),
    Column("two engines", lambda r: short_time(r.schedule_s), right=True),
    Column("speed-up", lambda r: f"{r.total_s / r.schedule_s:.2f} x", right=True),
    Column("at most", lambda r: f"{r.total_s / r.bound_s:.2f} x", right=True),
    Column("bounded by", lambda r: r.bounded_by),
)


def _step_column(title: str, name: str) -> Column[StepRow]:
    short = short_bytes if name.endswith("_bytes") else short_count
    return Column(title, lambda row: short(getattr(row, name)), right=True)


STEP_PAGE: Sequence[Column[StepRow]] = (
    Column("mode", lambda r: r.mode),
    Column("checkpointing", lambda r: r.checkpointing),
    _step_column("forward MACs", "macs"),
    _step_column("backward MACs", "backward_macs"),
    _step_column("of these run again", "recomputed_macs"),
    _step_column("weights", "weight_bytes"),
    _step_column("gradients", "gradient_bytes"),
    _step_column("optimizer", "optimizer_bytes"),
    _step_column("saved", "saved_bytes"),
    _step_column("total", "total_bytes"),
)
