"""One graph timed: in PyTorch where asked for, in ONNX Runtime with profiling off and on."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import Settings, Target
from onnxlens.errors import ToolError, UsageError
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.latency import TorchRun, TorchTimes, time_calls, time_module
from onnxlens.profile.runtime.machine import device_memory_bytes, device_name, machine, usable_cores
from onnxlens.profile.runtime.matmul_peak import measure_matmul_peak, require_runnable
from onnxlens.profile.runtime.profile_events import (
    Event,
    NodeRuns,
    arena_peak_bytes,
    match_events,
    node_runs,
    nodes_by_provider,
    read_events,
)
from onnxlens.profile.runtime.provenance import Provenance, provenance_of
from onnxlens.profile.runtime.session import DEVICES, PROVIDERS, SessionRequest, bound, open_session
from onnxlens.profile.runtime.timing import build_timing
from onnxlens.specs.bench import BenchReport, BenchRequest, LatencyResult, MatmulPeak, MemoryUse
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    import onnxruntime as ort

HOST_TIMES = (
    "node times are what the host spent in each node; a device may still be at work when the next "
    "begins, so only the end-to-end latency is the device's"
)
"""Of a provider that submits work to a device: ONNX Runtime's profile times the submission."""

ARENA = "in use at once in ONNX Runtime's CPU arena, as its profile says, warm-ups included"
DEVICE_MEMORY = "by which the device's used memory grew while the session opened and ran, as NVML says"
UNTOLD = "not known: this ONNX Runtime's profile says nothing of its arena"


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every part of one benchmark shares."""

    graph: Graph
    request: BenchRequest
    inputs: Mapping[str, np.ndarray]
    threads: int
    device: str
    dtype: str

    @property
    def on_device(self) -> bool:
        """Whether the provider submits its work to a device."""
        return self.request.provider in DEVICES


@dataclass(frozen=True, slots=True)
class _Profiled:
    """What the runs with profiling on gave."""

    latency: LatencyResult
    ran: tuple[NodeRuns, ...]
    provenances: Mapping[str, Provenance]
    memory: MemoryUse
    notes: tuple[str, ...]


def bench_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    request: BenchRequest | None = None,
    progress: Progress = silent,
) -> BenchReport:
    """Time a graph in ONNX Runtime, and say which of its modules the time goes to.

    The weights of a graph of the catalog are seeded unless the settings say otherwise. PyTorch runs first and
    is freed before a session opens the file; of sessions there is one at a time, so that each has the
    machine's memory for itself. The plain matrix product is taken before and after them.

    Args:
        target: what to run.
        settings: how it is exported, unless it is a file; how a file's dynamic sizes are fixed.
        request: provider, runs, warm-ups, optimization level, threads, and whether PyTorch is timed too; None
            for ten runs after two on the CPU.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used, an input has a dimension that is not fixed, or
            PyTorch was asked for without our manifest.
        GraphError: the file cannot be read or run.
        ToolError: the provider is not available, or no node runs on it.
    """
    chosen = request or BenchRequest()
    with opened(target, settings, progress) as it:
        it.require_weights()
        require_runnable(chosen.provider, chosen.level)
        return _bench(it, chosen)


def _bench(target: OpenedTarget, request: BenchRequest) -> BenchReport:
    load_before = os.getloadavg()[0]
    here = machine()
    graph, progress = target.graph, target.progress
    path = target.runnable_path
    it = _prepared(graph, request, here)
    torch = _torch_times(it, target) if request.against_torch else None
    before = _product(it, progress)
    latency, grown = _plain(it, path, progress)
    profiled = _profiled(it, target)
    product = max(before, _product(it, progress), key=lambda found: found.macs_per_s)
    ledger = target.ledger
    timing = build_timing(profiled.ran, profiled.provenances, graph, ledger, product.macs_per_s)
    return BenchReport(
        graph=graph.name,
        source=path.name,
        opset=graph.opset,
        weights=target.runnable.manifest.weights if graph.manifest else "",
        attribution=graph.attribution,
        provider=request.provider,
        device=it.device,
        level=request.level,
        threads=it.threads,
        dtype=it.dtype,
        machine=here,
        load_before=load_before,
        load_after=os.getloadavg()[0],
        latency=latency,
        profiled=replace(profiled.latency, unattributed=timing.unattributed),
        node_sum_s=timing.node_sum_s,
        layout_share=timing.layout_share,
        matrix_product=product,
        memory=grown or profiled.memory,
        modules=timing.modules,
        operators=timing.operators,
        nodes=timing.nodes,
        eager=torch.eager if torch else None,
        compiled=torch.compiled if torch else None,
        notes=(*ledger.notes, *profiled.notes, *((torch.note,) if torch and torch.note else ())),
    )


def _prepared(graph: Graph, request: BenchRequest, here: Mapping[str, str]) -> _Bench:
    ranges = graph.manifest.input_ranges if graph.manifest else {}
    return _Bench(
        graph=graph,
        request=request,
        inputs={**sample_inputs(graph.inputs, ranges), **graph.given},
        threads=request.threads or usable_cores(),
        device=device_name() if request.provider in DEVICES else here["processor"],
        dtype=_dtype(graph),
    )


def _dtype(graph: Graph) -> str:
    """The element type of most of the weights; of a graph without any, of its first input."""
    elements: Counter[str] = Counter()
    for weight in graph.weights.values():
        elements[weight.dtype or "unknown"] += weight.known_size_bytes
    if elements:
        return elements.most_common(1)[0][0]
    return graph.inputs[0].dtype if graph.inputs else "unknown"


def _torch_times(it: _Bench, target: OpenedTarget) -> TorchTimes:
    if it.graph.manifest is None:
        raise UsageError(
            f"{it.graph.path}: --against torch needs an export of onnxlens, with its manifest beside it; "
            "this file does not say which module it was made from"
        )
    names = [tensor.name for tensor in it.graph.manifest.inputs]
    how = TorchRun(
        place=DEVICES.get(it.request.provider, "cpu"),
        device=it.device,
        threads=it.threads,
        warmup=it.request.warmup,
        runs=it.request.runs,
    )
    module = target.take_module()
    target.progress("timing PyTorch", 0, 0)
    return time_module(module, {name: it.inputs[name] for name in names}, how)


def _product(it: _Bench, progress: Progress) -> MatmulPeak:
    progress("timing a plain matrix product", 0, 0)
    return measure_matmul_peak(it.request.provider, it.threads, it.dtype)


def _plain(it: _Bench, path: Path, progress: Progress) -> tuple[LatencyResult, MemoryUse | None]:
    """The latency with profiling off, and what a device's memory grew by."""
    progress("timing ONNX Runtime", 0, 0)
    before = device_memory_bytes() if it.on_device else 0
    provider = it.request.provider
    session = open_session(path, provider, SessionRequest(it.request.level, threads=it.threads))
    latency = _timed(it, session)
    if not it.on_device:
        return latency, None
    return latency, MemoryUse(DEVICE_MEMORY, max(0, device_memory_bytes() - before))


