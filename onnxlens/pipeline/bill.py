"""The bill of a whole pipeline: what it calls, what each call costs, and what that is together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.hardware import chips_of, chips_with_peak
from onnxlens.api.staging import staged_plot
from onnxlens.errors import UsageError
from onnxlens.pipeline.calls import calls_of, timesteps_of
from onnxlens.pipeline.graph_costs import FLOAT, cost_of
from onnxlens.specs.bench import BenchRequest, LatencyResult
from onnxlens.specs.bill import MOST_POINTS, Bill, BillRequest, BillStage, Call
from onnxlens.specs.progress import Progress, named, silent

if TYPE_CHECKING:
    from onnxlens.specs.chip import Chip

EVERY = "all"
"""In place of the names of chips."""

SPLIT = (
    "group normalizations are whole: those over more than 131,072 elements, as in the VAE, are exported in "
    "two steps below opset 21, so that bytes and elementwise ops of 'onnxlens profile' differ there"
)
OUTSIDE = (
    "graphs alone: tokenizer, sampler, guidance, the scaling and adding of controls, and what annotators do "
    "before and after their networks are left out"
)


def bill_of(
    request: BillRequest | None = None,
    *,
    hardware: str = "",
    runs: int = 0,
    progress: Progress = silent,
) -> Bill:
    """What a whole pipeline costs, graph by graph and together; nothing is exported, unless it is timed.

    Args:
        request: what is run; None for the published demo's defaults.
        hardware: names of chips or paths of chip files, with commas between them: lower bounds on them;
            "all" for every chip of the list that has a rate for the type.
        runs: of each graph in ONNX Runtime on this machine's processor; 0 times nothing.
        progress: shows the steps.

    Raises:
        UsageError: a kind or chip is not known, or a size cannot be taken.
    """
    asked = request or BillRequest()
    bill = _counted(asked, *_chips(hardware, asked.stored_as))
    return _timed(bill, runs, progress) if runs else bill


def bill_sweep(
    request: BillRequest, axes: Mapping[str, Sequence[Mapping[str, object]]], *, hardware: str = ""
) -> Sequence[Bill]:
    """The bill at every point of a grid.

    Args:
        request: what all points have in common.
        axes: by name the fields that each value of it changes, such as ``{"steps": [{"steps": 10}, ..]}``.
        hardware: as of ``bill_of``.

    Raises:
        UsageError: as of ``bill_of``; or there are too many points.
    """
    points = [dict(pair for each in point for pair in each.items()) for point in product(*axes.values())]
    if len(points) > MOST_POINTS:
        raise UsageError(f"--sweep: {len(points)} points are asked for; give at most {MOST_POINTS}")
    chips, said = _chips(hardware, request.stored_as)
    return [_counted(replace(request, **changes), chips, said) for changes in points]  # type: ignore[arg-type]


def _chips(hardware: str, dtype: str) -> tuple[Mapping[str, Chip], Sequence[str]]:
    """Those that are asked for, and what a reader must know of the choice."""
    if hardware != EVERY:
        return chips_of(hardware) if hardware else {}, ()
    chips, others = chips_with_peak(f"{dtype or FLOAT}x{dtype or FLOAT}")
    said = f"no rate of {dtype or FLOAT} is published for {', '.join(others)}"
    return chips, [said] if others else []


def _counted(request: BillRequest, chips: Mapping[str, Chip], said: Sequence[str]) -> Bill:
    stages, notes = [], dict.fromkeys([OUTSIDE, SPLIT, *said])
    for call in calls_of(request):
        cost, left_out = cost_of(call, request.stored_as, chips)
        stages.append(BillStage(call, cost))
        notes |= dict.fromkeys(left_out)
    return Bill(
        request,
        len(timesteps_of(request.steps, request.denoising)),
        tuple(stages),
        {label: chip.title for label, chip in chips.items()},
        tuple(notes),
    )


def _timed(bill: Bill, runs: int, progress: Progress) -> Bill:
    """With the time of one call of each graph at its batch and size: its median over the runs."""
    from onnxlens.profile.runtime.machine import machine, usable_cores

    known: dict[tuple[object, ...], LatencyResult] = {}
    stages = []
    for stage in bill.stages:
        call = stage.call
        key = call.graph, call.batch, call.height, call.width
        if key not in known:
            known[key] = _latency(call, runs, progress)
        stages.append(replace(stage, measured=known[key]))
    here = {**machine(), "threads": str(usable_cores())}
    return replace(bill, stages=tuple(stages), machine=here)


def _latency(call: Call, runs: int, progress: Progress) -> LatencyResult:
    from onnxlens.api.bench import bench_graph
    from onnxlens.api.target import Settings

    settings = Settings(batch=call.batch, height=call.height, width=call.width)
    request = BenchRequest(runs=runs, warmup=1, matmul_peak=False)
    return bench_graph(call.graph, settings, request, named(progress, call.graph)).latency


def write_bill_plot(bill: Bill, out: Path | str) -> Path:
    """Draw which share of MACs, bytes and times each stage has, as ``.svg`` or ``.png``.

    Raises:
        UsageError: another suffix, or ``out`` cannot be written.
    """
    from onnxlens.reports.plots.bill import write_bill_plot as write

    return staged_plot(out, partial(write, bill))
