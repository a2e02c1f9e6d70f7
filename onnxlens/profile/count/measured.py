"""Measured figures at the modules that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum

from onnxlens.errors import GraphError
from onnxlens.specs.groups import Parts
from onnxlens.specs.ledger import Ledger, ModuleCost, is_lower_bound
from onnxlens.specs.measured import ModuleError, ModuleTiming, NodeTiming

LATENCY = "latency_s"


def with_measurements(
    ledger: Ledger,
    timings: Sequence[ModuleTiming] = (),
    errors: Sequence[ModuleError] = (),
    nodes: Sequence[NodeTiming] = (),
) -> Ledger:
    """The ledger with the seconds and errors of its modules, those of the model in the totals as well.

    A module without a time of its own has that of the modules inside it, a lower bound where something in it
    has none. Else what was not measured stays None; what was measured of a module that has no row is reported
    in a note. The model may be called by the graph's name.

    Raises:
        GraphError: a module was measured twice.
    """
    paths = {module.path for module in ledger.modules}
    root = {name: "" for name in (ledger.graph, f"({ledger.graph})") if name not in paths}
    measured = [(root.get(each.path, each.path), each) for each in timings]
    seconds = _by_path(
        "time", ((path, each.median_s) for path, each in measured if each.median_s is not None)
    )
    elsewhere = {path: each.timed_in for path, each in measured if each.timed_in}
    parity = _by_path("error", ((error.path, error.rel_l2) for error in errors))
    rows = _rolled_up(ledger, seconds)
    for path in rows.keys() & (parity.keys() | elsewhere.keys()):
        row = rows[path]
        rows[path] = replace(
            row,
            parity_error=parity.get(path, row.parity_error),
            timed_in=elsewhere.get(path, row.timed_in),
        )
    modules = tuple(rows.values())
    return replace(
        ledger,
        modules=modules,
        totals=replace(
            ledger.totals,
            latency_s=modules[0].latency_s,
            parity_error=modules[0].parity_error,
            lower_bounds=modules[0].lower_bounds,
        ),
        notes=(
            *ledger.notes,
            *_without_row(ledger, "times", seconds),
            *_without_row(ledger, "errors", parity),
        ),
        node_seconds=_node_seconds(ledger, nodes),
        own_seconds=_own_seconds(nodes),
    )


def _node_seconds(ledger: Ledger, timings: Sequence[NodeTiming]) -> Mapping[int | None, float]:
    """The time of each node; that of a kernel of several by their MACs, else bytes, else in equal parts."""
    places: dict[str, list[int]] = {}
    for index, node in enumerate(ledger.nodes):
        places.setdefault(node.node, []).append(index)
    seconds: dict[int | None, float] = {}
    for timing in timings:
        sources = [index for name in timing.sources for index in places.get(name, ())]
        nodes = [ledger.nodes[index] for index in sources]
        weights = [node.macs for node in nodes]
        if not sum(weights):
            weights = [node.moved_bytes for node in nodes]
        if not sum(weights):
            weights = [1] * len(nodes)
        whole = sum(weights)
        for index, weight in zip(sources, weights, strict=True):
            seconds[index] = seconds.get(index, 0.0) + timing.duration_s * weight / whole
        if not sources:
            seconds[None] = seconds.get(None, 0.0) + timing.duration_s
    return seconds


def _own_seconds(timings: Sequence[NodeTiming]) -> Mapping[str | None, float]:
    """The time of each module's own kernels, as the times of modules count them: none is split."""
    seconds: dict[str | None, list[float]] = {}
    for timing in timings:
        seconds.setdefault(timing.module_path, []).append(timing.duration_s)
    return {path: fsum(spent) for path, spent in seconds.items()}


def _rolled_up(ledger: Ledger, seconds: Mapping[str, float]) -> dict[str, ModuleCost]:
    """The rows with the time of each module: its own, else that of the modules inside it together.

    That is a lower bound where something that runs in it has no time: a module inside, or nodes of its own.
    """
    rows = {module.path: module for module in ledger.modules}
    if not seconds:
        return rows
    parts = Parts(ledger)
    for module in sorted(
        ledger.modules, key=lambda each: (each.path.count("."), each.path != ""), reverse=True
    ):
        latency = seconds.get(module.path, None if _lacks_time(module) else module.latency_s)
        lower = False
        if latency is None:
            inner = [rows[path] for path in parts.inner[module.path]]
            known = [each.latency_s for each in inner if each.latency_s is not None]
            latency = fsum(known) if known else None
            lacking = any(_works(each) and (each.latency_s is None or _lacks_time(each)) for each in inner)
            lower = bool(known) and (lacking or _works(parts.own[module.path]))
        bounds = tuple(name for name in module.lower_bounds or () if name != LATENCY)
        rows[module.path] = replace(
            module, latency_s=latency, lower_bounds=(*bounds, *((LATENCY,) if lower else ())) or None
        )
    return rows


def _lacks_time(module: ModuleCost) -> bool:
    """Whether its seconds lack those of something that runs in it."""
    return is_lower_bound(LATENCY, module.lower_bounds)


def _works(cost: ModuleCost) -> bool:
    """Whether it takes time: views and what is folded before do not."""
    return bool(cost.flops or cost.moved_bytes or cost.unknown_nodes)


def _by_path(what: str, measured: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    figures: dict[str, float] = {}
    for path, figure in measured:
        if path in figures:
            raise GraphError(f"module {path!r}: two {what}s were measured, {figures[path]} and {figure}")
        figures[path] = figure
    return figures


def _without_row(ledger: Ledger, what: str, figures: Mapping[str, float]) -> Sequence[str]:
    rows = {module.path for module in ledger.modules}
    strangers = [path for path in figures if path not in rows]
    if not strangers:
        return ()
    return (f"{what} of modules that have no row: {len(strangers)} (first: {strangers[0]})",)
