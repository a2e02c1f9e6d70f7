"""Exports of specs that no target names."""

from __future__ import annotations

from pathlib import Path

from onnxlens.export.exporter import ExportRequest, add_weights, export
from onnxlens.export.network import Network
from onnxlens.reference_model.weights.choice import weight_source
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.manifest import ExportedGraph


def export_spec(spec: GraphSpec, folder: Path, opset: int = 18) -> ExportedGraph:
    """The spec's graph with seeded weights."""
    network = Network(spec)
    exported = export(ExportRequest(network, "nowhere:spec", opset=opset), folder)
    return add_weights(exported, weight_source(spec, "seeded", network.state))
