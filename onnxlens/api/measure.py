"""What the ledger takes over from measurements: times of modules and nodes, and errors of modules."""

from __future__ import annotations

from onnxlens.specs.bench import BenchReport
from onnxlens.specs.measured import (
    Measurements,
    ModuleError,
    ModuleTiming,
    NodeTiming,
    one_after_another,
)
from onnxlens.specs.parity import ModuleParityReport


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
    """The error of what every module hands on, the worst of its calls."""
    worst: dict[str, float] = {}
    for layer in report.layers:
        if layer.kind == "module" and layer.output is not None:
            worst[layer.path] = max(layer.output, worst.get(layer.path, 0.0))
    note = f"error: of ONNX Runtime ({report.provider}) against PyTorch, weights: {report.weights}"
    return Measurements(
        errors=tuple(ModuleError(path, error) for path, error in worst.items()), notes=(note,)
    )
