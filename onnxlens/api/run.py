"""The main job: every graph of the reference model from PyTorch to a report, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from onnxlens.api.check import pytorch_outputs, tolerance_of
from onnxlens.api.staging import staged, staged_folder
from onnxlens.api.target import Job, Settings, published_weights, resolve, weight_source
from onnxlens.errors import CheckpointError, OnnxlensError
from onnxlens.export.exporter import ExportRequest, export
from onnxlens.export.tracing import require_opset
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow.building import build_flow
from onnxlens.profile.flow.pages import readable_depth
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.parity.parity import compare
from onnxlens.profile.runtime.inputs import sample_inputs, save_inputs
from onnxlens.profile.runtime.latency import time_runs
from onnxlens.profile.runtime.machine import machine
from onnxlens.profile.runtime.session import open_session, run
from onnxlens.reference_model import catalog
from onnxlens.reports.netron.pictures import drawn_by_netron, require_netron
from onnxlens.reports.run_files import RUN_FILES, Files, write_counts, write_parity, write_pictures, write_run
from onnxlens.specs.manifest import ExportedGraph, data_path_of, manifest_path_of
from onnxlens.specs.progress import Progress, Watch, unwatched
from onnxlens.specs.results import LatencyResult, ParityReport
from onnxlens.specs.summary import GraphSummary, RunSummary

QUICK_PIXELS = 128
PROVIDER = "cpu"

STRUCTURE_ONLY = ("control-ldm",)
"""Counted and drawn without weights: its two halves are graphs of their own, and run as such."""


def run_job(job: Job, watch: Watch = unwatched) -> RunSummary:
    """Export, count, run and compare, time and draw each graph; one that fails does not stop the others.

    Raises:
        UsageError: a graph is unknown, or the folder cannot be written.
        ExportError: the opset is not written faithfully.
        CheckpointError: there are no such weights.
        ToolError: Netron is to draw, and it or a browser is missing.
    """
    names = tuple(dict.fromkeys(job.graphs)) or catalog.names()
    _refuse_early(job, names)
    start = perf_counter()
    graphs = tuple(
        _attempted(job, name, watch(name, place, len(names))) for place, name in enumerate(names, start=1)
    )
    if job.netron:
        graphs = drawn_by_netron(graphs, job.out, job.browser, watch)
    summary = RunSummary(graphs, machine(), perf_counter() - start)
    with staged(job.out) as stage:
        write_run(summary, stage)
    return summary


def _refuse_early(job: Job, names: Sequence[str]) -> None:
    """What would make every graph fail is better known before the first export than after the last."""
    for name in names:
        catalog.get(name)
    require_opset(job.opset)
    if job.netron:
        require_netron(job.browser)
    if job.weights not in ("seeded", "none") and not Path(job.weights).exists():
        raise CheckpointError(f"{job.weights}: no such file or folder; give a checkpoint, or seeded")
    with staged(job.out):
        for name in RUN_FILES:  # of an earlier run: they would link to what this one replaces
            (job.out / name).unlink(missing_ok=True)


def _attempted(job: Job, name: str, progress: Progress) -> GraphSummary:
    """One graph, start to end; an error becomes its outcome."""
    start = perf_counter()
    try:
        with staged_folder(job.out / name, proof=f"{name}.json") as folder:
            summary = _run_graph(job, name, folder, progress)
    except OnnxlensError as error:
        summary = _failed(name, " ".join(str(error).split()))
    except Exception as error:  # a fault in one graph, of ours or of a library, must not cost the others
        logging.getLogger(__name__).exception("%s failed", name)
        summary = _failed(name, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return replace(summary, seconds=perf_counter() - start)


def _failed(name: str, reason: str) -> GraphSummary:
    return GraphSummary(name, catalog.get(name).family, "failed", reason=reason)


def _run_graph(job: Job, name: str, folder: Path, progress: Progress) -> GraphSummary:
    """Export into ``folder``, count and draw, and, where the graph has weights, compare and time."""
    pixels = QUICK_PIXELS if job.quick else None
    found = resolve(name, Settings(height=pixels, width=pixels))
    weights = "none" if name in STRUCTURE_ONLY else published_weights(job.weights, name)
    source = weight_source(found.spec, weights)
    exported = export(ExportRequest(found.spec, source, name, found.sizes, job.opset), folder, progress)
    progress("counting", 0, 0)
    counted, files = _count_and_draw(exported, folder, progress)
    if not source.has_values:
        return replace(counted, files=_relative(name, files))
    report, latency = _compare_and_time(exported, folder, progress)
    files |= {"inputs": "inputs.npz", **write_parity(report, folder)}
    differing = [output.tensor for output in report.outputs if not output.passed]
    return replace(
        counted,
        outcome="differs" if differing else "done",
        reason=f"over the tolerance: {', '.join(differing)}" if differing else "",
        worst=max(report.outputs, key=lambda output: output.rel_l2),
        latency=latency,
        files=_relative(name, files),
    )


def _count_and_draw(exported: ExportedGraph, folder: Path, progress: Progress) -> tuple[GraphSummary, Files]:
    manifest, path = exported.manifest, exported.onnx_path
    graph = load_graph(path)
    ledger = build_ledger(graph)
    deepest = max(module.depth for module in ledger.modules)
    files = {"onnx": path.name, "manifest": manifest_path_of(path).name}
    if manifest.has_weights:
        files["weights"] = data_path_of(path).name
    files |= write_counts(ledger, build_flow(graph, ledger, deepest), folder)
    progress("drawing", 0, 0)
    pictures, note = write_pictures(build_flow(graph, ledger, readable_depth(graph)), folder)
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


def _compare_and_time(
    exported: ExportedGraph, folder: Path, progress: Progress
) -> tuple[ParityReport, LatencyResult]:
    """PyTorch first, freed when its outputs are there; then one session, whose first run warms it up."""
    manifest = exported.manifest
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    save_inputs(inputs, folder / "inputs.npz")
    progress("running PyTorch", 0, 0)
    expected = pytorch_outputs(exported, inputs)
    progress("running ONNX Runtime", 0, 0)
    session = open_session(exported.onnx_path, PROVIDER)
    start = perf_counter()
    got = run(session, inputs)
    warm_up_s = perf_counter() - start
    results = compare(got, expected, tolerance_of(manifest.graph))
    del got, expected
    progress("timing ONNX Runtime", 0, 0)
    latency = time_runs(session, inputs, warm_up_s=warm_up_s, provider=PROVIDER)
    report = ParityReport(
        manifest.graph,
        exported.onnx_path.name,
        manifest.opset,
        manifest.weights,
        PROVIDER,
        "pytorch",
        results,
    )
    return report, latency


def _relative(name: str, files: Mapping[str, str]) -> Mapping[str, str]:
    return {what: f"{name}/{file}" for what, file in files.items()}
