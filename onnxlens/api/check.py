"""Compare ONNX Runtime's outputs of a graph with PyTorch's, or with those without optimizations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.providers import outputs_of, reference_provider, require_provider
from onnxlens.api.target import Settings, Target
from onnxlens.profile.count.rules.training import may_drop
from onnxlens.profile.graph.loading.protobuf import RANDOM_OPERATORS
from onnxlens.profile.parity.parity import (
    coarsest_rounding,
    coarsest_type,
    compare,
    disturb,
    is_quantized,
    run_module,
    within_noise,
)
from onnxlens.profile.runtime.session import UNOPTIMIZED, run
from onnxlens.profile.runtime.values import Value, arrays_in
from onnxlens.specs.graph import DEFAULT_TOLERANCE
from onnxlens.specs.parity import ParityReport, Reference
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.tensor import HALVES

if TYPE_CHECKING:
    import numpy as np

    from onnxlens.profile.graph.node_view import NodeView
    from onnxlens.specs.parity import ParityResult

DISTURBED = 3
"""Runs of the reference that show an output's noise, of which the first is on the same inputs."""

QUANTIZED = "the file is quantized: where a rounding falls the other way, a value is off by a whole step"

QUANTIZED_TOLERANCE = 1e-1
"""Largest relative L2 error of a quantized graph: 25 steps of 8 bits, as for bfloat16, which has as many."""

HALF_TOLERANCES: Mapping[str, float] = MappingProxyType({"float16": 1e-2, "bfloat16": 1e-1})
"""Largest relative L2 error of a graph in a half type, against the same rounded weights in float32: 20 to 30
times the type's unit round-off, which is 4.9e-4 and 3.9e-3; docs/half-precision.md has measurements."""


COMPUTE_IN: Mapping[str, str] = MappingProxyType({"qnn": "float16"})
"""Runtimes that compute a float32 graph in a half type."""


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
        provider: what ONNX Runtime runs it on; or ``openvino`` or ``qnn``, which run it in its place.
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
        require_provider(provider)
        compared = _against_pytorch if reference == "pytorch" else _against_unoptimized
        return compared(it, provider, tolerance)


def tolerance_of(it: OpenedTarget, requested: float | None = None, provider: str = "cpu") -> float:
    """The largest relative L2 error that passes: as requested, else the half type's or the graph's own."""
    if requested is not None:
        return requested
    if provider in COMPUTE_IN:
        return HALF_TOLERANCES[COMPUTE_IN[provider]]
    manifest = it.manifest
    dtype = coarsest_type(it.graph) if manifest is None else manifest.half_type
    if dtype is not None and dtype in HALF_TOLERANCES:
        return HALF_TOLERANCES[dtype]
    known = manifest is not None and (":" not in manifest.origin or not it.is_file or it.settings.factory)
    return it.spec.tolerance if known else DEFAULT_TOLERANCE


def _against_pytorch(it: OpenedTarget, provider: str, tolerance: float | None) -> ParityReport:
    """Compare with PyTorch, in float32 if the export is in a half type: the error is the half type's."""
    if it.is_file:
        _ = it.graph  # a file that is not an ONNX graph is rejected as such, not for its missing manifest
    _ = it.runnable.manifest  # without it there is no PyTorch side
    inputs = it.inputs
    expected = pytorch_outputs(it, inputs)
    it.progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = outputs_of(it, provider, inputs)
    return parity_report(it, provider, compare(got, expected, tolerance_of(it, tolerance, provider)))


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
    results = _with_random(it, results)
    return ParityReport(
        manifest.graph, it.path.name, manifest.opset, manifest.weights, provider, "pytorch", tuple(results)
    )


def _with_random(it: OpenedTarget, results: Sequence[ParityResult]) -> tuple[ParityResult, ...]:
    """Failed results with the nodes that draw numbers: each run, and each side, draws its own."""
    views = () if all(result.passed for result in results) else [node.view for node in it.graph.nodes]
    found = [f"{view.op_type} {view.name}" for view in views if _draws(view)]
    if not found:
        return tuple(results)
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    told = f"{', '.join(found[:3])}{more}: random, so that every run differs; take them out to compare"
    return tuple(
        result if result.passed else replace(result, reason="; ".join(filter(None, (result.reason, told))))
        for result in results
    )


def _draws(node: NodeView) -> bool:
    return node.op_type in RANDOM_OPERATORS or node.op_type == "Dropout" and may_drop(node)


def _against_unoptimized(it: OpenedTarget, provider: str, tolerance: float | None) -> ParityReport:
    graph, inputs, base = it.graph, it.inputs, reference_provider(provider)
    it.progress("running ONNX Runtime without optimizations", 0, 0)
    expected = _arrays(run(it.session(base, UNOPTIMIZED), inputs))
    it.progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = _arrays(outputs_of(it, provider, inputs))
    results = compare(got, expected, tolerance_of(it, tolerance, provider))
    if tolerance is None and not all(result.passed for result in results):
        it.progress("running ONNX Runtime without optimizations on disturbed inputs", 0, 0)
        session, rounding = it.session(base, UNOPTIMIZED), coarsest_rounding(graph)
        runs = [_arrays(run(session, disturb(inputs, rounding, draw))) for draw in range(DISTURBED)]
        results = tuple(_judged(result, got, expected, runs) for result in results)
        if is_quantized(graph):
            results = tuple(map(_explained, results))
    results = _with_random(it, results)
    weights = it.runnable.manifest.weights if graph.manifest else ""
    return ParityReport(graph.name, it.path.name, graph.opset, weights, provider, "unoptimised", results)


def _judged(
    result: ParityResult,
    got: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    runs: Sequence[Mapping[str, np.ndarray]],
) -> ParityResult:
    """The result by the noise of its output in these runs of the reference."""
    name = result.tensor
    return within_noise(result, got[name], expected[name], [run[name] for run in runs if name in run])


def _explained(result: ParityResult) -> ParityResult:
    """A failed result of a quantized graph, by the tolerance of such."""
    if result.passed:
        return result
    tolerance = max(result.tolerance, QUANTIZED_TOLERANCE)
    if result.rel_l2 <= tolerance:
        return replace(result, passed=True, tolerance=tolerance, reason=QUANTIZED)
    return replace(result, reason=result.reason or QUANTIZED)


def _arrays(outputs: Mapping[str, Value]) -> Mapping[str, np.ndarray]:
    return dict(pair for name, value in outputs.items() for pair in arrays_in(name, value))
