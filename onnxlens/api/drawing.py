"""Tasks that write what a person looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.api.counting import pages_of
from onnxlens.api.running import measure_graph
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import ToolError
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.flow import FlowGraph, FlowRequest
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.measured import NodeTiming


def render_graph(
    target: Target,
    out: Path | str,
    request: FlowRequest | int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
    **shown: Any,
) -> Path:
    """Draw the data flow between the modules of a graph into ``out``; see ``render_pages``."""
    return render_pages(target, out, request, settings, progress, **shown)[0]


def render_pages(
    target: Target,
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
        settings: how it is exported, where it is no file.
        progress: told of what is going on.
        color: the column of the ledger that boxes are coloured by; "none" for none, None for MACs.
        latency: time its modules in ONNX Runtime.
        parity: compare what its modules hand on with PyTorch.

    Returns:
        The files, ``out`` first.

    Raises:
        UsageError: the target, a setting, or ``out`` cannot be used, there is no such module, or ``color`` is
            no column, or one that no box has.
        GraphError: the file is no ONNX graph.
        ToolError: Graphviz is missing.
    """
    from onnxlens.reports.drawing.colors import DEFAULT_COLUMN, require_column, require_figures
    from onnxlens.reports.drawing.files import linked_pages, require_suffix

    place = Path(out)
    require_suffix(place)
    if color:
        require_column(color)
    with staged(place.parent):  # a place that cannot be written is told before any work
        measured = measure_graph(target, settings, latency=latency, parity=parity, progress=progress)
        pages = pages_of(target, request, settings, progress, measured)
    if color:
        require_figures([page.flow for page in pages], color)
    progress("drawing", 0, 0)
    try:
        return _write(linked_pages(pages, place.name), place.parent, color or DEFAULT_COLUMN)
    except ToolError as error:
        place = place.with_suffix(".dot")
        _write(linked_pages(pages, place.name), place.parent, color or DEFAULT_COLUMN)
        raise ToolError(f"{error}; wrote {place}") from error


def _write(pages: Mapping[str, FlowGraph], folder: Path, color: str) -> Sequence[Path]:
    """Each page into its file below the folder, all of them or none."""
    from onnxlens.reports.drawing.files import write_pictures

    with ExitStack() as stack:
        stages = {
            parent: stack.enter_context(staged(folder / parent))
            for parent in dict.fromkeys(Path(name).parent for name in pages)
        }
        write_pictures(
            {stages[Path(name).parent] / Path(name).name: flow for name, flow in pages.items()}, color
        )
    return [folder / name for name in pages]


def write_trace(ledger: Ledger, nodes: Sequence[NodeTiming], out: Path | str) -> Path:
    """Write the run that ``nodes`` timed as a trace for Perfetto or Chrome, its tracks the module hierarchy.

    Raises:
        UsageError: no node was timed, two ran at once, or ``out`` cannot be written.
    """
    from onnxlens.reports.trace import trace_document
    from onnxlens.specs.codec import to_text

    place = Path(out)
    document = trace_document(ledger, nodes)
    with staged(place.parent) as stage:
        (stage / place.name).write_text(to_text(document), encoding="utf-8")
    return place
