"""The main job: every graph of the reference model from PyTorch to a report, one after another."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from errno import EDQUOT, EFBIG, ENOSPC
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import TypeGuard

from onnxlens.api.check import check_graph, parity_report, pytorch_outputs, tolerance_of
from onnxlens.api.opened import OpenedTarget
from onnxlens.api.staging import require_replaceable, staged
from onnxlens.api.target import Settings, file_of, is_file, resolve
from onnxlens.api.workers import in_processes
from onnxlens.errors import CheckpointError, OnnxlensError, UsageError
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
from onnxlens.reports.run_files import Files, write_counts, write_parity, write_pictures, write_run
from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.manifest import data_path_of, manifest_path_of
from onnxlens.specs.parity import ParityReport
from onnxlens.specs.progress import FINISHED, Progress, Watch, unwatched
from onnxlens.specs.summary import GraphSummary, Job, RunSummary

QUICK_PIXELS = 128
PROVIDER = "cpu"

LONGEST = ("sd-unet", "control-ldm", "controlnet", "midas-dpt-hybrid", "clip-text")
"""What takes longest to export, begun first: at the end no process waits for it alone."""


def run_reference(job: Job, watch: Watch = unwatched) -> RunSummary:
    """Export, count, compare, time and draw graphs, by default those of the reference model, into one folder.

    What is exported is compared with PyTorch, a file with itself without optimizations. A graph that fails
    does not stop the others. An earlier run's files stay until the new ones are complete.

    Raises:
        UsageError: a graph is unknown, two are called the same, or the folder cannot be written.
        ExportError: the opset is not supported.
        CheckpointError: the weights are missing.
        ToolError: Netron is to draw, and Netron or a browser is missing.
    """
    names = tuple(dict.fromkeys(job.graphs)) or catalog.names()
    _refuse_early(job, names)
    start = perf_counter()
    refused = {name: _refusal(job.out / _called(name), _proof(name)) for name in names}
    run_all = _in_turn if min(job.processes, len(names)) < 2 else _exported_first
    stale: list[str] = []
    with staged(job.out, stale) as stage:
        done = run_all(replace(job, out=stage), [name for name in names if not refused[name]], watch)
        if job.netron:
            done = drawn_by_netron(done, stage, job.browser, watch)
        stale += (graph.graph for graph in done if graph.outcome == "failed")
        by_name = {graph.graph: graph for graph in done}
        graphs = tuple(by_name.get(_called(name)) or _failed(name, refused[name]) for name in names)
        summary = RunSummary(graphs, machine(), perf_counter() - start)
        write_run(summary, stage)
    return summary


def _refuse_early(job: Job, names: Sequence[str]) -> None:
    """Check before the first export what would make every graph fail."""
    called: dict[str, str] = {}
    for name in names:
        other = called.setdefault(_called(name), name)
        if other != name:
            raise UsageError(f"{other} and {name} are both called {_called(name)}; run them one by one")
    require_opset(job.opset)
    if job.netron:
        require_netron(job.browser)
    if job.weights not in ("seeded", "none") and not Path(job.weights).exists():
        raise CheckpointError(f"{job.weights}: no such file or folder; give a checkpoint, or seeded")


@cache
def _made(factory: str) -> GraphSpec:
    """What a factory returns; it is called once."""
    return resolve(factory, Settings()).spec


def _spec(target: str) -> GraphSpec:
    return _made(target) if ":" in target else catalog.get(target)


def _called(target: str) -> str:
    """The name of a target's graph and folder.

    Raises:
        UsageError: there is no such graph, factory or file.
    """
    if not is_file(target):
        return _spec(target).name
    path = file_of(target)
    if not path.is_file():
        raise UsageError(f"{target}: no such file; give an .onnx file or a graph of the catalog")
    return path.stem


def _proof(target: str) -> str:
    """A file that every earlier result of a target has."""
    return "profile.json" if is_file(target) else f"{_called(target)}.json"


def _refusal(folder: Path, proof: str) -> str:
    """Why a graph's folder cannot be replaced; empty if it can."""
    try:
        require_replaceable(folder, proof)
    except OnnxlensError as error:
        return str(error)
    return ""


def _in_turn(job: Job, names: Sequence[str], watch: Watch) -> tuple[GraphSummary, ...]:
    """One graph after another, each from start to end."""
    return tuple(
        _attempted(name, partial(_whole, job, name), watch(name, index, len(names)))
        for index, name in enumerate(names, start=1)
    )


def _exported_first(job: Job, names: Sequence[str], watch: Watch) -> tuple[GraphSummary, ...]:
    """Export in several processes, and measure one graph after another then: a timing runs alone."""
    order = sorted(names, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
    outcomes = in_processes(partial(_export_one, job), order, job.processes, watch)
    summaries = []
    for index, name in enumerate(names, start=1):
        error = outcomes[name].exception()
        if _is_full(error):
            raise error
        summary = outcomes[name].result() if error is None else _failed(name, _line_of(error))
        if _can_run(name, summary):
            measure = partial(_measure_exported, job, name, summary)
            summary = _attempted(name, measure, watch(name, index, len(names)), summary.seconds)
        summaries.append(summary)
    return tuple(summaries)


def _attempted(
    name: str, work: Callable[[Progress], GraphSummary], progress: Progress, seconds: float = 0.0
) -> GraphSummary:
    """What ``work`` makes of one graph, after ``seconds`` of earlier work; an error becomes its outcome."""
    start = perf_counter()
    try:
        summary = work(progress)
    except OnnxlensError as error:
        summary = _failed(name, " ".join(str(error).split()))
    except Exception as error:  # a fault in one graph, ours or a library's, must not stop the others
        if _is_full(error):
            raise
        logging.getLogger(__name__).exception("%s failed", name)
        summary = _failed(name, _line_of(error))
    release_memory()
    progress(FINISHED, 0, 0)
    return replace(summary, seconds=seconds + perf_counter() - start)


def _is_full(error: BaseException | None) -> TypeGuard[OSError]:
    """Whether the disk is full, which stops the whole run: the earlier one's results stay."""
    return isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EFBIG)


