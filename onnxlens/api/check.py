"""Compare ONNX Runtime's outputs of a graph with PyTorch's, or with those without optimizations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import Settings, Target
from onnxlens.profile.parity.parity import compare, run_module
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.session import UNOPTIMIZED, open_session, run
from onnxlens.specs.graph import DEFAULT_TOLERANCE
from onnxlens.specs.parity import ParityReport, Reference
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.tensor import HALVES

if TYPE_CHECKING:
    import numpy as np

    from onnxlens.specs.parity import ParityResult

HALF_TOLERANCES: Mapping[str, float] = MappingProxyType({"float16": 1e-2, "bfloat16": 1e-1})
"""Largest relative L2 error of a graph in a half type, against the same rounded weights in float32: 20 to 30
times the type's unit round-off, which is 4.9e-4 and 3.9e-3; docs/half-precision.md has measurements."""


def check_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    provider: str = "cpu",
    reference: Reference = "pytorch",
    tolerance: float | None = None,
    progress: Progress = silent,
) -> ParityReport:
    """Run a graph and its reference on the same inputs and weights, and compare every output.

    PyTorch runs first and is freed before ONNX Runtime opens the file; both read the file's weights.

    Args:
        target: what to run.
        settings: how it is exported, unless it is a file; the weights are seeded by default.
        provider: what ONNX Runtime runs it on.
        reference: ``pytorch``, or ``unoptimised``: ONNX Runtime with every graph optimization off.
        tolerance: the largest relative L2 error that passes; None for the graph's own.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file cannot be read, or has no PyTorch side.
        CheckpointError: its weights are missing.
        ParityError: the outputs cannot be compared.
    """
    with opened(target, settings, progress) as it:
        it.require_weights()
        compared = _against_pytorch if reference == "pytorch" else _against_unoptimized
        return compared(it, provider, tolerance)


def tolerance_of(it: OpenedTarget, requested: float | None = None) -> float:
    """The largest relative L2 error that passes: as requested, else the half type's or the graph's own."""
    if requested is not None:
        return requested
    manifest = it.manifest
    if manifest is not None and manifest.dtype is not None and manifest.dtype in HALF_TOLERANCES:
        return HALF_TOLERANCES[manifest.dtype]
    known = manifest is not None and (":" not in manifest.origin or not it.is_file or it.settings.factory)
    return it.spec.tolerance if known else DEFAULT_TOLERANCE


def _against_pytorch(it: OpenedTarget, provider: str, tolerance: float | None) -> ParityReport:
    """Compare with PyTorch, in float32 if the export is in a half type: the error is the half type's."""
    if it.is_file:
        _ = it.graph  # a file that is not an ONNX graph is rejected as such, not for its missing manifest
    manifest = it.runnable.manifest
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    expected = pytorch_outputs(it, inputs)
    it.progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(it.path, provider), inputs)
    return parity_report(it, provider, compare(got, expected, tolerance_of(it, tolerance)))


def pytorch_outputs(it: OpenedTarget, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Run the module with the file's weights, a half type's in float32; it is freed on return."""
    from onnxlens.export.exported import WidenedWeights, widened

    manifest = it.runnable.manifest
    names = [tensor.name for tensor in manifest.outputs]
    half = manifest.dtype in HALVES
    module = it.take_module(WidenedWeights(it.runnable) if half else None)
    it.progress("running PyTorch", 0, 0)
    values = {name: widened(value) for name, value in inputs.items()} if half else inputs
    return run_module(module, values, names)


def parity_report(it: OpenedTarget, provider: str, results: Sequence[ParityResult]) -> ParityReport:
    """The results of a comparison with PyTorch, and what was compared."""
    manifest = it.runnable.manifest
    return ParityReport(
        manifest.graph, it.path.name, manifest.opset, manifest.weights, provider, "pytorch", tuple(results)
    )


def _against_unoptimized(it: OpenedTarget, provider: str, tolerance: float | None) -> ParityReport:
    graph, path = it.graph, it.runnable_path
    ranges = graph.manifest.input_ranges if graph.manifest else {}
    inputs = {**sample_inputs(graph.inputs, ranges), **graph.given}
    it.progress("running ONNX Runtime without optimizations", 0, 0)
    expected = run(open_session(path, provider, UNOPTIMIZED), inputs)
    it.progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(path, provider), inputs)
    results = compare(got, expected, tolerance_of(it, tolerance))
    weights = it.runnable.manifest.weights if graph.manifest else ""
    return ParityReport(graph.name, path.name, graph.opset, weights, provider, "unoptimised", results)
