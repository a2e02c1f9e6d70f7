"""Compare ONNX Runtime's outputs of a graph with those of its reference, one after the other."""

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
"""Of graphs in a half type, against the same rounded weights in float32; docs/half-precision.md has what was
measured. Each is 20 to 30 times the type's unit round-off, which is 4.9e-4 and 3.9e-3."""


def check_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    provider: str = "cpu",
    reference: Reference = "pytorch",
    tolerance: float | None = None,
    progress: Progress = silent,
) -> ParityReport:
    """Run a graph in ONNX Runtime and in its reference on the same inputs and weights; compare every output.

    The weights of a graph of the catalog are seeded unless the settings say otherwise. PyTorch runs first and
    is freed before ONNX Runtime opens the file; both read the weights that the file holds.

    Args:
        target: what to run.
        settings: how it is exported, unless it is a file.
        provider: what ONNX Runtime runs it on.
        reference: ``pytorch``, or ``unoptimised``: ONNX Runtime with every graph optimization off.
        tolerance: the largest relative L2 error that passes; None for the graph's own.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file cannot be read, or has no PyTorch side.
        CheckpointError: its weights are not there.
        ParityError: the outputs cannot be compared.
    """
    with opened(target, settings, progress) as it:
        it.require_weights()
        compared = _against_pytorch if reference == "pytorch" else _against_unoptimized
        return compared(it, provider, tolerance)


def tolerance_of(it: OpenedTarget) -> float:
    """The largest relative L2 error that passes: the graph's own, or its half type's."""
    manifest = it.manifest
    if manifest is not None and manifest.dtype is not None and manifest.dtype in HALF_TOLERANCES:
        return HALF_TOLERANCES[manifest.dtype]
    return DEFAULT_TOLERANCE if manifest is None else it.spec.tolerance


def _against_pytorch(it: OpenedTarget, provider: str, tolerance: float | None) -> ParityReport:
    """Compare with PyTorch, in float32 where the export is in a half type: the error is the half type's."""
    if it.is_file:
        _ = it.graph  # a file that is not an ONNX graph is refused as that, not for the manifest it lacks
    manifest = it.runnable.manifest
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    expected = pytorch_outputs(it, inputs)
    it.progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(it.path, provider), inputs)
    allowed = tolerance_of(it) if tolerance is None else tolerance
    return parity_report(it, provider, compare(got, expected, allowed))


def pytorch_outputs(it: OpenedTarget, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Run the module with the weights in the file; it is freed on return. Of a half type, in float32."""
    from onnxlens.export.exported import WidenedWeights, widened

    manifest = it.runnable.manifest
    names = [tensor.name for tensor in manifest.outputs]
    half = manifest.dtype in HALVES
    module = it.take_module(WidenedWeights(it.runnable) if half else None)
    it.progress("running PyTorch", 0, 0)
    values = {name: widened(value) for name, value in inputs.items()} if half else inputs
    return run_module(module, values, names)


def parity_report(it: OpenedTarget, provider: str, results: Sequence[ParityResult]) -> ParityReport:
    """The results of a comparison with PyTorch, with where they come from."""
    manifest = it.runnable.manifest
    return ParityReport(
        manifest.graph, it.path.name, manifest.opset, manifest.weights, provider, "pytorch", tuple(results)
    )


def _against_unoptimized(it: OpenedTarget, provider: str, tolerance: float | None) -> ParityReport:

    graph, path = it.graph, it.runnable_path
    manifest = it.runnable.manifest if graph.manifest else None
    inputs = {**sample_inputs(graph.inputs, manifest.input_ranges if manifest else {}), **graph.given}
    it.progress("running ONNX Runtime without optimizations", 0, 0)
    expected = run(open_session(path, provider, UNOPTIMIZED), inputs)
    it.progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(path, provider), inputs)
    results = compare(got, expected, tolerance_of(it) if tolerance is None else tolerance)
    weights = manifest.weights if manifest else ""
    return ParityReport(graph.name, path.name, graph.opset, weights, provider, "unoptimised", results)
