"""The main job: every graph of the reference model from PyTorch to a report, one after another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from onnxlens.api.check import parity_report, pytorch_outputs, tolerance_of
from onnxlens.api.opened import OpenedTarget
from onnxlens.api.staging import staged, staged_folder
from onnxlens.api.target import Job, Settings
from onnxlens.errors import CheckpointError, OnnxlensError
from onnxlens.export.tracing import require_opset
from onnxlens.profile.flow.collapse import collapsed
from onnxlens.profile.flow.deepest import build_flow
from onnxlens.profile.flow.pages import readable_depth
from onnxlens.profile.parity.parity import compare
from onnxlens.profile.runtime.inputs import sample_inputs, save_inputs
from onnxlens.profile.runtime.latency import time_runs
from onnxlens.profile.runtime.machine import machine, release_memory
from onnxlens.profile.runtime.session import SessionRequest, open_session, run
from onnxlens.reference_model import catalog
from onnxlens.reference_model.weights.choice import published_weights
from onnxlens.reports.netron.pictures import drawn_by_netron, require_netron
from onnxlens.reports.run_files import RUN_FILES, Files, write_counts, write_parity, write_pictures, write_run
from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.manifest import data_path_of, manifest_path_of
from onnxlens.specs.parity import ParityReport
from onnxlens.specs.progress import Progress, Watch, unwatched
from onnxlens.specs.summary import GraphSummary, RunSummary

QUICK_PIXELS = 128
PROVIDER = "cpu"


def run_reference(job: Job, watch: Watch = unwatched) -> RunSummary:
    """Export, count, compare, time and draw the graphs of the reference model, into one folder.

    A graph that fails does not stop the others.

    Raises:
        UsageError: a graph is unknown, or the folder cannot be written.
        ExportError: the opset is not supported.
        CheckpointError: the weights are missing.
        ToolError: Netron is to draw, and Netron or a browser is missing.
    """
    names = tuple(dict.fromkeys(job.graphs)) or catalog.names()
    _refuse_early(job, names)
    start = perf_counter()
    graphs = tuple(
        _attempted(job, name, watch(name, index, len(names))) for index, name in enumerate(names, start=1)
    )
    if job.netron:
        graphs = drawn_by_netron(graphs, job.out, job.browser, watch)
    summary = RunSummary(graphs, machine(), perf_counter() - start)
    with staged(job.out) as stage:
        write_run(summary, stage)
    return summary


def _refuse_early(job: Job, names: Sequence[str]) -> None:
    """Check before the first export what would make every graph fail."""
    for name in names:
        catalog.get(name)
    require_opset(job.opset)
    if job.netron:
        require_netron(job.browser)
    if job.weights not in ("seeded", "none") and not Path(job.weights).exists():
        raise CheckpointError(f"{job.weights}: no such file or folder; give a checkpoint, or seeded")
    with staged(job.out):
        for name in RUN_FILES:  # an earlier run's, which would link to files that this run replaces
            (job.out / name).unlink(missing_ok=True)


def _attempted(job: Job, name: str, progress: Progress) -> GraphSummary:
    """One graph from start to end; an error becomes its outcome. Its files are named from ``job.out``."""
    start = perf_counter()
    try:
        with staged_folder(job.out / name, proof=f"{name}.json") as folder:
            summary = _run_graph(job, name, folder, progress)
    except OnnxlensError as error:
        summary = _failed(name, " ".join(str(error).split()))
    except Exception as error:  # a fault in one graph, ours or a library's, must not stop the others
        logging.getLogger(__name__).exception("%s failed", name)
        summary = _failed(name, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    release_memory()
    files = {what: f"{name}/{file}" for what, file in summary.files.items()}
    return replace(summary, seconds=perf_counter() - start, files=files)


def _failed(name: str, reason: str) -> GraphSummary:
    return GraphSummary(name, catalog.get(name).family, "failed", reason=reason)


def _run_graph(job: Job, name: str, folder: Path, progress: Progress) -> GraphSummary:
    """Export into ``folder``, count and draw; if the graph has weights, also compare and time."""
    pixels = QUICK_PIXELS if job.quick else None
    structure_only = catalog.get(name).structure_only
    weights = "none" if structure_only else published_weights(job.weights, name)
    settings = Settings(weights=weights, opset=job.opset, height=pixels, width=pixels, cache=job.cache)
    with OpenedTarget(name, settings, progress, folder) as it:
        exported = it.runnable
        counted, files = _count_and_draw(it, folder)
        if not exported.manifest.has_weights:
            return replace(counted, files=files)
        report, latency = _compare_and_time(it, folder)
    files |= {"inputs": "inputs.npz", **write_parity(report, folder)}
    differing = [output.tensor for output in report.outputs if not output.passed]
    return replace(
        counted,
        outcome="differs" if differing else "done",
        reason=f"over the tolerance: {', '.join(differing)}" if differing else "",
        worst=max(report.outputs, key=lambda output: output.rel_l2),
        latency=latency,
        files=files,
    )


def _count_and_draw(it: OpenedTarget, folder: Path) -> tuple[GraphSummary, Files]:
    manifest, graph, ledger = it.runnable.manifest, it.graph, it.ledger
    deepest = build_flow(graph, ledger)
    files = {"onnx": it.path.name, "manifest": manifest_path_of(it.path).name}
    if manifest.has_weights:
        files["weights"] = data_path_of(it.path).name
    files |= write_counts(ledger, deepest.flow, folder)
    it.progress("drawing", 0, 0)
    pictures, note = write_pictures(collapsed(deepest, readable_depth(deepest)), folder)
    totals = ledger.totals
    summary = GraphSummary(
        graph=manifest.graph,
        family=manifest.family,
        outcome="done",
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        opset=manifest.opset,
        weights=manifest.weights,
        nodes=totals.nodes,
        unknown_nodes=totals.unknown_nodes,
        macs=totals.macs,
        params=totals.params,
        note=note,
    )
    return summary, files | pictures


def _compare_and_time(it: OpenedTarget, folder: Path) -> tuple[ParityReport, LatencyResult]:
    """Run PyTorch, which is freed then; then one session, whose first run is the warm-up of the timing."""
    manifest = it.runnable.manifest
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    save_inputs(inputs, folder / "inputs.npz")
    expected = pytorch_outputs(it, inputs)
    release_memory()
    it.progress("running ONNX Runtime", 0, 0)
    session = open_session(it.path, PROVIDER, SessionRequest(memory_pattern=False))
    start = perf_counter()
    got = run(session, inputs)
    warm_up_s = perf_counter() - start
    report = parity_report(it, PROVIDER, compare(got, expected, tolerance_of(it)))
    del got, expected
    it.progress("timing ONNX Runtime", 0, 0)
    return report, time_runs(session, inputs, warm_up_s=warm_up_s, provider=PROVIDER)
