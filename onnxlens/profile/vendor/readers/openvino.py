"""OpenVINO's counters: ``get_profiling_info()`` as JSON, and the reports of ``benchmark_app``.

Sources: ``ProfilingInfo`` in OpenVINO's documentation, ``benchmark_app`` of the package openvino 2026.4.1 and
``statistics_report.cpp`` of the one in C++. The JSON is a list of objects with the fields of
``ProfilingInfo``, times in microseconds, and, where the graph that ran was asked for them,
``originalLayersNames``, joined by commas; nodes that OpenVINO adds have none. ``benchmark_app -report_type
average_counters`` writes a table with ``;``, times in milliseconds, ``detailed_counters`` one such table for
each request, whose mean is taken; with ``-json_stats`` the same as JSON, of which the average has the first
node alone.

The placement is the kernel that ran, ``exec_type``.

A node with the status NOT_RUN or OPTIMIZED_OUT has no time of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from pathlib import Path
from typing import Any

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import entry, known, listed, named, refuse, seconds, shown
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "openvino"

TABLE = ("layerName", "execStatus", "layerType", "execType", "realTime (ms)")

ORIGINAL = "originalLayersNames"

Counter = tuple[str, str, float]
"""A node of one request: its name, its operator, and its seconds; 0 if it did not run."""


def _recognizes(given: Given) -> bool:
    head = given.head()
    return (
        head.startswith("layerName;execStatus")
        or '"node_name"' in head
        and '"real_time"' in head
        or '"node_type"' in head
        and ('"avg_performance"' in head or '"detailed_performance"' in head)
    )


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"_counters_report\.(csv|json)|counters\.json", "counters of OpenVINO")
    if given.text(path).lstrip()[0] not in "{[":
        return _report(list(_requests(given.lines(path), str(path))), path)
    document = given.json(path)
    if isinstance(document, dict):
        return _report(_json_requests(document, str(path)), path)
    nodes = listed(document, str(path), "nodes")
    return LayerReport(TOOL, tuple(_node(each, f"{path}: node {at}") for at, each in enumerate(nodes)))


def _report(requests: Sequence[Sequence[Counter]], path: Path) -> LayerReport:
    """The mean of all requests."""
    names = [[name for name, *_ in request] for request in requests]
    if any(each != names[0] for each in names):
        refuse(path, "the tables of its requests have different layers", "give the report average_counters")
    records = tuple(_mean(same) for same in zip(*requests, strict=True))
    mean = (f"the mean of {len(requests)} requests",) if len(requests) > 1 else ()
    return LayerReport(TOOL, records, notes=mean)


def _json_requests(document: Mapping[str, Any], where: str) -> Sequence[Sequence[Counter]]:
    """The requests of benchmark_app's JSON, in which every time is a text in milliseconds."""
    if "avg_performance" in document:
        average = entry(document["avg_performance"], where, "nodes")
        if len(listed(average["nodes"], where, "nodes")) < 2:
            refuse(
                where,
                "benchmark_app left out all nodes but one",
                "give its CSV, or the report detailed_counters",
            )
        requests = [average]
    else:
        requests = listed(
            entry(document, where, "detailed_performance")["detailed_performance"], where, "requests"
        )
    return [
        [
            _counter(node, f"{where}: node {at}")
            for at, node in enumerate(entry(each, where, "nodes")["nodes"])
        ]
        for each in requests
    ]


def _counter(value: Any, where: str) -> Counter:
    node = entry(value, where, "name", "node_type", "status", "real_time")
    time = seconds(node["real_time"], "ms", f"{where}: real_time")
    name = named(node["name"], where)
    return name, str(node["node_type"]), time if _ran(node["status"]) else 0.0


def _ran(status: object) -> bool:
    """Whether a node ran, by ``EXECUTED`` or ``Status.EXECUTED``."""
    return str(status).rpartition(".")[2] == "EXECUTED"


def _node(value: Any, where: str) -> LayerRecord:
    found = entry(value, where, "node_name", "real_time")
    name = named(found["node_name"], where)
    original = tuple(each for each in str(found.get(ORIGINAL, name)).split(",") if each)
    figures = known({"time_s": seconds(found["real_time"], "us", f"{where}: real_time")})
    kernel = str(found.get("exec_type", ""))
    if not _ran(found.get("status", "EXECUTED")):
        figures, kernel = {}, ""
    return LayerRecord(name, str(found.get("node_type", "")), original, kernel, figures)


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
            ran = _ran(cells[columns["execStatus"]])
            time = seconds(cells[columns["realTime (ms)"]], "ms", f"{where}, column 'realTime (ms)'")
            request.append((cells[0], cells[columns["layerType"]], time if ran else 0.0))
    if request:
        refuse(f"{path}, line {len(lines)}", "the last table has no total", "is the report whole?")


def _mean(same: Sequence[Counter]) -> LayerRecord:
    name, op_type, _ = same[0]
    time = fsum(time for *_, time in same) / len(same)
    return LayerRecord(name, op_type, (name,), "", known({"time_s": time}))


READERS = (
    Reader(TOOL, "get_profiling_info() as JSON, or benchmark_app's average_counters CSV", _recognizes, _read),
)
