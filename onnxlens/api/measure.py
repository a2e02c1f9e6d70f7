"""Run a graph for the ledger's measured columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlens.api.bench import bench_graph
from onnxlens.api.check_layers import check_layers
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import LayerRequest, Settings, Target
from onnxlens.specs.bench import BenchRequest
from onnxlens.specs.measured import (
    Measurements,
    ModuleError,
    ModuleTiming,
    NodeTiming,
    one_after_another,
)
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.bench import BenchReport
    from onnxlens.specs.parity import ModuleParityReport


def measure_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    latency: bool = False,
    parity: bool = False,
    provider: str = "cpu",
    progress: Progress = silent,
) -> Measurements:
    """Run a graph for the ledger's measured columns; nothing is run that was not asked for.

    Args:
        target: what to run.
        settings: how it is exported, unless it is a file; the weights are seeded unless it says otherwise.
        latency: time its modules and nodes in ONNX Runtime.
        parity: compare the outputs of every module with PyTorch.
        provider: what ONNX Runtime runs it on.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file cannot be run, or has no PyTorch side.
    """
    measured = Measurements()
    with opened(target, settings, progress) as it:
        if parity:
            measured += measured_errors(check_layers(it, request=LayerRequest(provider=provider)))
        if latency:
            measured += measured_latency(bench_graph(it, request=BenchRequest(provider=provider)))
    return measured


def measured_latency(report: BenchReport) -> Measurements:
    """The median time of every module and node.

    A module's is the time of the nodes that it became, the model's that of all nodes.
    """
    runs = report.latency.runs
    nodes = (
        NodeTiming(node.node, node.op_type, node.module_path, 0.0, node.time.median_s, node.sources)
        for node in report.nodes
    )
    return Measurements(
        timings=tuple(
            ModuleTiming(module.path, module.time.median_s) for module in report.modules if module.order
        ),
        nodes=one_after_another(nodes),
        notes=(
            f"latency: medians over {runs} runs of ONNX Runtime ({report.provider}), by node; in a trace the "
            "nodes follow each other without the gaps between them",
            *report.notes,
        ),
    )


def measured_errors(report: ModuleParityReport) -> Measurements:
    """The error of the output of every module, the largest of its calls."""
    worst: dict[str, float] = {}
    for layer in report.layers:
        if layer.kind == "module" and layer.output is not None:
            worst[layer.path] = max(layer.output, worst.get(layer.path, 0.0))
    note = f"error: of ONNX Runtime ({report.provider}) against PyTorch, weights: {report.weights}"
    return Measurements(
        errors=tuple(ModuleError(path, error) for path, error in worst.items()), notes=(note,)
    )
