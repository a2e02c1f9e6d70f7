"""Leading 2,000 records of tools back to a graph, against looking for the most alike name.

Run by hand: ``python benchmarks/layer_records.py sd-unet.onnx [--out docs/benchmarks.md]``. Exits
with 1 where a report takes a second or longer, or a record leads to the wrong module.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from statistics import median
from time import process_time

from environment import conditions
from page import put

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.attribution import attribute
from onnxlens.specs.layers import LayerRecord, LayerReport
from onnxlens.specs.ledger import NodeCost

LIMIT_S = 1.0
RECORDS = 2000

Maker = Callable[[Graph, Sequence[NodeCost], int], LayerRecord]
"""A tool's record of a node, by its index."""


@dataclass(frozen=True)
class Row:
    """How one kind of report was led back: seconds of the processor, and the share of records led right."""

    kind: str
    ours_s: float
    right: float
    wrong: int
    naive_s: float
    naive_right: float


def _tiled(graph: Graph, costs: Sequence[NodeCost], node: int) -> LayerRecord:
    name = f"Conv:{graph.nodes[node].view.name}#2_tile{node % 4}_ConvAddRelu"
    return LayerRecord(name, "Conv", (name,), "npu", {"cycles": 1000 + node})


def _renumbered(graph: Graph, costs: Sequence[NodeCost], node: int) -> LayerRecord:
    name = f"{graph.nodes[node].view.name}_token_{node}:OpId_{3 * node}"
    return LayerRecord(name, "", (name,), "npu", {"cycles": 1000 + node})


def _located(graph: Graph, costs: Sequence[NodeCost], node: int) -> LayerRecord:
    view = graph.nodes[node].view
    name = f"load_{view.outputs[0].name}_{view.op_type}_f16" if view.outputs[0] else view.name
    return LayerRecord(f"Load_{node}", "Load", (name,), "npu", {"cycles": 1000 + node})


def _nameless(graph: Graph, costs: Sequence[NodeCost], node: int) -> LayerRecord:
    view = graph.nodes[node].view
    shape = view.output_shape() if view.outputs and view.outputs[0] else ()
    macs = {"macs": costs[node].macs} if costs[node].macs else {}
    return LayerRecord(f"{node} op", view.op_type, (), "npu", {"cycles": 1000 + node, **macs}, (), (shape,))


KINDS: Mapping[str, tuple[str, Maker]] = {
    "tiles, rknn": ("rknn", _tiled),
    "renamed, qnn": ("qnn", _renumbered),
    "tensors, tpu-mlir": ("tpu-mlir", _located),
    "no names: operators, shapes, MACs": ("tt-perf", _nameless),
}


def main() -> int:
    """Measure every kind, and write or print the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=5, help="measured runs [5]")
    parser.add_argument("--out", type=Path, help="put the part into this page instead of printing it")
    chosen = parser.parse_args()
    named = conditions(("onnxlens",))
    graph = load_graph(chosen.file)
    costs = count_nodes(graph)
    rows = [_row(kind, *KINDS[kind], graph, costs, chosen.runs) for kind in KINDS]
    text = _section(chosen.file.name, len(graph.nodes), rows, named)
    put(chosen.out, text) if chosen.out else print(text)
    return int(any(row.ours_s >= LIMIT_S or row.wrong for row in rows))


def _row(kind: str, tool: str, make: Maker, graph: Graph, costs: Sequence[NodeCost], runs: int) -> Row:
    running = [node for node, each in enumerate(graph.nodes) if not each.constant_folded]
    chosen = (
        sorted((running * (RECORDS // len(running) + 1))[:RECORDS]) if tool == "rknn" else running[:RECORDS]
    )
    report = LayerReport(tool, tuple(make(graph, costs, node) for node in chosen))
    times = []
    for _ in range(runs):
        start = process_time()
        led = attribute(graph, costs, report)
        times.append(process_time() - start)
    modules = [{graph.module_of(node) for node in match.nodes} for match in led.matches]
    right = sum(graph.module_of(node) in found for node, found in zip(chosen, modules, strict=True))
    none = sum(not found for found in modules)
    start = process_time()
    naive = list(_most_alike(graph, report))
    naive_s = process_time() - start
    alike = sum(graph.module_of(node) == found for node, found in zip(chosen, naive, strict=True))
    count = len(chosen)
    return Row(kind, median(times), right / count, count - right - none, naive_s, alike / count)


def _most_alike(graph: Graph, report: LayerReport) -> Iterator[str | None]:
    """The module of the node whose name is the most like the record's: what is done without rules."""
    named = {node.view.name: node.module.path for node in graph.nodes}
    for record in report.records:
        found = get_close_matches((record.sources or (record.name,))[0], named, n=1)
        yield named[found[0]] if found else None


def _section(file: str, nodes: int, rows: Sequence[Row], named: Mapping[str, str]) -> str:
    lines = [
        "# Leading the records of tools back",
        "",
        "```",
        f"python benchmarks/layer_records.py {file} --out docs/benchmarks.md",
        "```",
        "",
        f"Up to {RECORDS:,} records onto the {nodes:,} nodes of {file}; less than {LIMIT_S:g} s was wanted",
        "for each report. The other column is `difflib.get_close_matches` on the nodes' names, which is what",
        "is done without rules for names. Seconds are of the processor, in one process; *right* is the share",
        "of records that lead to the module of the node that they were made of, alone or with others.",
        "",
        f"Measured with {', '.join(f'{key} {value}' for key, value in named.items())}.",
        "",
        "| records | onnxlens | right | wrong | most alike name | right |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row.kind} | {row.ours_s:.3f} s | {row.right:.1%} | {row.wrong} "
            f"| {row.naive_s:.1f} s | {row.naive_right:.1%} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
