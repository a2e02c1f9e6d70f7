"""Times of modules that were measured elsewhere, from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from onnxlens.errors import GraphError, UsageError
from onnxlens.reports.tables.values import number_at
from onnxlens.specs.measured import ModuleTiming

PATHS = ("path", "module")
TIMES = ("latency_s", "latency", "time", "seconds", "median_s")
"""What the columns may be called, as ``bench`` and ``ledger`` call them."""


def read_timings(path: Path | str) -> tuple[ModuleTiming, ...]:
    """The time of each module of a CSV file with a head, for ``ledger_of``.

    A column ``path`` (or ``module``) has the module's path, the graph's name or nothing for the model; a
    column ``latency_s`` (or ``latency``, ``time``, ``seconds``, ``median_s``) its time with everything
    inside it, in seconds, or with a unit such as ``5 ms``. Rows without a time were not measured.

    Raises:
        UsageError: the file cannot be read, has no such columns, or a cell is no time.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            return tuple(_timings(csv.DictReader(file, strict=True), path))
    except (OSError, UnicodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a CSV file that can be read ({error})") from error


def _timings(reader: csv.DictReader[str], file: Path | str) -> Iterator[ModuleTiming]:
    columns = reader.fieldnames or ()
    module, time = (next((name for name in names if name in columns), "") for names in (PATHS, TIMES))
    if not module or not time:
        raise UsageError(
            f"{file}: its columns are {', '.join(columns) or 'none'}; give one of "
            f"{', '.join(PATHS)} and one of {', '.join(TIMES)} in its first line"
        )
    for row in reader:
        where = f"{file}, line {reader.line_num}"
        if row[module] is None or row[time] is None:
            raise UsageError(f"{where}: it has fewer cells than the first line")
        if not (text := row[time].strip()):
            continue
        found = number_at(text, "latency_s")
        if isinstance(found, str) or found.length < len(text):
            raise UsageError(f"{where}: {text!r} is not a time; give seconds, or a unit such as 5ms")
        try:
            yield ModuleTiming(row[module].strip(), found.number)
        except GraphError as error:
            raise UsageError(f"{where}: {error}") from error
