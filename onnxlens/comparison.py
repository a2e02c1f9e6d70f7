"""One graph against its reference: the two runs of a parity check, in an order that holds nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.export.exported import ExportedWeights, open_export
from onnxlens.profile.graph import Graph
from onnxlens.profile.inputs import sample_inputs
from onnxlens.profile.loading import load_graph
from onnxlens.profile.parity import DEFAULT_TOLERANCE, compare, run_module
from onnxlens.profile.session import open_session, run
from onnxlens.reference_model.weights.state import filled
from onnxlens.specs.manifest import ExportedGraph
from onnxlens.specs.progress import Progress
from onnxlens.specs.results import ParityReport
from onnxlens.targets import resolve_again

if TYPE_CHECKING:
    from torch import nn

TOLERANCES: Mapping[str, float] = MappingProxyType({"midas-dpt-hybrid": 1e-4})
"""Graphs whose float32 result is uncertain by more than ``DEFAULT_TOLERANCE``, by name.

DPT standardises its weights and normalises after every convolution: PyTorch's own float32 result is 3e-5 off
its float64 result, and 1e-5 apart on one thread and on two; ONNX Runtime's is 4e-5 off PyTorch's.
"""


def tolerance_of(graph: str) -> float:
    """The largest relative L2 error that passes for a graph, or a module of it (``graph/path``)."""
    return TOLERANCES.get(graph.partition("/")[0], DEFAULT_TOLERANCE)


def against_pytorch(path: Path, provider: str, tolerance: float | None, progress: Progress) -> ParityReport:
    """ONNX Runtime's outputs for the export at ``path``, against those of the module it came from.

    A tolerance of None is the graph's own.

    Raises:
        GraphError: the file cannot be read, or has no manifest of ours.
        CheckpointError: its weights are not there.
        ParityError: the outputs cannot be compared.
    """
    load_graph(path)  # what is no ONNX graph is refused as that, not for the manifest it has not
    exported = open_export(path)
    manifest = exported.manifest
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    progress("running PyTorch", 0, 0)
    expected = pytorch_outputs(exported, inputs)
    progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(path, provider), inputs)
    results = compare(got, expected, tolerance_of(manifest.graph) if tolerance is None else tolerance)
    return ParityReport(
        manifest.graph, path.name, manifest.opset, manifest.weights, provider, "pytorch", results
    )


def pytorch_outputs(exported: ExportedGraph, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Run the module of an export, built again, with the weights in the file; it is freed on return."""
    return run_module(rebuilt(exported), inputs, [tensor.name for tensor in exported.manifest.outputs])


def rebuilt(exported: ExportedGraph, weights: type[ExportedWeights] = ExportedWeights) -> nn.Module:
    """The module of an export, built again, with the weights in the file; of a cut-out that module alone.

    Args:
        exported: the export.
        weights: how the file's weights are read.

    Raises:
        CheckpointError: the weights are not there.
        GraphError: it is a cut-out, and PyTorch's call of the module cannot be set beside it.
    """
    from onnxlens.profile.cut_network import network_of

    manifest = exported.manifest
    network = network_of(resolve_again(manifest.origin, manifest.settings), manifest)
    return filled(network, weights(exported))


def against_unoptimised(
    graph: Graph, provider: str, tolerance: float | None, progress: Progress
) -> ParityReport:
    """ONNX Runtime's outputs for any file's graph, against its own with every graph optimisation off.

    A tolerance of None is the graph's own.

    Raises:
        GraphError: the file cannot be run.
        UsageError: an input has a dimension that is not fixed.
        ParityError: the outputs cannot be compared.
    """
    path, manifest = graph.path, graph.manifest
    inputs = {**sample_inputs(graph.inputs, manifest.input_ranges if manifest else {}), **graph.given}
    progress("running ONNX Runtime without optimisations", 0, 0)
    expected = run(open_session(path, provider, optimised=False), inputs)
    progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(path, provider), inputs)
    results = compare(got, expected, tolerance_of(graph.name) if tolerance is None else tolerance)
    weights = manifest.weights if manifest else ""
    return ParityReport(graph.name, path.name, graph.opset, weights, provider, "unoptimised", results)
