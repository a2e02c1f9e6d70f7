"""Time one graph: in ONNX Runtime with profiling off and on, and in PyTorch if requested."""

from __future__ import annotations

import os
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
from onnxlens.profile.count.repeats import control_notes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.latency import (
    TorchRun,
    TorchTimes,
    time_calls,
    time_in_turns,
    time_module,
)
from onnxlens.profile.runtime.machine import device_memory_bytes, device_name, machine, usable_cores
from onnxlens.profile.runtime.openvino import openvino_call, require_openvino
from onnxlens.profile.runtime.peaks import convolution_peak, matmul_peak, require_runnable
from onnxlens.profile.runtime.profile_events import (
    Event,
    arena_peak_bytes,
    match_events,
    node_runs,
    nodes_by_provider,
    read_events,
)
from onnxlens.profile.runtime.provenance import interchangeable, provenance_of
from onnxlens.profile.runtime.session import DEVICES, PROVIDERS, SessionRequest, bound
from onnxlens.profile.runtime.timing import build_timing
from onnxlens.specs.bench import (
    BenchReport,
    BenchRequest,
    ConvolutionPeak,
    LatencyResult,
    MatmulPeak,
    MemoryUse,
)
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.temporary import temporary_folder

if TYPE_CHECKING:
    import onnxruntime as ort

HOST_TIMES = (
    "node times are what the host spent in each node; a device may still be at work when the next "
    "begins, so only the end-to-end latency is the device's"
)
"""A note on providers that submit work to a device: ONNX Runtime's profile times the submission."""

OPENVINO = "openvino"
"""The provider that is a runtime of its own, timed beside ONNX Runtime on the processor."""

MACS_RUN = "MACs inside If, Loop and Scan are of what ran with these inputs, by the events of the profile"

ARENA = "in use at once in ONNX Runtime's CPU arena, as its profile says, warm-ups included"
DEVICE_MEMORY = "by which the device's used memory grew while the session opened and ran, as NVML says"
UNKNOWN_MEMORY = "not known: this ONNX Runtime's profile says nothing of its arena"


@dataclass(frozen=True, slots=True)
class _Setup:
    """What the sessions and PyTorch share in one benchmark."""

    target: OpenedTarget
    request: BenchRequest
    inputs: Mapping[str, np.ndarray]
    threads: int
    device: str
    dtype: str
    is_beside_openvino: bool = False

    @property
    def on_device(self) -> bool:
        """Whether the provider submits its work to a device."""
        return self.request.provider in DEVICES


def bench_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    request: BenchRequest | None = None,
    progress: Progress = silent,
) -> BenchReport:
    """Time a graph in ONNX Runtime: end to end, and by module, operator and node.

    PyTorch, if it is timed too, is freed before ONNX Runtime opens the file, and only one session is open at
    a time, so that each has all of the memory. The matmul peak is measured before them, once in a process.

    Args:
        target: what to run.
        settings: how it is exported, unless it is a file; the weights are seeded by default.
        request: provider, runs, warm-ups, optimization level, threads, and whether PyTorch is timed too; None
            for ten runs on the CPU after two warm-ups.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used, an input has a dimension that is not fixed, or
            PyTorch is to be timed for a file without a manifest of ours.
        GraphError: the file cannot be read or run.
        ToolError: the provider is not available, or no node runs on it.
    """
    chosen = request or BenchRequest()
    beside = chosen.provider == OPENVINO
    if beside:
        require_openvino()
        chosen = replace(chosen, provider="cpu")
    with opened(target, settings, progress) as it:
        it.require_weights()
        require_runnable(chosen.provider, chosen.level)
        return _bench(it, chosen, beside=beside)


def _bench(target: OpenedTarget, request: BenchRequest, *, beside: bool) -> BenchReport:
    load_before = os.getloadavg()[0]
    here, graph = machine(), target.graph
    setup = _Setup(
        target,
        request,
        inputs=target.inputs,
        threads=request.threads or usable_cores(),
        device=device_name() if request.provider in DEVICES else here["processor"],
        dtype=_dtype(graph),
        is_beside_openvino=beside,
    )
    torch = _torch_times(setup) if request.against_torch else None
    peak, convolution = _peaks(setup) if request.matmul_peak else (None, None)
    highest = max((each.macs_per_s for each in (peak, convolution) if each), default=None)
    latency, other, grown = _unprofiled(setup)
    profiled, events, optimized = _profiled(setup)
    notes = _provider_notes(setup, events)
    provenances = provenance_of(optimized, graph, target.ledger.nodes)
    keys = match_events(optimized, events, interchangeable(graph, provenances))
    ran = node_runs(events, keys, request.warmup)
    timing = build_timing(ran, provenances, graph, target.ledger, highest)
    return BenchReport(
        graph=graph.name,
        source=target.path.name,
        opset=graph.opset,
        weights=target.runnable.manifest.weights if graph.manifest else "",
        attribution=graph.attribution,
        provider=request.provider,
        device=setup.device,
        level=request.level,
        threads=setup.threads,
        dtype=setup.dtype,
        machine=here,
        load_before=load_before,
        load_after=os.getloadavg()[0],
        latency=latency,
        profiled=replace(profiled, unattributed=timing.unattributed),
        node_sum_s=timing.node_sum_s,
        layout_share=timing.layout_share,
        matrix_product=peak,
        convolution=convolution,
        memory=grown or _arena(events),
        modules=timing.modules,
        operators=timing.operators,
        nodes=timing.nodes,
        eager=torch.eager if torch else None,
        compiled=torch.compiled if torch else None,
        beside=other,
        notes=(
            *_counting_notes(target),
            *notes,
            *timing.notes,
            *((torch.note,) if torch and torch.note else ()),
        ),
    )


