"""Qualcomm: the CSV file of QNN's profiling events, and the JSON document of an AI Hub profile job.

Sources: the files that onnxruntime-qnn 2.7.0 writes (``profiling_file_path``), whose columns are those of the
QNN SDK's ``qnn-profile-viewer``; ``ProfileJob.download_profile`` in the documentation of qai-hub.

Events come in executions: root events of the backend, then one event per node, ``NAME:OpId_N``, whose message
is ``NODE``, or that of the execution in the viewer's file. With ``enable_framework_op_trace`` a column
``ONNX Source Ops`` has the names of the nodes, joined by semicolons. Executions of the same nodes are runs of
one graph, whose mean is taken; others are further graphs. A node that is fused has 0: another one has its
cycles.

The events say nothing but names. The graph that ONNX Runtime hands to QNN (``dump_json_qnn_graph``, a file or
a folder of them), as the second file, has each node's operator and what it reads and makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
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
    whole,
)
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "qnn"

NEEDED = ("Message", "Time", "Unit of Measurement", "Event Level", "Event Identifier")

IDENTIFIER = re.compile(r"(?:(?P<node>.+):|\w+ |)OpId_\d+\Z")
"""``node_add:OpId_22``; the graph's own ``Input OpId_2``, and ``OpId_44``, which has no name."""

END = re.compile(r"OpId_\d+(?: \((?:cycles|us)\))?(?=,|\Z)")
"""Where the identifier of a node ends, which no quotes enclose whatever commas are in it."""

INSERTED = re.compile(r"Transpose(_token_\d+)?")
"""What ONNX Runtime calls the changes of layout that it puts between nodes: of no node's name."""

BESIDE = "_tensor_log"
"""How the names of files end that stand beside the graphs and list their tensors."""

CONSTANT = 4
"""The type of a tensor in QNN's graphs that is a weight."""

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
    rows = given.table(NEEDED, path, mended=partial(_quoted, str(path)))
    executions = [each for each in _executions(rows) if each]
    if not executions:
        refuse(path, "it has no events of nodes", "profile with the profiling level detailed")
    graphs: dict[tuple[str, ...], list[Sequence[Node]]] = {}
    for execution in executions:
        graphs.setdefault(tuple(node[0] for node in execution), []).append(execution)
    nodes = _nodes(given)
    records = tuple(_with_graph(record, nodes) for runs in graphs.values() for record in _records(runs))
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


def _quoted(where: str, text: str) -> str:
    """The table with the names in quotes: QNN writes them as they are, and commas are in some."""
    head, *lines = text.split("\n")
    before, name, behind = head.partition(NEEDED[-1])
    if not name or behind.strip(', "') not in ("", SOURCES):
        return text
    at, told = before.count(","), SOURCES in behind
    quoted = (_with_quotes(line, at, told, f"{where}, line {row}") for row, line in enumerate(lines, 2))
    return "\n".join((head, *quoted))


def _with_quotes(line: str, at: int, told: bool, where: str) -> str:
    """The line with quotes around the identifier, and the nodes that are told behind it."""
    *cells, rest = line.split(",", at)
    if len(cells) < at or any(cell.lstrip().startswith('"') for cell in (*cells, rest)):
        return line
    ends = [match.end() for match in END.finditer(rest)] if told else [len(rest.rstrip(", "))]
    if len(ends) > 1:
        refuse(
            where, f"two names may be in {shown(rest)}: commas in them are not in quotes", "rename the node"
        )
    end = ends[0] if ends else len(rest) - rest.endswith(",")
    parts = (rest[:end], *([rest[end + 1 :]] if told else []))
    return ",".join((*cells, *(part if part.startswith('"') else _in_quotes(part) for part in parts)))


def _in_quotes(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


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


def _nodes(given: Given) -> Mapping[str, LayerRecord]:
    """The nodes of QNN's graphs by their names: what they are, what they read and make, with its shapes."""
    names = given.names
    if names is None:
        return {}
    found = {}
    inside = (path for path in sorted(names.glob("*.json")) if not path.stem.endswith(BESIDE))
    for path in inside if names.is_dir() else [names]:
        graph = entry(given.json(path), str(path), "graph")["graph"]
        entry(graph, f"{path}: graph", "nodes", "tensors")
        tensors = entry(graph["tensors"], f"{path}: tensors")
        for name, each in entry(graph["nodes"], f"{path}: nodes").items():
            found[name] = _node(name, each, tensors, f"{path}: node {name}")
    return found


def _node(name: str, node: Any, tensors: Mapping[str, Any], where: str) -> LayerRecord:
    known = entry(node, where, "type", "input_names", "output_names")
    inputs, outputs = (
        _moved(listed(known[f"{side}_names"], where, "names"), tensors, where) for side in ("input", "output")
    )
    is_ours = not INSERTED.fullmatch(name)
    op_type, sources = (str(known["type"]), (name,)) if is_ours else ("", (*outputs, *inputs))
    return LayerRecord(name, op_type, sources, "", {}, tuple(inputs.values()), tuple(outputs.values()))


def _moved(names: Sequence[str], tensors: Mapping[str, Any], where: str) -> Mapping[str, tuple[int, ...]]:
    """The shapes of the tensors that are no constants, by their names."""
    held = {name: entry(tensors.get(name), f"{where}: tensor {name}", "dims") for name in names}
    sizes = {
        name: listed(tensor["dims"], where, "sizes")
        for name, tensor in held.items()
        if tensor.get("type") != CONSTANT
    }
    return {name: tuple(whole(size, where) for size in each) for name, each in sizes.items()}


def _with_graph(record: LayerRecord, nodes: Mapping[str, LayerRecord]) -> LayerRecord:
    """The record with what the graph says of its node."""
    match = IDENTIFIER.match(record.name)
    node = nodes.get(match["node"] or "") if match else None
    if node is None:
        return record
    sources = record.sources if node.op_type else node.sources
    return replace(record, op_type=node.op_type, sources=sources, inputs=node.inputs, outputs=node.outputs)


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


READERS = (
    Reader(
        TOOL,
        "QNN's profiling CSV, its graph as the second file, or the JSON of an AI Hub profile",
        _recognizes,
        _read,
    ),
)
