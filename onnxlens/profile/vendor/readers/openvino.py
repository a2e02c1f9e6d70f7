"""OpenVINO's counters: ``get_profiling_info()`` as JSON, and the reports of ``benchmark_app``.

Sources: ``ProfilingInfo`` in OpenVINO's documentation, ``benchmark_app`` of the package openvino 2026.4.1 and
``statistics_report.cpp`` of the one in C++. The JSON is a list of objects with the fields of
``ProfilingInfo``, times in microseconds, and, where the graph that ran was asked for them,
``originalLayersNames``, joined by commas; nodes that OpenVINO adds have none. ``benchmark_app -report_type
average_counters`` writes a table with ``;``, times in milliseconds, ``detailed_counters`` one such table for
each request, whose mean is taken; with ``-json_stats`` the same as JSON, of which the average has the first
node alone. ``-pcsort`` has commas, a line for each total, and no whole seconds. What ``-pc`` prints has names
that are cut off.

The placement is the kernel that ran, ``exec_type``.

A node with the status NOT_RUN or OPTIMIZED_OUT has no time of its own.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.rows import averaged
from onnxlens.profile.vendor.readers.values import entry, known, listed, named, refuse, seconds, shown
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "openvino"

TABLE = ("layerName", "execStatus", "layerType", "execType", "realTime (ms)")

ORIGINAL = "originalLayersNames"

TIMEDELTA = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")

SORTED_HEAD = "layerName,execStatus"

PRINTED = "realTime (ms):"
"""In every line that ``-pc`` prints."""


def _recognizes(given: Given) -> bool:
    head = given.head()
    return (
        head.startswith(("layerName;execStatus", SORTED_HEAD))
        or PRINTED in head
        or '"node_name"' in head
        and '"real_time"' in head
        or '"node_type"' in head
        and ('"avg_performance"' in head or '"detailed_performance"' in head)
    )


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"_(counters|sorted)_report\.(csv|json)|counters\.json", "counters of OpenVINO")
    if PRINTED in given.text(path):
        refuse(path, "what -pc prints has names that are cut off", "give it -report_type average_counters")
    if given.text(path).lstrip()[0] not in "{[":
        is_sorted = given.text(path).startswith(SORTED_HEAD)
        return _report(list(_requests(given.lines(path), str(path))), path, is_sorted=is_sorted)
    document = given.json(path)
    if isinstance(document, dict):
        requests = _json_requests(document, str(path))
        return _report(requests, path, is_sorted=document.get("report_type") == "sorted")
    nodes = listed(document, str(path), "nodes")
    return LayerReport(TOOL, tuple(_node(each, f"{path}: node {at}") for at, each in enumerate(nodes)))


def _report(requests: Sequence[Sequence[LayerRecord]], path: Path, *, is_sorted: bool) -> LayerReport:
    """The mean of all requests."""
    names = [[record.name for record in request] for request in requests]
    if any(each != names[0] for each in names):
        refuse(path, "the tables of its requests have different layers", "give the report average_counters")
    records = tuple(map(averaged, zip(*requests, strict=True)))
    notes = [f"the mean of {len(requests)} requests"] if len(requests) > 1 else []
    notes += (
        ["-pcsort leaves out whole seconds: a layer of a second or more has too little"] if is_sorted else []
    )
    return LayerReport(TOOL, records, notes=tuple(notes))


def _json_requests(document: Mapping[str, Any], where: str) -> Sequence[Sequence[LayerRecord]]:
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


def _counter(value: Any, where: str) -> LayerRecord:
    node = entry(value, where, "name", "node_type", "status", "real_time")
    time = seconds(node["real_time"], "ms", f"{where}: real_time")
    name = named(node["name"], where)
    return _record(name, node["node_type"], node.get("exec_type", ""), node["status"], time, (name,))


def _record(
    name: str, op_type: object, kernel: object, status: object, time_s: float, sources: tuple[str, ...]
) -> LayerRecord:
    """A node, whose status is ``EXECUTED`` or ``Status.EXECUTED`` if it ran."""
    if str(status).rpartition(".")[2] != "EXECUTED":
        return LayerRecord(name, str(op_type), sources)
    return LayerRecord(name, str(op_type), sources, str(kernel), known({"time_s": time_s}))


def _node(value: Any, where: str) -> LayerRecord:
    found = entry(value, where, "node_name", "real_time")
    name = named(found["node_name"], where)
    original = tuple(each for each in str(found.get(ORIGINAL, name)).split(",") if each)
    time = seconds(_microseconds(found["real_time"]), "us", f"{where}: real_time")
    kernel, status = found.get("exec_type", ""), found.get("status", "EXECUTED")
    return _record(name, found.get("node_type", ""), kernel, status, time, original)


def _microseconds(time: Any) -> Any:
    """A time in microseconds, also as Python writes a timedelta: ``0:00:01.000412``."""
    match = TIMEDELTA.fullmatch(time) if isinstance(time, str) else None
    if match is None:
        return time
    hours, minutes, rest = map(Decimal, match.groups())
    return ((hours * 60 + minutes) * 60 + rest) * 1_000_000


def _requests(lines: Sequence[str], path: str) -> Iterator[Sequence[LayerRecord]]:
    """The table of each request, which ends with its total, or two of them."""
    request: list[LayerRecord] = []
    columns: Mapping[str, int] = {}
    delimiter = "," if lines[0].startswith(SORTED_HEAD) else ";"
    for at, cells in enumerate(csv.reader(lines, delimiter=delimiter), 1):
        where = f"{path}, line {at}"
        if cells[:2] == list(TABLE[:2]):
            columns = {name.strip(): column for column, name in enumerate(cells)}
            if missing := [name for name in TABLE if name not in columns]:
                refuse(where, f"no column {missing[0]!r} of benchmark_app's report")
        elif cells and cells[0].startswith("Total") and not any(cells[1:4]):
            if request:
                yield request
            request = []
        elif any(cells):
            if not columns or len(cells) < len(TABLE):
                refuse(where, f"expected a layer of benchmark_app's report, found {shown(';'.join(cells))}")
            name, status, op_type, kernel, time = (cells[columns[column]] for column in TABLE)
            time_s = seconds(time, "ms", f"{where}, column 'realTime (ms)'")
            request.append(_record(name, op_type, kernel, status, time_s, (name,)))
    if request:
        refuse(f"{path}, line {len(lines)}", "the last table has no total", "is the report whole?")


READERS = (
    Reader(TOOL, "get_profiling_info() as JSON, or benchmark_app's average_counters CSV", _recognizes, _read),
)
