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

from onnxlens.api.check import rebuilt
from onnxlens.errors import ToolError, UsageError
from onnxlens.export.exported import open_export
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.latency import TorchRun, TorchTimes, time_calls, time_module
from onnxlens.profile.runtime.machine import device_memory_bytes, device_name, machine, usable_cores
from onnxlens.profile.runtime.matmul_peak import measure_matmul_peak
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
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.progress import Progress

if TYPE_CHECKING:
    import onnxruntime as ort

HOST_TIMES = (
    "node times are what the host spent in each node; a device may still be at work when the next "
    "begins, so only the end-to-end latency is the device's"
)
"""Of a provider that hands work to a device: ONNX Runtime's profile times the handing over."""

ARENA = "in use at once in ONNX Runtime's CPU arena, as its profile says, warm-ups included"
DEVICE_MEMORY = "by which the device's used memory grew while the session opened and ran, as NVML says"
UNTOLD = "not known: this ONNX Runtime's profile says nothing of its arena"


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every part of one benchmark shares."""

    graph: Graph
    ledger: Ledger
    request: BenchRequest
    inputs: Mapping[str, np.ndarray]
    threads: int
    device: str
    dtype: str

    @property
    def on_device(self) -> bool:
        """Whether the provider hands its work to a device."""
        return self.request.provider in DEVICES


@dataclass(frozen=True, slots=True)
class _Profiled:
    """What the runs with profiling on gave."""

    latency: LatencyResult
    ran: tuple[NodeRuns, ...]
    provenances: Mapping[str, Provenance]
    memory: MemoryUse
    notes: tuple[str, ...]


def bench(graph: Graph, request: BenchRequest, progress: Progress) -> BenchReport:
    """Time a graph.

    PyTorch runs first and is freed before a session opens the file; of sessions there is one at a time, so
    that each has the machine's memory for itself. The plain product is taken before and after them.

    Raises:
        UsageError: an input has a dimension that is not fixed, or PyTorch is asked for without a manifest.
        GraphError: the file cannot be run.
        ToolError: the provider is not available, or no node ran on it.
    """
    load_before = os.getloadavg()[0]
    here = machine()
    it = _prepared(graph, request, here)
    torch = _torch_times(it, progress) if request.against_torch else None
    before = _product(it, progress)
    latency, grown = _plain(it, progress)
    profiled = _profiled(it, progress)
    product = max(before, _product(it, progress), key=lambda found: found.macs_per_s)
    timing = build_timing(profiled.ran, profiled.provenances, graph, it.ledger, product.macs_per_s)
    return BenchReport(
        graph=graph.name,
        source=graph.path.name,
        opset=graph.opset,
        weights=it.ledger.weights,
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
        notes=(*it.ledger.notes, *profiled.notes, *((torch.note,) if torch and torch.note else ())),
    )


def _prepared(graph: Graph, request: BenchRequest, here: Mapping[str, str]) -> _Bench:
    ranges = graph.manifest.input_ranges if graph.manifest else {}
    return _Bench(
        graph=graph,
        ledger=build_ledger(graph),
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


def _torch_times(it: _Bench, progress: Progress) -> TorchTimes:
    if it.graph.manifest is None:
        raise UsageError(
            f"{it.graph.path}: --against torch needs an export of onnxlens, with its manifest beside it; "
            "this file does not say which module it was made from"
        )
    progress("timing PyTorch", 0, 0)
    names = [tensor.name for tensor in it.graph.manifest.inputs]
    how = TorchRun(
        place=DEVICES.get(it.request.provider, "cpu"),
        device=it.device,
        threads=it.threads,
        warmup=it.request.warmup,
        runs=it.request.runs,
    )
    module = rebuilt(open_export(it.graph.path))
    return time_module(module, {name: it.inputs[name] for name in names}, how)


def _product(it: _Bench, progress: Progress) -> MatmulPeak:
    progress("timing a plain matrix product", 0, 0)
    return measure_matmul_peak(it.request.provider, it.threads, it.dtype)


def _plain(it: _Bench, progress: Progress) -> tuple[LatencyResult, MemoryUse | None]:
    """The latency with profiling off, and what a device's memory grew by."""
    progress("timing ONNX Runtime", 0, 0)
    before = device_memory_bytes() if it.on_device else 0
    provider = it.request.provider
    session = open_session(it.graph.path, provider, SessionRequest(it.request.level, threads=it.threads))
    latency = _timed(it, session)
    if not it.on_device:
        return latency, None
    return latency, MemoryUse(DEVICE_MEMORY, max(0, device_memory_bytes() - before))


def _timed(it: _Bench, session: ort.InferenceSession) -> LatencyResult:
    provider, warmup, runs = it.request.provider, it.request.warmup, it.request.runs
    call = bound(session, it.inputs, provider)
    return time_calls(call, warmup=warmup, runs=runs, provider=provider, device=it.device)


def _profiled(it: _Bench, progress: Progress) -> _Profiled:
    """The latency with profiling on, and what every node of the optimised graph took in each run."""
    progress("timing ONNX Runtime node by node", 0, 0)
    with tempfile.TemporaryDirectory(prefix="onnxlens-") as folder:
        saved = Path(folder) / "optimised.onnx"
        request = SessionRequest(it.request.level, Path(folder) / "profile", saved, it.threads)
        session = open_session(it.graph.path, it.request.provider, request)
        latency = _timed(it, session)
        events = read_events(Path(session.end_profiling()))
        optimized = onnx.load(saved, load_external_data=False)
    return _Profiled(
        latency=latency,
        ran=node_runs(events, match_events(optimized, events), it.request.warmup),
        provenances=provenance_of(optimized, it.graph, it.ledger.nodes),
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
    places = nodes_by_provider(events)
    count, wanted = sum(places.values()), places.get(PROVIDERS[provider], 0)
    if not wanted:
        raise ToolError(
            f"provider {provider!r}: not one of {count} nodes ran on it, but on {', '.join(places) or 'none'}"
        )
    elsewhere = f"{count - wanted} of {count} nodes did not run on {provider}"
    return (*((elsewhere,) if count > wanted else ()), *((HOST_TIMES,) if it.on_device else ()))
