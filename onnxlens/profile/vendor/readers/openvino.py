"""OpenVINO's counters: ``get_profiling_info()`` as JSON, and the CSV reports of ``benchmark_app``.

Sources: ``ProfilingInfo`` in OpenVINO's documentation, and ``statistics_report`` of ``benchmark_app``, in C++
and in Python, in its repository. The JSON is a list of objects with the
fields of ``ProfilingInfo``, its times in microseconds, and, where the graph that ran was asked for them,
``originalLayersNames``, joined by commas. ``benchmark_app -report_type average_counters`` writes a table with
``;``, its times in milliseconds, ``detailed_counters`` one such table for each request, whose mean is taken.

A node with the status NOT_RUN or OPTIMIZED_OUT has no time of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from typing import Any

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import entry, known, listed, named, refuse, seconds, shown
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "openvino"

TABLE = ("layerName", "execStatus", "layerType", "execType", "realTime (ms)")

ORIGINAL = "originalLayersNames"

Counter = tuple[str, str, str, float]
"""A node of one request: its name, operator, how it is executed, and its seconds; 0 if it did not run."""


def _recognizes(given: Given) -> bool:
    head = given.head()
    return head.startswith("layerName;execStatus") or '"node_name"' in head and '"real_time"' in head


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"_counters_report\.csv|counters\.json", "counters of OpenVINO")
    if given.text(path).lstrip()[0] in "{[":
        nodes = listed(given.json(path), str(path), "nodes")
        return LayerReport(TOOL, tuple(_node(each, f"{path}: node {at}") for at, each in enumerate(nodes)))
    requests = list(_requests(given.lines(path), str(path)))
    names = [[name for name, *_ in request] for request in requests]
    if any(each != names[0] for each in names):
        refuse(path, "the tables of its requests have different layers", "give the report average_counters")
    records = tuple(_mean(same) for same in zip(*requests, strict=True))
    mean = (f"the mean of {len(requests)} requests",) if len(requests) > 1 else ()
    return LayerReport(TOOL, records, notes=mean)


def _node(value: Any, where: str) -> LayerRecord:
    found = entry(value, where, "node_name", "real_time")
    name = named(found["node_name"], where)
    original = [each for each in str(found.get(ORIGINAL, "")).split(",") if each]
    figures = known({"time_s": seconds(found["real_time"], "us", f"{where}: real_time")})
    if str(found.get("status", "EXECUTED")).rpartition(".")[2] != "EXECUTED":
        figures = {}
    return LayerRecord(name, str(found.get("node_type", "")), tuple(original or [name]), "", figures)


def _requests(lines: Sequence[str], path: str) -> Iterator[Sequence[Counter]]:
    """The table of each request, which ends with its total."""
    request: list[Counter] = []
    columns: Mapping[str, int] = {}
    for at, cells in enumerate(csv.reader(lines, delimiter=";"), 1):
        where = f"{path}, line {at}"
        if cells[:2] == list(TABLE[:2]):
            columns = {name.strip(): column for column, name in enumerate(cells)}
            if missing := [name for name in TABLE if name not in columns]:
                refuse(where, f"no column {missing[0]!r} of benchmark_app's report")
        elif cells and cells[0] == "Total":
            yield request
            request = []
        elif any(cells):
            if not columns or len(cells) < len(TABLE):
                refuse(where, f"expected a layer of benchmark_app's report, found {shown(';'.join(cells))}")
            ran = cells[columns["execStatus"]].rpartition(".")[2] == "EXECUTED"
            time = seconds(cells[columns["realTime (ms)"]], "ms", f"{where}, column 'realTime (ms)'")
            request.append(
                (cells[0], cells[columns["layerType"]], cells[columns["execType"]], time if ran else 0.0)
            )
    if request:
        refuse(f"{path}, line {len(lines)}", "the last table has no total", "is the report whole?")


def _mean(same: Sequence[Counter]) -> LayerRecord:
    name, op_type, _, _ = same[0]
    time = fsum(time for *_, time in same) / len(same)
    return LayerRecord(name, op_type, (name,), "", known({"time_s": time}))


READERS = (
    Reader(TOOL, "get_profiling_info() as JSON, or benchmark_app's average_counters CSV", _recognizes, _read),
)
