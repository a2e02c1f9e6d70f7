"""The data flow of a graph: as an object, as pictures, and as a document for Model Explorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.api.hardware import OnChips, with_chips
from onnxlens.api.layers import with_layers
from onnxlens.api.ledger import ledger_of, with_working_sets
from onnxlens.api.measure import measure_graph
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import ToolError, UsageError
from onnxlens.profile.flow.group_file import read_groups as read_groups
from onnxlens.profile.flow.node_flow import build_node_flow
from onnxlens.profile.flow.pages import flow_pages, requested_flow
from onnxlens.reports.drawing.colors import DEFAULT_COLUMN, column_named, require_figures
from onnxlens.reports.drawing.files import linked_pages, require_suffix, write_pictures
from onnxlens.reports.model_explorer.document import DATA_LEVELS, GRAPH_LEVELS, graph_document, lined_text
from onnxlens.reports.model_explorer.node_data import data_notes, node_data
from onnxlens.reports.tables.rows import figures_of_nodes
from onnxlens.specs.flow import FlowRequest
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.flow import FlowGraph
    from onnxlens.specs.layers import LayerReport
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.measured import Measurements

EXPLORER_SUFFIX = ".json"


def flow_of(
    target: Target | OpenedTarget,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> FlowGraph:
    """The data flow between the modules of a graph, or inside one of them.

    Args:
        target: the graph.
        request: which part of the flow; a number is a depth, None the deepest that stays readable.
        settings: how it is exported, unless it is a file.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used, or there is no such module.
        GraphError: the file is not an ONNX graph.
    """
    wanted = _as_request(request)
    with opened(target, settings, progress) as it:
        return requested_flow(it.graph, it.ledger, wanted)


def render_graph(
    target: Target | OpenedTarget,
    out: Path | str,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
    **options: Any,
) -> Path:
    """Draw the data flow between the modules of a graph into ``out``; see ``render_pages``."""
    return render_pages(target, out, request, settings, progress, **options)[0]


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
    layers: Sequence[LayerReport] = (),
    **on_chips: Any,
) -> Sequence[Path]:
    """Draw the data flow between the modules of a graph, on several pages if one would be unreadable.

    Without Graphviz the drawing's source is written as a .dot file.

    Args:
        target: the graph.
        out: a .svg, .png, .pdf or .dot file. If the requested depth does not fit on one page, this file is an
            overview, and every module that it shows closed has a page in the folder of the same name.
        request: which part of the flow; a number is a depth, None the deepest that stays readable.
        settings: how it is exported, unless it is a file.
        progress: shows the steps.
        color: the ledger column that boxes are colored by; "none" for no color, None for MACs.
        latency: time its modules in ONNX Runtime.
        parity: compare the outputs of its modules with PyTorch.
        layers: reports of other tools, by whose columns boxes can be colored too.
        on_chips: the fields of ``OnChips``, by whose columns boxes can be colored too.

    Returns:
        The files, ``out`` first.

    Raises:
        UsageError: the target, a setting or ``out`` cannot be used, there is no such module, or ``color`` is
            not a column or has no figure in any box.
        GraphError: the file is not an ONNX graph.
        ToolError: Graphviz is missing.
    """
    path, wanted, asked = Path(out), _as_request(request), OnChips(**on_chips)
    require_suffix(path)
    if color:
        measures = {
            "latency": latency, "parity": parity, "hardware": asked.hardware, "fusion": asked.has_traffic,
            "layers": layers,
        }  # fmt: skip
        color = column_named(color, [name for name, wanted in measures.items() if not wanted])
    if asked.stored_as and not asked and color != "working_bytes":
        raise UsageError(
            "--as-dtype is of memory and bounds; add --hardware CHIP, --fusion or --color working"
        )
    with opened(target, settings, progress) as it:
        with staged(path.parent):  # a folder that cannot be written is reported before any work
            ledger, _ = _measured_ledger(it, latency, parity, asked)
            ledger = with_layers(it, ledger, *layers)
            if color == "working_bytes":
                ledger = with_working_sets(it, ledger, asked.stored_as)
            pages = flow_pages(it.graph, ledger, wanted, figures_of_nodes(ledger))
        if color:
            require_figures([page.flow for page in pages], color)
        it.progress("drawing", 0, 0)
    try:
        return write_pages(linked_pages(pages, path.name), path.parent, color or DEFAULT_COLUMN)
    except ToolError as error:
        path = path.with_suffix(".dot")
        write_pages(linked_pages(pages, path.name), path.parent, color or DEFAULT_COLUMN)
        raise ToolError(f"{error}; wrote {path}") from error


def write_pages(pages: Mapping[str, FlowGraph], folder: Path, color: str) -> Sequence[Path]:
    """Write each page into its file in the folder or below it; if one fails, none is written."""
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
    layers: Sequence[LayerReport] = (),
    progress: Progress = silent,
    **on_chips: Any,
) -> Sequence[Path]:
    """Write a graph for Google's Model Explorer: every node, in layers that are the modules.

    A file of node data is written beside ``out`` for each ledger column: ``NAME.macs.json``,
    ``NAME.moved_bytes.json``, with ``latency`` and ``parity`` ``NAME.latency_s.json`` and
    ``NAME.parity_error.json``, and one for each column of numbers of chips and of fusion.

    Args:
        target: the graph; nothing is run, and no weight is needed, without ``latency`` and ``parity``.
        out: a .json file.
        settings: how it is exported, unless it is a file.
        latency: time its nodes in ONNX Runtime.
        parity: compare the outputs of every module with PyTorch.
        provider: what ONNX Runtime runs it on.
        layers: reports of other tools, whose columns are written too.
        progress: shows the steps.
        on_chips: the fields of ``OnChips``, whose columns are written too.

    Returns:
        The files, the graph first.

    Raises:
        UsageError: the target, a setting or ``out`` cannot be used.
        GraphError: the file is not an ONNX graph, or has to be run and cannot be.
    """
    path = Path(out)
    if path.suffix != EXPLORER_SUFFIX:
        raise UsageError(
            f"{path}: Model Explorer opens {EXPLORER_SUFFIX} files, and this is a {path.suffix!r} one"
        )
    with staged(path.parent) as stage, opened(target, settings, progress) as it:
        ledger, measured = _measured_ledger(it, latency, parity, OnChips(**on_chips), provider)
        ledger = with_layers(it, ledger, *layers)
        flow = build_node_flow(it.graph, ledger)
        it.progress("writing", 0, 0)
        notes = data_notes(flow, measured.nodes)
        texts = {path.name: lined_text(graph_document(flow, ledger, notes), GRAPH_LEVELS)}
        for column, entry in node_data(flow, ledger, measured.nodes).items():
            texts[f"{path.stem}.{column}{EXPLORER_SUFFIX}"] = lined_text(entry, DATA_LEVELS)
        for name, text in texts.items():
            with (stage / name).open("w", encoding="utf-8") as file:
                file.writelines(text)
    return [path.with_name(name) for name in texts]


def _measured_ledger(
    it: OpenedTarget, latency: bool, parity: bool, on_chips: OnChips, provider: str = "cpu"
) -> tuple[Ledger, Measurements]:
    """The ledger with the measurements that are asked for, and the measurements alone."""
    measured = measure_graph(it, latency=latency, parity=parity, provider=provider)
    ledger = ledger_of(it, timings=measured.timings, errors=measured.errors, notes=measured.notes)
    return with_chips(it, ledger, on_chips), measured


def _as_request(request: FlowRequest | int | None) -> FlowRequest:
    return request if isinstance(request, FlowRequest) else FlowRequest(request)