def _failed(name: str, reason: str) -> GraphSummary:
    family = "user" if is_file(name) else _spec(name).family
    return GraphSummary(_called(name), family, "failed", reason=reason)


def _line_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _whole(job: Job, name: str, progress: Progress) -> GraphSummary:
    """Export, count and draw; if the graph has weights, also compare and time."""
    with _folder(job, name) as folder, OpenedTarget(name, _settings(job, name), progress, folder) as it:
        summary = _count_and_draw(it, folder)
        if not _can_run(name, summary):
            return summary
        return (_check_and_time if it.is_file else _compare_and_time)(it, folder, summary)


def _can_run(target: str, counted: GraphSummary) -> bool:
    """Whether a graph has weights, or needs none: a file from elsewhere has them beside it."""
    return counted.outcome == "done" and (is_file(target) or "weights" in counted.files)


def _export_one(job: Job, name: str, progress: Progress) -> GraphSummary:
    """The part of ``_whole`` that another process can do, finished in the graph's folder."""

    def export(progress: Progress) -> GraphSummary:
        with _folder(job, name) as folder, OpenedTarget(name, _settings(job, name), progress, folder) as it:
            return _count_and_draw(it, folder)

    return _attempted(name, export, progress)


def _measure_exported(job: Job, name: str, summary: GraphSummary, progress: Progress) -> GraphSummary:
    """The rest of ``_whole``, of a graph that another process has exported."""
    path = file_of(name) if is_file(name) else job.out / summary.files["onnx"]
    just_written = not is_file(name)
    with (
        _folder(job, name) as folder,
        OpenedTarget(path, progress=progress, just_written=just_written) as it,
    ):
        return (_compare_and_time if just_written else _check_and_time)(it, folder, summary)


@contextmanager
def _folder(job: Job, name: str) -> Iterator[Path]:
    """The graph's folder of files; after an error it has none."""
    folder = job.out / _called(name)
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _settings(job: Job, name: str) -> Settings:
    """How a graph is exported."""
    if is_file(name):
        return Settings()
    structure_only = _spec(name).structure_only
    if ":" in name:
        return Settings(weights="none" if structure_only else job.weights, opset=job.opset)
    pixels = QUICK_PIXELS if job.quick else None
    weights = "none" if structure_only else published_weights(job.weights, name)
    return Settings(weights=weights, opset=job.opset, height=pixels, width=pixels, cache=job.cache)


def _named(graph: str, files: Files) -> Files:
    """The files of a graph, named from the run's folder."""
    return {what: f"{graph}/{file}" for what, file in files.items()}


def _count_and_draw(it: OpenedTarget, folder: Path) -> GraphSummary:
    manifest = it.manifest if it.is_file else it.runnable.manifest
    graph, ledger = it.graph, it.ledger
    deepest = build_flow(graph, ledger)
    files = {} if it.is_file else {"onnx": it.path.name, "manifest": manifest_path_of(it.path).name}
    if manifest is not None and manifest.has_weights and not it.is_file:
        files["weights"] = data_path_of(it.path).name
    files |= write_counts(ledger, collapsed(deepest, deepest.flow.depth), folder)
    it.progress("drawing", 0, 0)
    pictures, note = write_pictures(collapsed(deepest, readable_depth(deepest)), folder)
    totals = ledger.totals
    return GraphSummary(
        graph=folder.name,
        family=manifest.family if manifest else "user",
        outcome="done",
        inputs=tuple(graph.inputs),
        outputs=tuple(graph.outputs),
        opset=graph.opset,
        weights=manifest.weights if manifest else "",
        nodes=totals.nodes,
        unknown_nodes=totals.unknown_nodes,
        macs=totals.macs,
        params=totals.params,
        lower_bounds=totals.lower_bounds,
        files=_named(folder.name, files | pictures),
        note=note,
    )


def _check_and_time(it: OpenedTarget, folder: Path, counted: GraphSummary) -> GraphSummary:
    """Compare a file with itself without optimizations: nothing need be known of its PyTorch side."""
    report = check_graph(it, reference="unoptimised")
    save_inputs(it.inputs, folder / "inputs.npz")
    it.progress("timing ONNX Runtime", 0, 0)
    session = it.session(PROVIDER, SessionRequest(memory_pattern=False))
    start = perf_counter()
    run(session, it.inputs)
    latency = time_runs(session, it.inputs, warm_up_s=perf_counter() - start, provider=PROVIDER)
    return _with_results(counted, report, latency, folder)


def _compare_and_time(it: OpenedTarget, folder: Path, counted: GraphSummary) -> GraphSummary:
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
    latency = time_runs(session, inputs, warm_up_s=warm_up_s, provider=PROVIDER)
    return _with_results(counted, report, latency, folder)


def _with_results(
    counted: GraphSummary, report: ParityReport, latency: LatencyResult, folder: Path
) -> GraphSummary:
    differing = [output.tensor for output in report.outputs if not output.passed]
    files = _named(counted.graph, {"inputs": "inputs.npz", **write_parity(report, folder)})
    return replace(
        counted,
        outcome="differs" if differing else "done",
        reason=f"over the tolerance: {', '.join(differing)}" if differing else "",
        worst=max(report.outputs, key=lambda output: output.rel_l2),
        latency=latency,
        files={**counted.files, **files},
    )
