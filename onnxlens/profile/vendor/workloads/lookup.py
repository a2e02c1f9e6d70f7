"""The matrix work of a graph in the format of a cost model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.vendor.workloads import scalesim, timeloop, zigzag
from onnxlens.profile.vendor.workloads.layers import layers_of
from onnxlens.profile.vendor.workloads.written import Entry, Files, stem_of
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.workload import WorkLayer, Workload, WorkloadFormat, WrittenLayer

FORMATS: Mapping[WorkloadFormat, Callable[[Sequence[WorkLayer], str], Files]] = {
    "scalesim": scalesim.files,
    "zigzag": zigzag.files,
    "timeloop": timeloop.files,
}


def workload_of(graph: Graph, costs: Sequence[NodeCost], chosen: WorkloadFormat) -> Workload:
    """Every node with MACs is in the files, with the MACs that are counted, or refused."""
    found = layers_of(graph, costs)
    stem = stem_of(graph.name) or "graph"
    files = FORMATS[chosen](found.layers, stem)
    refused = {**found.refused, **files.refused}
    entries = [entry for entry in files.entries if entry.layer.node not in refused]
    return Workload(
        graph.name,
        chosen,
        sum(cost.macs for cost in costs),
        tuple(map(_written, entries)),
        {costs[node].node: refused[node] for node in sorted(refused)},
        sum(costs[node].macs for node in refused),
        files.texts,
        f"{stem}.{chosen}.json",
    )


def _written(entry: Entry) -> WrittenLayer:
    layer = entry.layer
    return WrittenLayer(
        entry.name, layer.node_name, layer.module_path, entry.times, entry.macs_each, entry.file
    )
