"""Measured figures at the modules that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from onnxlens.errors import GraphError
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.measured import ModuleError, ModuleTiming, NodeTiming


def with_measurements(
    ledger: Ledger,
    timings: Sequence[ModuleTiming] = (),
    errors: Sequence[ModuleError] = (),
    nodes: Sequence[NodeTiming] = (),
) -> Ledger:
    """The ledger with the seconds and errors of its modules, those of the model in the totals as well.

    What was not measured stays None; what was measured of a module that has no row is reported in a note.

    Raises:
        GraphError: a module was measured twice.
    """
    seconds = _by_path("time", ((timing.path, timing.median_s) for timing in timings))
    parity = _by_path("error", ((error.path, error.rel_l2) for error in errors))
    return replace(
        ledger,
        modules=tuple(
            replace(
                module,
                latency_s=seconds.get(module.path, module.latency_s),
                parity_error=parity.get(module.path, module.parity_error),
            )
            for module in ledger.modules
        ),
        totals=replace(
            ledger.totals,
            latency_s=seconds.get("", ledger.totals.latency_s),
            parity_error=parity.get("", ledger.totals.parity_error),
        ),
        notes=(
            *ledger.notes,
            *_without_row(ledger, "times", seconds),
            *_without_row(ledger, "errors", parity),
        ),
        node_seconds=_node_seconds(ledger, nodes),
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