def _timed(it: _Bench, session: ort.InferenceSession) -> LatencyResult:
    provider, warmup, runs = it.request.provider, it.request.warmup, it.request.runs
    call = bound(session, it.inputs, provider)
    return time_calls(call, warmup=warmup, runs=runs, provider=provider, device=it.device)


def _profiled(it: _Bench, target: OpenedTarget) -> _Profiled:
    """The latency with profiling on, and what every node of the optimized graph took in each run."""
    target.progress("timing ONNX Runtime node by node", 0, 0)
    with tempfile.TemporaryDirectory(prefix="onnxlens-") as folder:
        saved = Path(folder) / "optimised.onnx"
        request = SessionRequest(it.request.level, Path(folder) / "profile", saved, it.threads)
        session = open_session(target.runnable_path, it.request.provider, request)
        latency = _timed(it, session)
        events = read_events(Path(session.end_profiling()))
        optimized = onnx.load(saved, load_external_data=False)
    return _Profiled(
        latency=latency,
        ran=node_runs(events, match_events(optimized, events), it.request.warmup),
        provenances=provenance_of(optimized, it.graph, target.ledger.nodes),
        memory=_arena(events),
        notes=_provider_notes(it, events),
    )


def _arena(events: Sequence[Event]) -> MemoryUse:
    peak_bytes = arena_peak_bytes(events)
    return MemoryUse(UNTOLD) if peak_bytes is None else MemoryUse(ARENA, peak_bytes)


def _provider_notes(it: _Bench, events: Sequence[Event]) -> tuple[str, ...]:
    """What must be known of where the nodes ran.

    Raises:
        ToolError: none ran on the provider.
    """
    provider = it.request.provider
    counts = nodes_by_provider(events)
    count, wanted = sum(counts.values()), counts.get(PROVIDERS[provider], 0)
    if not wanted:
        raise ToolError(
            f"provider {provider!r}: not one of {count} nodes ran on it, but on {', '.join(counts) or 'none'}"
        )
    elsewhere = f"{count - wanted} of {count} nodes did not run on {provider}"
    return (*((elsewhere,) if count > wanted else ()), *((HOST_TIMES,) if it.on_device else ()))
