"""Qualcomm: the CSV file of QNN's profiling events, and the JSON document of an AI Hub profile job.

Sources: the files that onnxruntime-qnn 2.7.0 writes (``profiling_file_path``), whose columns are those of the
QNN SDK's ``qnn-profile-viewer``; ``ProfileJob.download_profile`` in the documentation of qai-hub.

Events come in executions: root events of the backend, then one event per node, ``NAME:OpId_N``, whose message
is ``NODE``, or that of the execution in the viewer's file. With ``enable_framework_op_trace`` a column
``ONNX Source Ops`` has the names of the nodes, joined by semicolons. Executions of the same nodes are runs of
one graph, whose mean is taken; others are further graphs. A node that is fused has 0: another one has its
cycles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import (
    entry,
    known,
    listed,
    mean,
    number,
    refuse,
    seconds,
    shown,
)
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "qnn"

NEEDED = ("Message", "Time", "Unit of Measurement", "Event Level", "Event Identifier")

IDENTIFIER = re.compile(r"(?:(?P<node>.+):|\w+ |)OpId_\d+\Z")
"""``node_add:OpId_22``; the graph's own ``Input OpId_2``, and ``OpId_44``, which has no name."""

SOURCES = "ONNX Source Ops"

Node = tuple[str, str, str, int | float]
"""What it is called, the nodes that the file tells, the unit of its figure, and the figure."""


def _recognizes(given: Given) -> bool:
    head = given.head()
    return all(name in head.split("\n", 1)[0] for name in NEEDED) or '"execution_detail"' in head


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"\.(csv|json)", "a profile of QNN or AI Hub")
    if given.text(path).lstrip()[0] in "{[":
        return _ai_hub(str(path), given.json(path))
    executions = [each for each in _executions(given.table(NEEDED, path)) if each]
    if not executions:
        refuse(path, "it has no events of nodes", "profile with the profiling level detailed")
    graphs: dict[tuple[str, ...], list[Sequence[Node]]] = {}
    for execution in executions:
        graphs.setdefault(tuple(node[0] for node in execution), []).append(execution)
    records = tuple(record for runs in graphs.values() for record in _records(runs))
    most = max(map(len, graphs.values()))
    averaged = (f"the mean of {most} executions",) if most > 1 else ()
    return LayerReport(
        TOOL,
        records,
        notes=(
            "cycles as QNN's backend counts them: a simulator's on x86 are its own cost, not time",
            *averaged,
        ),
    )


def _executions(rows: Iterator[Row]) -> Iterator[Sequence[Node]]:
    """The node events between events of other kinds."""
    nodes: list[Node] = []
    for row in rows:
        name = re.sub(r" \((cycles|us)\)\Z", "", row["Event Identifier"])
        if row["Message"] == "NODE" or row["Event Level"] == "SUB-EVENT" and IDENTIFIER.match(name):
            unit = row["Unit of Measurement"]
            if unit == "CYCLES":
                figure: int | float = row.whole("Time")
            elif unit == "US":
                figure = row.seconds("Time", "us")
            else:
                refuse(row.place, f"expected the unit CYCLES or US of a node, found {shown(unit)}")
            nodes.append((name, row.get(SOURCES), unit, figure))
        else:
            yield nodes
            nodes = []
    yield nodes


def _records(runs: Sequence[Sequence[Node]]) -> Iterator[LayerRecord]:
    for node in zip(*runs, strict=True):
        name, told, unit, _ = node[0]
        match = IDENTIFIER.match(name)
        source = match["node"] if match else name
        sources = tuple(filter(None, told.split(";"))) or ((source,) if source else ())
        figures = known({"cycles" if unit == "CYCLES" else "time_s": mean([each[-1] for each in node])})
        yield LayerRecord(name, "", sources, "npu", figures)


def _ai_hub(where: str, document: Any) -> LayerReport:
    details = listed(
        entry(document, where, "execution_detail")["execution_detail"], f"{where}: execution_detail", "layers"
    )
    return LayerReport(TOOL, tuple(_layer(each, f"{where}: layer {at}") for at, each in enumerate(details)))


def _layer(detail: Any, where: str) -> LayerRecord:
    """One layer of an AI Hub profile; its time is in microseconds."""
    found = entry(detail, where, "name", "compute_unit")
    time, cycles = found.get("execution_time"), found.get("execution_cycles")
    figures = known(
        {
            "time_s": None if time is None else seconds(time, "us", f"{where}: execution_time"),
            "cycles": None if cycles is None else number(cycles, f"{where}: execution_cycles"),
        }
    )
    name = str(found["name"])
    return LayerRecord(name, str(found.get("type", "")), (name,), str(found["compute_unit"]).lower(), figures)


READERS = (Reader(TOOL, "QNN's profiling CSV, or the JSON of an AI Hub profile", _recognizes, _read),)