def _counting_notes(target: OpenedTarget) -> tuple[str, ...]:
    """The ledger's notes; of branches and loops, the MACs of what ran are known here."""
    graph, ledger = target.graph, target.ledger
    unsure = set(control_notes(graph.nodes, ledger.nodes))
    kept = tuple(note for note in ledger.notes if note not in unsure)
    return (*kept, MACS_RUN) if any(node.bodies for node in graph.nodes) else kept


def _dtype(graph: Graph) -> str:
    """The element type of most of the weights by bytes; without weights, that of the first input."""
    elements: Counter[str] = Counter()
    for weight in graph.weights.values():
        elements[weight.dtype or "unknown"] += weight.known_size_bytes
    if elements:
        return elements.most_common(1)[0][0]
    return graph.inputs[0].dtype if graph.inputs else "unknown"


def _torch_times(setup: _Setup) -> TorchTimes:
    target, request = setup.target, setup.request
    manifest = target.graph.manifest
    if manifest is None:
        raise UsageError(
            f"{target.graph.path}: --against torch needs an export of onnxlens, with its manifest beside it; "
            "this file does not say which module it was made from"
        )
    place = DEVICES.get(request.provider, "cpu")
    how = TorchRun(place, setup.device, setup.threads, request.warmup, request.runs)
    module = target.take_module()
    target.progress("timing PyTorch", 0, 0)
    return time_module(module, {tensor.name: setup.inputs[tensor.name] for tensor in manifest.inputs}, how)


def _peaks(setup: _Setup) -> tuple[MatmulPeak, ConvolutionPeak | None]:
    setup.target.progress("timing a plain matrix product and a convolution", 0, 0)
    how = setup.request.provider, setup.threads, setup.dtype
    return matmul_peak(*how), convolution_peak(*how)


def _unprofiled(setup: _Setup) -> tuple[LatencyResult, LatencyResult | None, MemoryUse | None]:
    """The latency with profiling off, OpenVINO's in turns with it, and by how much a device's memory grew."""
    setup.target.progress("opening a session", 0, 0)
    before = device_memory_bytes() if setup.on_device else 0
    session = _session(setup, SessionRequest(setup.request.level, threads=setup.threads))
    if setup.is_beside_openvino:
        return *_in_turns(setup, session), None
    setup.target.progress("timing ONNX Runtime", 0, 0)
    latency = _timed(setup, session)
    if not setup.on_device:
        return latency, None, None
    return latency, None, MemoryUse(DEVICE_MEMORY, max(0, device_memory_bytes() - before))


def _in_turns(setup: _Setup, session: ort.InferenceSession) -> tuple[LatencyResult, LatencyResult]:
    request, provider = setup.request, setup.request.provider
    setup.target.progress("timing ONNX Runtime and OpenVINO in turns", 0, 0)
    other, name = openvino_call(setup.target.runnable_path, setup.inputs, setup.threads)
    calls = {provider: bound(session, setup.inputs, provider), name: other}
    timed = time_in_turns(calls, warmup=request.warmup, runs=request.runs, device=setup.device)
    return timed[provider], timed[name]


def _profiled(setup: _Setup) -> tuple[LatencyResult, Sequence[Event], onnx.ModelProto]:
    """The latency with profiling on, the profile, and the optimized graph that it is of."""
    setup.target.progress("timing ONNX Runtime node by node", 0, 0)
    with temporary_folder() as folder:
        saved = folder / "optimised.onnx"
        request = SessionRequest(setup.request.level, folder / "profile", saved, setup.threads)
        session = _session(setup, request)
        latency = _timed(setup, session)
        events = read_events(Path(session.end_profiling()))
        return latency, events, onnx.load(saved, load_external_data=False)


def _session(setup: _Setup, how: SessionRequest) -> ort.InferenceSession:
    return setup.target.session(setup.request.provider, how)


def _timed(setup: _Setup, session: ort.InferenceSession) -> LatencyResult:
    provider, warmup, runs = setup.request.provider, setup.request.warmup, setup.request.runs
    call = bound(session, setup.inputs, provider)
    return time_calls(call, warmup=warmup, runs=runs, provider=provider, device=setup.device)


def _arena(events: Sequence[Event]) -> MemoryUse:
    peak_bytes = arena_peak_bytes(events)
    return MemoryUse(UNKNOWN_MEMORY) if peak_bytes is None else MemoryUse(ARENA, peak_bytes)


def _provider_notes(setup: _Setup, events: Sequence[Event]) -> tuple[str, ...]:
    """What a reader must know about where the nodes ran.

    Raises:
        ToolError: none ran on the provider.
    """
    provider = setup.request.provider
    counts = nodes_by_provider(events)
    count, wanted = sum(counts.values()), counts.get(PROVIDERS[provider], 0)
    if not wanted:
        raise ToolError(
            f"provider {provider!r}: not one of {count} nodes ran on it, but on {', '.join(counts) or 'none'}"
        )
    elsewhere = f"{count - wanted} of {count} nodes did not run on {provider}"
    return (*((elsewhere,) if count > wanted else ()), *((HOST_TIMES,) if setup.on_device else ()))
