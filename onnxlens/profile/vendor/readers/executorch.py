"""ExecuTorch's Inspector: ``to_dataframe(include_units=True).to_csv(..)``, and ``print_data_tabular``.

Source: "Inspector APIs" in ExecuTorch's documentation, and what executorch 1.5.1 wrote of a net with and
without XNNPACK; ``save_data_to_tsv`` writes the same with tabs. A row is an event, with the median of its
runs in ``p50 (ms)``, and, where an ETRecord was given, the operators behind it, and with
``enable_module_hierarchy=True`` their modules.

Rows of the framework span others and are no layers: ``Method::..``, ``Program::load_method``, and
``OPERATOR_CALL``, which is the operator before it with the cost of the call. What a delegate ran stands
before the ``DELEGATE_CALL`` that holds it, and has its part of the call's time. The Inspector converts such
times only with a ``delegate_time_scale_converter``: without one they are in the delegate's own unit, whatever
the head says. Where they come to far more than the call, they are no times, and the call has its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from typing import cast

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import EXPONENTS, Unit, known, refuse
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "executorch"

NEEDED = ("event_block_name", "event_name")

MEDIAN = re.compile(r"p50 \((\w+)\)")

FRAMEWORK = re.compile(r"Method::\w+\Z|Program::load_method\Z|OPERATOR_CALL\Z")
DELEGATE = "DELEGATE_CALL"

MOST_OVER = 2
"""How much more than their call medians of what it ran may come to: other units are a thousand times off."""

BORDERS = ("│", "|")
"""What separates the cells of a printed table."""

MODULE = re.compile(r"'(?P<key>[^']*)': \('(?P<path>[^']*)', ")
"""A module in the column ``module_hierarchy``: ``{'L__self___conv': ('conv', 'torch.nn.Conv2d')}``."""


def _recognizes(given: Given) -> bool:
    return all(name in given.head() for name in NEEDED)


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"\.(csv|tsv|txt|log)", "a table of ExecuTorch's Inspector")
    text = given.text(path)
    border = next(
        (each for each in BORDERS if re.search(rf"{re.escape(each)}\s*event_block_name\s", text)), ""
    )
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    rows = list(_printed(given, border) if border else given.table(NEEDED, path, delimiter))
    if not rows:
        refuse(path, "the table has no events")
    unit = _unit(rows[0])
    column = f"p50 ({unit})"
    records: list[LayerRecord] = []
    inside: list[Row] = []
    for row in rows:
        if row.get("is_delegated_op").lower() == "true":
            inside.append(row)
        elif row["event_name"] == DELEGATE:
            records += _call(row, inside, column, unit)
            inside = []
        elif not FRAMEWORK.match(row["event_name"]):
            records.append(_record(row, {"time_s": row.seconds(column, unit)}))
    if inside:
        refuse(
            inside[0].place, "the operator of a delegate, without the DELEGATE_CALL behind it", "is it whole?"
        )
    return LayerReport(TOOL, tuple(records), notes=("times are medians",))


def _call(call: Row, inside: Sequence[Row], column: str, unit: Unit) -> Iterator[LayerRecord]:
    """What a delegate ran, and what its call took besides."""
    whole = call.seconds(column, unit)
    times = [row.seconds(column, unit) for row in inside]
    known_unit = fsum(times) <= MOST_OVER * whole
    for row, time in zip(inside, times, strict=True):
        yield _record(row, {"time_s": time if known_unit else None})
    yield _record(call, {"time_s": max(0.0, whole - fsum(times)) if known_unit else whole})


def _unit(row: Row) -> Unit:
    found = [match[1] for name in row.columns if (match := MEDIAN.match(name))]
    if not found or found[0] not in EXPONENTS:
        refuse(f"{row.where}, line 1", "no column such as 'p50 (ms)'", "write it with include_units=True")
    return cast(Unit, found[0])


def _printed(given: Given, border: str) -> Iterator[Row]:
    """The rows of a printed table: lines between borders, of which the first is the head."""
    columns: dict[str, int] = {}
    for at, line in enumerate(given.lines(), 1):
        cells = [cell.strip() for cell in line.strip().strip(border).split(border)]
        if not line.strip().startswith(border) or all(re.fullmatch(r"[-:+=]*", cell) for cell in cells):
            continue
        if not columns:
            columns = {name: index for index, name in enumerate(cells)}
        elif len(cells) != len(columns):
            refuse(
                f"{given.path}, line {at}", f"{len(cells)} cells; expected {len(columns)}", "print it wider"
            )
        else:
            yield Row(str(given.path), at, columns, cells)


def _record(row: Row, figures: Mapping[str, float | None]) -> LayerRecord:
    operators = re.findall(r"'([^']+)'", row.get("op_types")) or [row["event_name"].partition(" (")[0]]
    return LayerRecord(
        row["event_name"],
        ", ".join(operators),
        tuple(_modules(row.get("module_hierarchy"))),
        row.get("delegate_backend_name") or "cpu",
        known(figures),
    )


def _modules(hierarchy: str) -> Sequence[str]:
    """The path of the innermost module of each operator behind an event."""
    operators = re.split(r"\}, '", hierarchy)
    paths = [MODULE.findall(operator) for operator in operators]
    return list(dict.fromkeys(found[-1][1] for found in paths if found and found[-1][1]))


READERS = (
    Reader(
        TOOL,
        "the Inspector's to_dataframe(include_units=True) as CSV, or its printed table",
        _recognizes,
        _read,
    ),
)
