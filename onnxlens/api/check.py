"""One graph against its reference: the two runs of a parity check, in an order that holds nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.api.target import resolve_again
from onnxlens.export.exported import ExportedWeights, open_export
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.parity.parity import DEFAULT_TOLERANCE, compare, run_module
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.session import UNOPTIMIZED, open_session, run
from onnxlens.reference_model.weights.state import filled
from onnxlens.specs.manifest import ExportedGraph
from onnxlens.specs.parity import ParityReport
from onnxlens.specs.progress import Progress
from onnxlens.specs.tensor import HALVES

if TYPE_CHECKING:
    from torch import nn

TOLERANCES: Mapping[str, float] = MappingProxyType({"midas-dpt-hybrid": 1e-4})
"""Graphs whose float32 result is uncertain by more than ``DEFAULT_TOLERANCE``, by name.

DPT standardises its weights and normalises after every convolution: PyTorch's own float32 result is 3e-5 off
its float64 result, and 1e-5 apart on one thread and on two; ONNX Runtime's is 4e-5 off PyTorch's.
"""


HALF_TOLERANCES: Mapping[str, float] = MappingProxyType({"float16": 1e-2, "bfloat16": 1e-1})
"""Of graphs in a half type, against the same rounded weights in float32; docs/half-precision.md has what was
measured. Each is 20 to 30 times the type's unit round-off, which is 4.9e-4 and 3.9e-3."""


def tolerance_of(graph: str, dtype: str | None = None) -> float:
    """The largest relative L2 error that passes for a graph, or a module of it (``graph/path``)."""
    if dtype is not None and dtype in HALF_TOLERANCES:
        return HALF_TOLERANCES[dtype]
    return TOLERANCES.get(graph.partition("/")[0], DEFAULT_TOLERANCE)


def against_pytorch(path: Path, provider: str, tolerance: float | None, progress: Progress) -> ParityReport:
    """ONNX Runtime's outputs for the export at ``path``, against those of the module it came from.

    A tolerance of None is the graph's own. The module runs in float32 where the export is in a half type, on
    the same rounded weights and inputs: the error is that of the half arithmetic.

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
    allowed = tolerance_of(manifest.graph, manifest.dtype) if tolerance is None else tolerance
    results = compare(got, expected, allowed)
    return ParityReport(
        manifest.graph, path.name, manifest.opset, manifest.weights, provider, "pytorch", results
    )


def pytorch_outputs(exported: ExportedGraph, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Run the module of an export, built again, with the weights in the file; it is freed on return.

    Of an export in a half type, in float32.
    """
    names = [tensor.name for tensor in exported.manifest.outputs]
    if exported.manifest.dtype not in HALVES:
        return run_module(rebuilt(exported), inputs, names)
    module = rebuilt(exported, _Widened, "float32")
    return run_module(module, {name: _widened(value) for name, value in inputs.items()}, names)


def rebuilt(
    exported: ExportedGraph,
    weights: type[ExportedWeights] = ExportedWeights,
    dtype: str | None = None,
) -> nn.Module:
    """The module of an export, built again, with the weights in the file; of a cut-out that module alone.

    Args:
        exported: the export.
        weights: how the file's weights are read.
        dtype: the element type that ``weights`` gives; None for the file's own.

    Raises:
        CheckpointError: the weights are not there.
        GraphError: it is a cut-out, and PyTorch's call of the module cannot be set beside it.
    """
    from onnxlens.profile.parity.network import network_of

    manifest = exported.manifest
    spec = resolve_again(manifest.origin, manifest.settings, dtype or manifest.dtype)
    return filled(network_of(spec, manifest), weights(exported))


class _Widened(ExportedWeights):
    """The weights of an export in a half type, the same values in float32."""

    def read(self, name: str) -> np.ndarray:
        """The values of one entry."""
        return _widened(super().read(name))


def _widened(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype.name in HALVES else values


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
    expected = run(open_session(path, provider, UNOPTIMIZED), inputs)
    progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(path, provider), inputs)
    dtype = manifest.dtype if manifest else None
    allowed = tolerance_of(graph.name, dtype) if tolerance is None else tolerance
    results = compare(got, expected, allowed)
    weights = manifest.weights if manifest else ""
    return ParityReport(graph.name, path.name, graph.opset, weights, provider, "unoptimised", results)
