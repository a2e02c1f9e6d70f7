"""How much of the time of what ONNX Runtime runs is led back to source nodes: graph by opset, by level.

Run by hand: ``python benchmarks/attribution.py --graphs hed,clip-text``. Needs disk for the largest graph's
weights twice: 7 GB for the UNet.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnxlens import Settings, export_graph
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.provenance import Origin, match_events, origins_of, own_times_us
from onnxlens.profile.runtime.session import LEVELS, SessionRequest, open_session, run
from onnxlens.reference_model import catalog

OPSETS = (18, 23)
TOO_LARGE = "control-ldm"
COLUMNS = (
    *("graph", "opset"),
    *(f"nodes, {level}" for level in LEVELS),
    *("fused, all", "layout, all", "inserted, all"),
    *(f"unattributed, {level}" for level in LEVELS),
    "MACs astray",
)
"""Nodes and shares of node time by level; source nodes with MACs astray at any of them."""


@dataclass(frozen=True)
class Attributed:
    """What one profile gives.

    Attributes:
        shares: of node time by kind; ``unattributed`` is that without a module.
        astray: source nodes with MACs that no node that ran computes, or more than one.
    """

    nodes: int
    shares: dict[str, float]
    astray: int


def attributed(path: Path, level: str) -> Attributed:
    """Profile two runs of the file."""
    graph = load_graph(path)
    with tempfile.TemporaryDirectory(prefix="onnxlens-") as folder:
        saved = Path(folder) / "ran.onnx"
        session = open_session(path, request=SessionRequest(level, Path(folder) / "times", saved))
        inputs = sample_inputs(graph.inputs, graph.manifest.input_ranges if graph.manifest else {})
        for _ in range(2):
            run(session, inputs)
        events = json.loads(Path(session.end_profiling()).read_text())
        optimised = onnx.load(saved, load_external_data=False)
    origins = origins_of(optimised, graph)
    durations: dict[str, float] = {}
    matched = zip(events, match_events(optimised, events), own_times_us(events), strict=True)
    for event, key, own_us in matched:
        if event["cat"] == "Node":
            origin = origins.get(key or "")
            owned = origin is not None and origin.module_path is not None
            kind = origin.kind if origin is not None and owned else "unattributed"
            durations[kind] = durations.get(kind, 0) + own_us
    total = sum(durations.values())
    shares = {kind: duration / total for kind, duration in durations.items()}
    return Attributed(len(origins), shares, len(_astray(graph, list(origins.values()))))


def _astray(graph: Graph, origins: Sequence[Origin]) -> list[int]:
    """The source nodes with MACs that are a source of none or of several."""
    claims = [source for origin in origins for source in origin.sources]
    costs = enumerate(count_nodes(graph))
    return [index for index, cost in costs if cost.macs and claims.count(index) != 1]


def rows(names: Sequence[str], side: int) -> Iterator[str]:
    """The table, row by row as it is measured."""
    yield _line(COLUMNS)
    yield _line(["---", *["---:"] * (len(COLUMNS) - 1)])
    for name in names:
        for opset in OPSETS:
            with tempfile.TemporaryDirectory(prefix="onnxlens-") as folder:
                path = export_graph(name, folder, Settings(height=side, width=side, opset=opset)).onnx_path
                found = {level: attributed(path, level) for level in LEVELS}
            yield _line([name, opset, *_cells(found)])


def _cells(found: Mapping[str, Attributed]) -> Iterator[object]:
    yield from (at.nodes for at in found.values())
    yield from (f"{found['all'].shares.get(kind, 0):.1%}" for kind in ("fused", "layout", "inserted"))
    yield from (f"{at.shares.get('unattributed', 0):.2%}" for at in found.values())
    yield sum(at.astray for at in found.values())


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    every = ",".join(name for name in catalog.names() if name != TOO_LARGE)
    parser.add_argument("--graphs", default=every, help="names of the catalog, with commas between")
    parser.add_argument("--side", type=int, default=128, help="height and width of the image")
    chosen = parser.parse_args()
    for row in rows(chosen.graphs.split(","), chosen.side):
        print(row, flush=True)


if __name__ == "__main__":
    main()
