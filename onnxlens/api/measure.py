"""Run a graph for the ledger's measured columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import Settings, Target
from onnxlens.specs.bench import BenchRequest
from onnxlens.specs.measured import Measurements, ModuleError, ModuleTiming, NodeTiming, one_after_another
from onnxlens.specs.parity import LayerRequest
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.bench import BenchReport
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.parity import ModuleParityReport


def measure_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    latency: bool = False,
    parity: bool = False,
    provider: str = "cpu",
    threads: int | None = None,
    progress: Progress = silent,
) -> Measurements:
    """Measure the time and the error of every module; without ``latency`` and ``parity`` nothing is run.

    Args:
        target: what to run.
        settings: how it is exported, unless it is a file; the weights are seeded by default.
        latency: time its modules and nodes in ONNX Runtime.
        parity: compare the outputs of every module with PyTorch.
        provider: what ONNX Runtime runs it on.
        threads: per operator, where it is timed; None for the usable cores.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file cannot be run, or has no PyTorch side.
    """
    measured = Measurements()
    with opened(target, settings, progress) as it:
        if parity:
            from onnxlens.api.check_layers import check_layers  # loads torch and ONNX Runtime

            measured += _errors(check_layers(it, request=LayerRequest(provider=provider)))
        if latency:
            from onnxlens.api.bench import bench_graph

            report = bench_graph(
                it, request=BenchRequest(provider=provider, threads=threads, matmul_peak=False)
            )
            measured += _latency(report, it.ledger)
    return measured


def _latency(report: BenchReport, ledger: Ledger) -> Measurements:
    """The median time of every module and node; a module's is that of all nodes it became."""
    from onnxlens.api.bench import MACS_RUN

    known = {*ledger.notes, MACS_RUN}
    nodes = (
        NodeTiming(node.node, node.op_type, node.module_path, 0.0, node.time.median_s, node.sources)
        for node in report.nodes
    )
    weights = f", weights: {report.weights}" if report.weights else ""
    note = (
        f"latency: medians over {report.latency.runs} runs of ONNX Runtime ({report.provider}){weights}, by "
        "node; in a trace the nodes follow each other without the gaps between them"
    )
    noise = f"the machine was noisy ({'; '.join(report.noise)}); measure on an idle one"
    return Measurements(
        timings=tuple(
            ModuleTiming(module.path, module.time.median_s if module.time else None, module.timed_in)
            for module in report.modules
            if module.order and (module.time or module.timed_in)
        ),
        nodes=one_after_another(nodes),
        notes=(
            note,
            *((noise,) if report.noise else ()),
            *_difference(report, ledger),
            *(told for told in report.notes if told not in known),
        ),
    )


def _difference(report: BenchReport, ledger: Ledger) -> tuple[str, ...]:
    """How the MACs of what ran differ from those that the ledger counts, if they do."""
    whole = report.modules[0].time
    counted, ran = ledger.totals.macs, whole.macs if whole else None
    if ran is None or ran == counted:
        return ()
    return (f"{ran:,} MACs ran, and {counted:,} are counted, so MACs/s are off; --run counts what runs",)


def _errors(report: ModuleParityReport) -> Measurements:
    """The output error of every module, the largest of its calls."""
    worst: dict[str, float] = {}
    for layer in report.layers:
        if layer.kind == "module" and layer.output is not None:
            worst[layer.path] = max(layer.output, worst.get(layer.path, 0.0))
    note = f"error: of ONNX Runtime ({report.provider}) against PyTorch, weights: {report.weights}"
    return Measurements(errors=tuple(map(ModuleError, worst, worst.values())), notes=(note,))
