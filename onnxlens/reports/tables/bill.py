"""A bill as tables and a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from onnxlens.reports.numbers import as_if_held, counted, share, short_bytes, short_count, short_time
from onnxlens.reports.tables.render import (
    Cell,
    Column,
    TableFormat,
    figure_column,
    fitted,
    hidden_note,
    render_table,
    with_notes,
)
from onnxlens.specs.bill import Bill, BillStage, BillSum
from onnxlens.specs.codec import to_plain
from onnxlens.specs.record import record
from onnxlens.specs.roofline import AT


@record(frozen=True, slots=True)
class _Line:
    """A row: a stage, or several of them together, all of its calls.

    ``cells`` are the texts and sizes that it has, by column.
    """

    cells: Mapping[str, Cell]
    sum: BillSum


def bill_table(bill: Bill, table_format: TableFormat, width: int | None) -> str:
    """One row for each graph in the order in which they run, and sums below."""
    lines = [_stage_line(bill, stage) for stage in bill.stages]
    columns = list(_columns(bill, machine=table_format == "csv"))
    sums = [] if table_format == "csv" else list(_sums(bill))
    shown, hidden = fitted([*lines, *(line for _, line in sums)], columns, width)
    table = render_table(lines, shown, table_format, sums)
    return with_notes(
        f"the pipeline's bill: {_heading(bill)}", table, [*hidden_note(hidden), *_notes(bill)], table_format
    )


def _stage_line(bill: Bill, stage: BillStage) -> _Line:
    call, cost = stage.call, stage.cost
    cells: dict[str, Cell] = {
        "graph": call.graph,
        "stage": call.stage,
        "network": call.network,
        "height": call.height,
        "width": call.width,
        "size": "" if call.height is None else f"{call.height} x {call.width}",
        "batch": call.batch,
        "calls": call.calls,
        "frame_calls": call.frame_calls,
        "weights": cost.resident_weight_bytes,
        "live": cost.peak_live_bytes,
        **{f"limited_by{AT}{chip}": limit for chip, limit in cost.limited_by.items()},
    }
    found = bill.sum_of([stage])
    return _Line({**cells, "share": share(found.macs, bill.total.macs)}, found)


def _sums(bill: Bill) -> Iterator[tuple[str, _Line]]:
    memory = _memory(bill, bill.stages)
    yield "one step", _Line(_memory(bill, bill.loop), bill.per_step)
    yield "all", _Line(memory, bill.total)
    if bill.request.images > 1:
        yield "per image", _Line(memory, bill.per_image)
    if (second := bill.per_second) is not None:
        yield f"a second of video at {bill.request.rate:g}/s", _Line(memory, second)


def _memory(bill: Bill, stages: Sequence[BillStage]) -> dict[str, Cell]:
    live = max(stage.cost.peak_live_bytes for stage in stages)
    return {"weights": bill.resident_weight_bytes(stages), "live": live}


def _columns(bill: Bill, *, machine: bool) -> Iterator[Column[_Line]]:
    names = ("graph", "stage", "network", "height", "width") if machine else ("network", "size")
    for name in names:
        yield Column("graph" if name == "network" and not machine else name, partial(_cell, name))
    for name in ("batch", "calls", *(("frame_calls",) if machine else ())):
        yield _summed(Column(name, partial(_cell, name), right=True))
    yield _figure("macs", lambda line: line.sum.macs, short_count)
    if not machine:
        yield _summed(Column("share", lambda line: line.cells.get("share"), right=True))
    yield _figure("flops", lambda line: line.sum.flops, short_count)
    yield _figure("moved", lambda line: line.sum.moved_bytes, short_bytes, "moved_bytes")
    yield _figure("weights", partial(_number, "weights"), short_bytes, "resident_weight_bytes")
    yield _figure("live", partial(_number, "live"), short_bytes, "peak_live_bytes")
    for chip in bill.chips:
        yield _figure(f"bound{AT}{chip}", partial(_bound, chip), short_time, f"bound_s{AT}{chip}")
        yield _summed(Column(f"limited_by{AT}{chip}", partial(_cell, f"limited_by{AT}{chip}")))
    if bill.machine:
        yield _figure("measured", lambda line: line.sum.measured_s, short_time, "measured_s")


def _summed(column: Column[_Line]) -> Column[_Line]:
    return replace(column, sums=True)


def _figure(
    title: str, figure: Callable[[_Line], float | None], short: Callable[[float], str], csv_title: str = ""
) -> Column[_Line]:
    return _summed(figure_column(title, figure, short, csv_title=csv_title))


def _cell(name: str, line: _Line) -> Cell:
    return line.cells.get(name)


def _number(name: str, line: _Line) -> float | None:
    value = line.cells[name]
    assert not isinstance(value, str)
    return value


def _bound(chip: str, line: _Line) -> float:
    return line.sum.bound_s[chip]


def _heading(bill: Bill) -> str:
    request = bill.request
    controls = " + ".join(request.kinds) or "no ControlNet"
    prompts = f"guidance {request.scale:g}, {request.schedule}" if request.guided else "no guidance"
    said = (
        f"{request.height} x {request.width}",
        counted(bill.timesteps, "step"),
        prompts,
        *(("guess mode",) if request.guess_mode else ()),
        *(() if request.denoising is None else (f"from a picture, {request.denoising:g} of the steps",)),
        counted(request.images, "image"),
    )
    return f"{controls}; {', '.join(said)}"


def _notes(bill: Bill) -> Iterator[str]:
    yield (
        f"memory: {short_bytes(bill.memory_bytes)} with all weights and the most activations; "
        f"{short_bytes(bill.resident_weight_bytes(bill.loop))} of weights in the loop"
    )
    if bill.request.stored_as:
        yield as_if_held(bill.request.stored_as)
    if "openpose" in bill.request.kinds:
        yield f"openpose: {counted(bill.request.hands, 'hand')} at four scales each (--hands)"
    for label, title in bill.chips.items():
        yield (
            f"{label} ({title}): lower bounds, graphs one after the other, inside each all units at once and "
            "nothing but inputs, outputs and weights moved"
        )
    if bill.machine:
        yield (
            f"measured: ONNX Runtime, {bill.machine['processor']}, {bill.machine['threads']} threads: the "
            "median of one call, as often as it is run"
        )
    yield from bill.notes


def bill_by_chip(bill: Bill, table_format: TableFormat, width: int | None) -> str:
    """One row for each chip, that of the least time first, and what limits it."""
    limits = {chip: ", ".join(_limits(bill, chip)) for chip in bill.chips}
    step, image, whole = (each.bound_s for each in (bill.per_step, bill.per_image, bill.total))

    def rate(chip: str) -> float:
        return 1 / image[chip]

    columns: Sequence[Column[str]] = (
        Column("chip", str),
        Column("product", bill.chips.__getitem__),
        figure_column("all", whole.__getitem__, short_time, csv_title="bound_s"),
        figure_column("one step", step.__getitem__, short_time, csv_title="step_bound_s"),
        figure_column("images/s", rate, lambda each: f"<= {each:.3g}", csv_title="images_per_s"),
        Column("limited_by", limits.__getitem__),
    )
    chips = sorted(bill.chips, key=whole.__getitem__)
    shown, hidden = fitted(chips, columns, width)
    notes = [
        "lower bounds, no predictions: a chip with more time than you have cannot do it, one with less may",
        "limited_by: the part of the time in graphs that it limits",
        *_notes(replace(bill, chips={}, notes=_by_text(bill))),
    ]
    table = render_table(chips, shown, table_format)
    head = f"the pipeline's bill by chip: {_heading(bill)}"
    return with_notes(head, table, [*hidden_note(hidden), *notes], table_format)


def _limits(bill: Bill, chip: str) -> Iterator[str]:
    """What limits which part of the time, the largest first."""
    stages: dict[str, list[BillStage]] = {}
    for stage in bill.stages:
        stages.setdefault(stage.cost.limited_by[chip], []).append(stage)
    parts = {limit: bill.sum_of(each).bound_s[chip] for limit, each in stages.items()}
    for limit in sorted(parts, key=parts.__getitem__, reverse=True):
        yield f"{limit} {share(parts[limit], bill.total.bound_s[chip], 0)}"


def _by_text(bill: Bill) -> tuple[str, ...]:
    """The notes, equal ones of several chips as one."""
    chips: dict[str, list[str]] = {}
    for note in bill.notes:
        chip, _, text = note.partition(": ")
        is_of_chip = chip in bill.chips
        names = chips.setdefault(text if is_of_chip else note, [])
        names += [chip] * is_of_chip
    return tuple(f"{text} ({', '.join(names)})" if names else text for text, names in chips.items())


def sweep_table(bills: Sequence[Bill], axes: Sequence[str], table_format: TableFormat) -> str:
    """One row for each point."""
    first = bills[0]
    lines = [
        _Line(_memory(bill, bill.stages) | {axis: _axis(axis, bill) for axis in axes}, bill.total)
        for bill in bills
    ]
    columns = [Column(axis, partial(_cell, axis), right=True) for axis in axes]
    columns += [column for column in _columns(first, machine=True) if column.short]  # the figures
    table = render_table(lines, columns, table_format)
    over = f"the pipeline's bill over {', '.join(axes)}; all else as in the first row: "
    return with_notes(over + _heading(first), table, [*first.notes], table_format)


def _axis(axis: str, bill: Bill) -> Cell:
    request = bill.request
    if axis == "size":
        return request.height if request.height == request.width else f"{request.height}x{request.width}"
    return len(request.kinds) if axis == "controls" else getattr(request, axis)


def bill_document(bill: Bill, sweep: Sequence[Bill] = ()) -> dict[str, Any]:
    """All of it, exact; a figure that is not known is absent."""
    return {
        "schema": "onnxlens.bill/1",
        **_summary(bill),
        "stages": [
            {
                **to_plain(stage.call),
                "per_call": {
                    **to_plain(stage.cost),
                    "flops": stage.cost.flops,
                    "moved_bytes": stage.cost.moved_bytes,
                },
                "all_calls": to_plain(bill.sum_of([stage])),
                **({} if stage.measured is None else {"measured": to_plain(stage.measured)}),
            }
            for stage in bill.stages
        ],
        "chips": dict(bill.chips),
        "machine": dict(bill.machine),
        "notes": list(bill.notes),
        **({"sweep": [_summary(each) for each in sweep]} if sweep else {}),
    }


def _summary(bill: Bill) -> dict[str, Any]:
    """What is asked for, and the sums."""
    second = bill.per_second
    return {
        "request": to_plain(bill.request),
        "timesteps": bill.timesteps,
        "totals": {
            "step": to_plain(bill.per_step),
            "all": to_plain(bill.total),
            "image": to_plain(bill.per_image),
            **({} if second is None else {"second_of_video": to_plain(second)}),
        },
        "memory": {
            "resident_weight_bytes": bill.resident_weight_bytes(),
            "loop_weight_bytes": bill.resident_weight_bytes(bill.loop),
            "peak_live_bytes": bill.peak_live_bytes,
            "memory_bytes": bill.memory_bytes,
        },
    }
