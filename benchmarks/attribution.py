"""How much of the time of ONNX Runtime's nodes is attributed to source nodes: by graph, opset and level.

Run by hand: ``python benchmarks/attribution.py --graphs hed,clip-text``. Needs disk for the largest graph's
weights twice: 7 GB for the UNet.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnxlens import Settings, export_graph
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.profile_events import match_events, self_times_us
from onnxlens.profile.runtime.provenance import Provenance, provenance_of
from onnxlens.profile.runtime.session import LEVELS, SessionRequest, open_session, run
from onnxlens.reference_model import catalog
from onnxlens.specs.ledger import NodeCost

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
    """Figures of one profile.

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
        optimized = onnx.load(saved, load_external_data=False)
    costs = count_nodes(graph)
    provenances = provenance_of(optimized, graph, costs)
    durations: dict[str, float] = {}
    keys = match_events(optimized, events)
    for index, self_us in self_times_us(events, keys).items():
        found = provenances.get(keys[index] or "")
        kind = "unattributed" if found is None or found.module_path is None else found.kind
        durations[kind] = durations.get(kind, 0) + self_us
    total = sum(durations.values())
    shares = {kind: duration / total for kind, duration in durations.items()}
    return Attributed(len(provenances), shares, len(_astray(costs, list(provenances.values()))))


def _astray(costs: Sequence[NodeCost], provenances: Sequence[Provenance]) -> list[int]:
    """The source nodes with MACs that are a source of none or of several."""
    uses = Counter(source for found in provenances for source in found.sources)
    return [index for index, cost in enumerate(costs) if cost.macs and uses[index] != 1]


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
