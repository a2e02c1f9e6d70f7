"""ExecuTorch's Inspector: ``to_dataframe(include_units=True).to_csv(..)``, and ``print_data_tabular``.

Source: ``devtools/inspector/_inspector.py`` in the repository executorch, and "Inspector APIs" in its
documentation. A row is an event, with the mean of its runs in ``avg (ms)``, and, where an ETRecord was given,
the operators behind it and their modules.

Rows of the framework span others and are no layers: ``Method::..``, ``Program::load_method``, and
``OPERATOR_CALL``, which is the operator before it with the cost of the call. The Inspector converts the times
of delegated operators only with a ``delegate_time_scale_converter``: without one they are in the delegate's
own unit, whatever the head says. So they are times only if together they take no longer than the
``DELEGATE_CALL`` rows that hold them; then these are left out, else the delegated rows have no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import fsum
from typing import cast

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import EXPONENTS, Unit, known, refuse
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "executorch"

NEEDED = ("event_block_name", "event_name")

AVERAGE = re.compile(r"avg \((\w+)\)")

FRAMEWORK = re.compile(r"Method::\w+\Z|Program::load_method\Z|OPERATOR_CALL\Z")
DELEGATE = "DELEGATE_CALL"

BORDERS = ("│", "|")
"""What separates the cells of a printed table."""

MODULE = re.compile(r"'(?P<key>[^']*)': \('(?P<path>[^']*)', ")
"""A module in the column ``module_hierarchy``: ``{'L__self___conv': ('conv', 'torch.nn.Conv2d')}``."""


def _recognizes(given: Given) -> bool:
    return all(name in given.head() for name in NEEDED)


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"\.(csv|txt|log)", "a table of ExecuTorch's Inspector")
    text = given.text(path)
    border = next(
        (each for each in BORDERS if re.search(rf"{re.escape(each)}\s*event_block_name\s", text)), ""
    )
    rows = list(_printed(given, border) if border else given.table(NEEDED, path))
    if not rows:
        refuse(path, "the table has no events")
    unit = _unit(rows[0])
    column = f"avg ({unit})"
    layers = [row for row in rows if not FRAMEWORK.match(row["event_name"])]
    calls = [row for row in layers if row["event_name"] == DELEGATE]
    delegated = [row for row in layers if _is_delegated(row)]
    inside = fsum(float(row.number(column)) for row in delegated)
    timed = bool(delegated) and inside <= fsum(float(row.number(column)) for row in calls) or not calls
    notes = ("delegated operators are in a unit of the delegate's own: their calls have the time",)
    return LayerReport(
        TOOL,
        tuple(
            _record(row, column, unit, timed or not _is_delegated(row))
            for row in layers
            if not (timed and delegated and row in calls)
        ),
        notes=() if timed else notes if delegated else (),
    )


def _unit(row: Row) -> Unit:
    found = [match[1] for name in row.columns if (match := AVERAGE.match(name))]
    if not found or found[0] not in EXPONENTS:
        refuse(f"{row.where}, line 1", "no column such as 'avg (ms)'", "write it with include_units=True")
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


def _is_delegated(row: Row) -> bool:
    return row.get("is_delegated_op") == "True"


def _record(row: Row, column: str, unit: Unit, timed: bool) -> LayerRecord:
    modules = _modules(row.get("module_hierarchy"))
    return LayerRecord(
        row["event_name"],
        ", ".join(re.findall(r"'([^']+)'", row.get("op_types"))),
        tuple(modules),
        row.get("delegate_backend_name") if _is_delegated(row) else "cpu",
        known({"time_s": row.seconds(column, unit) if timed else None}),
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
