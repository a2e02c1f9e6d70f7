"""What the ledger has measured for it: the runs that its measured columns take."""

from __future__ import annotations

from math import inf, isnan
from time import perf_counter

from onnxlens.profile.graph import Graph
from onnxlens.profile.inputs import sample_inputs
from onnxlens.profile.latency import time_runs
from onnxlens.profile.session import open_session, run
from onnxlens.specs.measured import Measurements, ModuleError, ModuleTiming
from onnxlens.specs.progress import Progress
from onnxlens.specs.results import ParityReport


def measured_latency(graph: Graph, provider: str, progress: Progress) -> Measurements:
    """The seconds of one run of the model, in ONNX Runtime.

    Raises:
        GraphError: the file cannot be run.
        UsageError: an input has a dimension that is not fixed.
    """
    ranges = graph.manifest.input_ranges if graph.manifest else {}
    inputs = {**sample_inputs(graph.inputs, ranges), **graph.given}
    progress(f"timing ONNX Runtime ({provider})", 0, 0)
    session = open_session(graph.path, provider)
    start = perf_counter()
    run(session, inputs)
    latency = time_runs(session, inputs, warm_up_s=perf_counter() - start, provider=provider)
    note = f"latency: the median of {latency.runs} runs of ONNX Runtime ({provider}) after one warm-up"
    return Measurements(timings=(ModuleTiming("", latency.median_s),), notes=(note,))


def measured_errors(report: ParityReport) -> Measurements:
    """The model's error: that of its worst output, infinite where one is no number."""
    worst = max(inf if isnan(output.rel_l2) else output.rel_l2 for output in report.outputs)
    note = f"error: of ONNX Runtime ({report.provider}) against PyTorch, weights: {report.weights}"
    return Measurements(errors=(ModuleError("", worst),), notes=(note,))
