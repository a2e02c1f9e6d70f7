"""Files run by ONNX Runtime with its profile, and the provenances of their nodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.profile_events import match_events, self_times_us
from onnxlens.profile.runtime.provenance import Provenance, provenance_of
from onnxlens.profile.runtime.session import SessionRequest, open_session, run


@dataclass(frozen=True)
class Profiled:
    """One run of a file: the optimized graph, the provenances of its nodes, and their events."""

    graph: Graph
    optimized: onnx.ModelProto
    provenances: Mapping[str, Provenance]
    events: Sequence[Mapping[str, Any]]
    keys: Sequence[str | None]

    def of(self, op_type: str) -> list[Provenance]:
        return [it for it in self.provenances.values() if it.op_type == op_type]

    def op_types(self, it: Provenance) -> list[str]:
        return [self.graph.nodes[source].view.op_type for source in it.sources]

    @property
    def unattributed(self) -> tuple[float, int]:
        """The share of node time without a module, and the number of its events."""
        known = [key is not None and self.provenances[key].module_path is not None for key in self.keys]
        times = self_times_us(self.events, self.keys)
        missing = sum(time for index, time in times.items() if not known[index])
        return missing / max(sum(times.values()), 1), known.count(False)

    @property
    def misattributed_macs(self) -> list[str]:
        """The source nodes with MACs that no node or several nodes compute."""
        uses = Counter(source for it in self.provenances.values() for source in it.sources)
        costs = enumerate(count_nodes(self.graph))
        return [cost.node for index, cost in costs if cost.macs and uses[index] != 1]

    @property
    def unmatched_sources(self) -> list[str]:
        """The source nodes, not constant-folded, that no node computes."""
        uses = {source for it in self.provenances.values() for source in it.sources}
        nodes = enumerate(self.graph.nodes)
        return [node.view.name for index, node in nodes if not node.constant_folded and index not in uses]


def profiled(
    path: Path, level: str, inputs: Mapping[str, np.ndarray] | None = None, runs: int = 1
) -> Profiled:
    """Run the file at that level, on sample inputs where none are given."""
    graph = load_graph(path)
    saved = path.with_name(f"{path.stem}_{level}.onnx")
    session = open_session(path, request=SessionRequest(level, path.with_name("times"), saved))
    ranges = graph.manifest.input_ranges if graph.manifest else {}
    for _ in range(runs):
        run(session, sample_inputs(graph.inputs, ranges) if inputs is None else inputs)
    events = json.loads(Path(session.end_profiling()).read_text())
    events = [event for event in events if event["cat"] == "Node"]
    optimized = onnx.load(saved, load_external_data=False)
    for written in path.parent.glob(
        f"{saved.name}*"
    ):  # it holds the weights again: gigabytes of a large graph
        written.unlink()
    return Profiled(
        graph,
        optimized,
        provenance_of(optimized, graph, count_nodes(graph)),
        events,
        match_events(optimized, events),
    )
