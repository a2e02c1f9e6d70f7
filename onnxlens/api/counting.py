"""Tasks that count, without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.exporting import loaded
from onnxlens.api.target import Settings, Target
from onnxlens.specs.flow import FlowRequest
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.flow import FlowGraph, FlowPage
    from onnxlens.specs.grouping import Group
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.measured import Measurements, ModuleError, ModuleTiming
    from onnxlens.specs.peers import Convention, Reconciliation


def profile_graph(
    target: Target,
    settings: Settings | None = None,
    progress: Progress = silent,
    convention: Convention = "matrix",
) -> Ledger:
    """Count MACs, params and bytes of every node, module and operator type; no weight is read.

    Args:
        target: what to count.
        settings: how it is exported, where it is no file.
        progress: told of what is going on.
        convention: ``matrix``, ours; with ``onnx-tool``, ``fvcore`` or ``thop`` every row also has, as its
            ``peer``, what that package would print.

    Raises:
        UsageError: the target or a setting cannot be used, or fvcore's or thop's convention was asked for a
            file that does not say which PyTorch modules ran.
        GraphError: the file is no ONNX graph.
    """
    return profile_with_flow(target, settings, progress, convention)[0]


def profile_with_flow(
    target: Target,
    settings: Settings | None = None,
    progress: Progress = silent,
    convention: Convention = "matrix",
) -> tuple[Ledger, FlowGraph]:
    """As ``profile_graph``, with the data flow between the innermost modules, from one reading."""
    from onnxlens.profile.count.ledger import build_ledger
    from onnxlens.profile.flow.building import build_flow

    with loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        ledger = build_ledger(graph, convention)
        return ledger, build_flow(graph, ledger, max(module.depth for module in ledger.modules))


def ledger_of(
    target: Target,
    settings: Settings | None = None,
    *,
    timings: Sequence[ModuleTiming] | None = None,
    errors: Sequence[ModuleError] | None = None,
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> Ledger:
    """Every cost of every module side by side: what is counted, and what was measured, where it is given.

    Args:
        target: what to count.
        settings: how it is exported, where it is no file.
        timings: of modules, in seconds; ``measure_graph`` takes them.
        errors: of modules against a reference, likewise.
        notes: how both were measured.
        progress: told of what is going on.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is no ONNX graph, or a module was measured twice.
    """
    from onnxlens.profile.count.measured import with_measurements

    ledger = with_measurements(profile_graph(target, settings, progress), timings or (), errors or ())
    return replace(ledger, notes=(*ledger.notes, *notes))


def reconcile_graph(
    target: Target, settings: Settings | None = None, progress: Progress = silent
) -> Reconciliation:
    """Our MACs beside what onnx-tool, fvcore and thop count, by operator type, and why they differ.

    Raises:
        UsageError: the target or a setting cannot be used, or the file does not say which modules ran.
        GraphError: the file is no ONNX graph.
    """
    from onnxlens.profile.count.conventions.peers import build_reconciliation

    with loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        return build_reconciliation(graph)


def flow_of(
    target: Target,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> FlowGraph:
    """The data flow between the modules of a graph, or inside one of them.

    Args:
        target: whose flow.
        request: which part of it; a number is a depth, None the deepest that a person can follow.
        settings: how it is exported, where it is no file.
        progress: told of what is going on.

    Raises:
        UsageError: the target or a setting cannot be used, or there is no such module.
        GraphError: the file is no ONNX graph.
    """
    from onnxlens.profile.count.ledger import build_ledger
    from onnxlens.profile.flow.grouped import grouped_flow
    from onnxlens.profile.flow.pages import requested_flow

    wanted = _wanted(request)
    with loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        make = grouped_flow if wanted.groups else requested_flow
        return make(graph, build_ledger(graph), wanted)


def pages_of(
    target: Target,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
    measured: Measurements | None = None,
) -> Sequence[FlowPage]:
    """As ``flow_of``, on pages that a person can follow; with groups on one.

    Args:
        target: whose flow.
        request: which part of it.
        settings: how it is exported, where it is no file.
        progress: told of what is going on.
        measured: times and errors of its modules, where the boxes are to have them.

    Raises:
        UsageError: the target or a setting cannot be used, or there is no such module.
        GraphError: the file is no ONNX graph.
    """
    from onnxlens.profile.count.ledger import build_ledger
    from onnxlens.profile.count.measured import with_measurements
    from onnxlens.profile.flow.grouped import grouped_flow
    from onnxlens.profile.flow.pages import flow_pages
    from onnxlens.specs.flow import FlowPage

    wanted = _wanted(request)
    with loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        ledger = build_ledger(graph)
        if measured:
            ledger = with_measurements(ledger, measured.timings, measured.errors)
        if wanted.groups:
            return [FlowPage(grouped_flow(graph, ledger, wanted), {})]
        return flow_pages(graph, ledger, wanted)


def read_groups(file: Path | str) -> tuple[Group, ...]:
    """The groups of a TOML file, for a ``FlowRequest``: see docs/grouping.md.

    Raises:
        UsageError: it cannot be read, or says something else than groups.
    """
    from onnxlens.profile.flow import grouping_file

    return grouping_file.read_groups(Path(file))


def _wanted(request: FlowRequest | int | None) -> FlowRequest:
    return request if isinstance(request, FlowRequest) else FlowRequest(request)
