"""The data flow of a graph: as an object, as pictures, and as a document for Model Explorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import ToolError, UsageError
from onnxlens.profile.count.measured import with_measurements
from onnxlens.profile.flow import group_file
from onnxlens.profile.flow.node_flow import build_node_flow
from onnxlens.profile.flow.pages import flow_pages, requested_flow
from onnxlens.reports.drawing.colors import DEFAULT_COLUMN, require_column, require_figures
from onnxlens.reports.drawing.files import linked_pages, require_suffix, write_pictures
from onnxlens.reports.model_explorer.document import document_text, graph_document
from onnxlens.reports.model_explorer.node_data import data_notes, data_text, node_data
from onnxlens.specs.flow import FlowRequest
from onnxlens.specs.measured import Measurements
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.flow import FlowGraph, FlowPage, Group, NodeFlow
    from onnxlens.specs.ledger import Ledger

EXPLORER_SUFFIX = ".json"


def read_groups(file: Path | str) -> tuple[Group, ...]:
    """The groups of a TOML file, for a ``FlowRequest``: see docs/grouping.md.

    Raises:
        UsageError: it cannot be read, or holds something other than groups.
    """
    return group_file.read_groups(Path(file))


def flow_of(
    target: Target | OpenedTarget,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> FlowGraph:
    """The data flow between the modules of a graph, or inside one of them.

    Args:
        target: whose flow.
        request: which part of it; a number is a depth, None the deepest that a person can follow.
        settings: how it is exported, unless it is a file.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used, or there is no such module.
        GraphError: the file is not an ONNX graph.
    """
    wanted = _wanted(request)
    with opened(target, settings, progress) as it:
        return requested_flow(it.graph, it.ledger, wanted)


def pages_of(
    target: Target | OpenedTarget,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
    measured: Measurements | None = None,
) -> Sequence[FlowPage]:
    """As ``flow_of``, on pages that a person can follow.

    Args:
        target: whose flow.
        request: which part of it.
        settings: how it is exported, unless it is a file.
        progress: shows the steps.
        measured: times and errors of its modules, where the boxes are to have them.

    Raises:
        UsageError: the target, a setting or ``out`` cannot be used, or there is no such module.
        GraphError: the file is not an ONNX graph.
    """
    wanted = _wanted(request)
    with opened(target, settings, progress) as it:
        ledger = it.ledger
        if measured:
            ledger = with_measurements(ledger, measured.timings, measured.errors)
        return flow_pages(it.graph, ledger, wanted)


def render_graph(
    target: Target | OpenedTarget,
    out: Path | str,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
    **shown: Any,
) -> Path:
    """Draw the data flow between the modules of a graph into ``out``; see ``render_pages``."""
    return render_pages(target, out, request, settings, progress, **shown)[0]


def render_pages(
    target: Target | OpenedTarget,
    out: Path | str,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
    *,
    color: str | None = None,
    latency: bool = False,
    parity: bool = False,
) -> Sequence[Path]:
    """Draw the data flow between the modules of a graph, on as many pages as a person needs to follow it.

    Without Graphviz its source is written, as .dot.

    Args:
        target: whose flow.
        out: a .svg, .png, .pdf or .dot file. Where the depth that is asked for does not fit on a page, that
            is an overview, and every module it shows closed has a page in the folder of the same name.
        request: which part of the flow; a number is a depth, None the deepest that a person can follow.
        settings: how it is exported, unless it is a file.
        progress: shows the steps.
        color: the column of the ledger that boxes are colored by; "none" for none, None for MACs.
        latency: time its modules in ONNX Runtime.
        parity: compare the outputs of its modules with PyTorch.

    Returns:
        The files, ``out`` first.

    Raises:
        UsageError: the target, a setting, or ``out`` cannot be used, there is no such module, or ``color`` is
            not a column, or one that no box has.
        GraphError: the file is not an ONNX graph.
        ToolError: Graphviz is missing.
    """
    path = Path(out)
    require_suffix(path)
    if color:
        require_column(color)
    with opened(target, settings, progress) as it:
        with staged(path.parent):  # a folder that cannot be written is reported before any work
            measured = _measured(it, latency=latency, parity=parity)
            pages = pages_of(it, request, measured=measured)
        if color:
            require_figures([page.flow for page in pages], color)
        it.progress("drawing", 0, 0)
    try:
        return _write(linked_pages(pages, path.name), path.parent, color or DEFAULT_COLUMN)
    except ToolError as error:
        path = path.with_suffix(".dot")
        _write(linked_pages(pages, path.name), path.parent, color or DEFAULT_COLUMN)
        raise ToolError(f"{error}; wrote {path}") from error


def _write(pages: Mapping[str, FlowGraph], folder: Path, color: str) -> Sequence[Path]:
    """Each page into its file below the folder, all of them or none."""
    with ExitStack() as stack:
        stages = {
            parent: stack.enter_context(staged(folder / parent))
            for parent in dict.fromkeys(Path(name).parent for name in pages)
        }
        files = {stages[Path(name).parent] / Path(name).name: flow for name, flow in pages.items()}
        write_pictures(files, color)
    return [folder / name for name in pages]


def explore_graph(
    target: Target | OpenedTarget,
    out: Path | str,
    settings: Settings | None = None,
    *,
    latency: bool = False,
    parity: bool = False,
    provider: str = "cpu",
    progress: Progress = silent,
) -> Sequence[Path]:
    """Write a graph for Google's Model Explorer, node by node, its modules as the levels to open.

    Beside ``out`` a file of node data is written for each ledger column: ``NAME.macs.json``,
    ``NAME.moved_bytes.json``, and with ``latency`` and ``parity`` ``NAME.latency_s.json`` and
    ``NAME.parity_error.json``.

    Args:
        target: what to write; nothing is run, and no weight is needed, unless a measurement is asked for.
        out: a .json file.
        settings: how it is exported, unless it is a file.
        latency: time its nodes in ONNX Runtime.
        parity: compare the outputs of every module with PyTorch.
        provider: what ONNX Runtime runs it on.
        progress: shows the steps.

    Returns:
        The files that were written, the graph first.

    Raises:
        UsageError: the target, a setting or ``out`` cannot be used.
        GraphError: the file is not an ONNX graph, or cannot be run where that was asked for.
    """
    path = Path(out)
    if path.suffix != EXPLORER_SUFFIX:
        raise UsageError(
            f"{path}: Model Explorer opens {EXPLORER_SUFFIX} files, and this is a {path.suffix!r} one"
        )
    with staged(path.parent) as stage, opened(target, settings, progress) as it:
        measured = _measured(it, latency=latency, parity=parity, provider=provider)
        ledger = with_measurements(it.ledger, measured.timings, measured.errors)
        ledger = replace(ledger, notes=(*ledger.notes, *measured.notes))
        flow = build_node_flow(it.graph, ledger)
        it.progress("writing", 0, 0)
        texts = _explorer_texts(path, flow, ledger, measured)
        for name, text in texts.items():
            (stage / name).write_text(text, encoding="utf-8")
    return [path.with_name(name) for name in texts]


def _explorer_texts(path: Path, flow: NodeFlow, ledger: Ledger, measured: Measurements) -> Mapping[str, str]:
    """What goes into each file, by its name, the graph first."""
    notes = data_notes(flow, measured.nodes)
    data: Mapping[str, Any] = node_data(flow, ledger, measured.nodes)
    return {
        path.name: document_text(graph_document(flow, ledger, notes)),
        **{f"{path.stem}.{column}{EXPLORER_SUFFIX}": data_text(entry) for column, entry in data.items()},
    }


def _measured(it: OpenedTarget, *, latency: bool, parity: bool, provider: str = "cpu") -> Measurements:
    """Nothing is loaded to run a graph unless it is to run."""
    if not (latency or parity):
        return Measurements()
    from onnxlens.api.measure import measure_graph

    return measure_graph(it, latency=latency, parity=parity, provider=provider)


def _wanted(request: FlowRequest | int | None) -> FlowRequest:
    return request if isinstance(request, FlowRequest) else FlowRequest(request)
