"""The table of docs/pictures.md, as Markdown: our layout against Graphviz's own, on the same flow.

Run by hand, on an idle machine: ``python benchmarks/picture_speed.py sd-unet.onnx``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import graphviz

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from onnxlens import OpenedTarget, flow_of
from onnxlens.profile.flow.pages import flow_pages
from onnxlens.profile.runtime.machine import machine
from onnxlens.reports.drawing.clusters import Cluster, page_of
from onnxlens.reports.drawing.composition import composed
from onnxlens.reports.drawing.dot import dot_source
from onnxlens.reports.drawing.rows import Row
from onnxlens.specs.flow import FlowGraph, FlowRequest

HEAD = "| boxes and tensors | ours: place | ours: draw | ours, both | Graphviz: arrange and draw |"
RULE = "| --- | --- | --- | --- | --- |"
DEPTHS = (1, 2, 3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each, after one unmeasured [5]")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    rows = [_row(f"depth {depth}, one page", [flow_of(chosen.file, depth)], chosen.runs) for depth in DEPTHS]
    with OpenedTarget(chosen.file) as opened:
        request = FlowRequest(DEPTHS[-1])
        pages = [page.flow for page in flow_pages(opened.graph, opened.ledger, request)]
    rows.append(_row(f"depth {DEPTHS[-1]}, its {len(pages)} pages", pages, chosen.runs))
    print("\n".join((HEAD, RULE, *rows)))
    named = {**machine(), "graphviz": ".".join(map(str, graphviz.version())), "load before": f"{load:.1f}"}
    print("\nMeasured on " + "; ".join(f"{key}: {value}" for key, value in named.items()))
    print(f"onnxlens {version('onnxlens')}, medians of {chosen.runs} runs")


def _row(title: str, flows: Sequence[FlowGraph], runs: int) -> str:
    sources = [dot_source(flow) for flow in flows]
    plain = [arranged_by_graphviz(flow) for flow in flows]
    place = _seconds(lambda: [dot_source(flow) for flow in flows], runs)
    draw = _seconds(lambda: _drawn("".join(sources)), runs)
    arrange = _seconds(lambda: [_drawn(source) for source in plain], runs)
    boxes = sum(node.order > 0 for flow in flows for node in flow.nodes)
    what = f"{title}: {boxes} and {sum(len(flow.edges) for flow in flows)}"
    cells = [f"{seconds:.2f} s" for seconds in (place, draw, place + draw, arrange)]
    return f"| {' | '.join((what, *cells))} |"


def _seconds(work: Callable[[], object], runs: int) -> float:
    """The median of ``runs``, after one that fills the caches."""
    taken = []
    for _ in range(runs + 1):
        start = perf_counter()
        work()
        taken.append(perf_counter() - start)
    return median(taken[1:])


def _drawn(source: str) -> bytes:
    drawn: bytes = graphviz.pipe("dot", "svg", source.encode())
    return drawn


def arranged_by_graphviz(flow: FlowGraph) -> str:
    """The same boxes in clusters and the same tensors as lines, for ``dot`` to arrange; nothing else."""
    picture = composed(flow)
    digraph = graphviz.Digraph(node_attr={"shape": "plain"}, edge_attr={"fontsize": "9"})
    for node in flow.nodes:
        if not node.order:
            digraph.node(node.id, label=graphviz.nohtml(node.title), shape="box")
    _clusters(digraph, page_of([node for node in flow.nodes if node.order]), picture.rows)
    for edge in flow.edges:
        digraph.edge(edge.source, edge.target, label=f"{edge.tensor.shape_text()} {edge.tensor.dtype}")
    return str(digraph.source)


def _clusters(digraph: graphviz.Digraph, cluster: Cluster, rows: Mapping[str, Row]) -> None:
    for child in cluster.children:
        if isinstance(child, Cluster):
            with digraph.subgraph(name=f"cluster {child.path}") as subgraph:
                subgraph.attr(label=graphviz.nohtml(f"{child.class_name} {child.path}"))
                _clusters(subgraph, child, rows)
        else:
            digraph.node(child.id, label=f"<{rows[child.id].box.markup}>")


if __name__ == "__main__":
    main()
