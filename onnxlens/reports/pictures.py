"""The data flow between modules, drawn by Graphviz from a FlowGraph alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import graphviz

from onnxlens.errors import ToolError, UsageError
from onnxlens.reports.fan_out import FAN_OUT_LIMIT, tagged
from onnxlens.reports.numbers import share, short_count
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode

SUFFIXES = (".svg", ".png", ".pdf", ".dot")
PNG_DPI = "110"
FONT = "Helvetica"

FILL: Mapping[str, str] = {
    "input": "#e8eef7",
    "output": "#e8eef7",
    "module": "#ffffff",
    "operators": "#f3f3f3",
}
HEAT = ("#ffffff", "#fdf0d5", "#fbd9a0", "#f7b267", "#ef8a3c")
"""Fill by a module's share of all MACs, light to dark in one hue, for any colour vision."""
HEAT_SHARES = (0.0, 0.01, 0.05, 0.15, 0.30)


def write_picture(flow: FlowGraph, path: Path) -> None:
    """Draw ``flow`` into ``path``, in the format that its suffix names.

    Raises:
        UsageError: the suffix is none that can be drawn.
        ToolError: Graphviz's ``dot`` is missing or failed.
    """
    require_suffix(path)
    source = dot_source(flow)
    if path.suffix == ".dot":
        path.write_text(source, encoding="utf-8")
        return
    try:
        drawn = graphviz.Source(source).pipe(format=path.suffix.removeprefix("."))
    except graphviz.ExecutableNotFound as error:
        raise ToolError("Graphviz's dot is missing; install it (apt-get install graphviz)") from error
    except graphviz.CalledProcessError as error:
        raise ToolError(f"Graphviz could not draw {path.name}: {str(error).splitlines()[0]}") from error
    path.write_bytes(drawn)


def require_suffix(path: Path) -> None:
    """Refuse a file that cannot be drawn before any work is done for it.

    Raises:
        UsageError: the suffix is none that can be drawn.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path}: suffix {path.suffix!r} cannot be drawn; choose one of {', '.join(SUFFIXES)}"
        )


def dot_source(flow: FlowGraph) -> str:
    """The picture in Graphviz's language: boxes nested as the modules are, tensors on the edges."""
    digraph = graphviz.Digraph(
        name=flow.graph,
        graph_attr={
            "label": _title(flow), "labelloc": "t", "labeljust": "l", "fontname": FONT, "fontsize": "12",
            "rankdir": "TB", "nodesep": "0.35", "ranksep": "0.45", "dpi": PNG_DPI, "newrank": "true",
        },
        node_attr={
            "fontname": FONT, "fontsize": "11", "shape": "box", "style": "rounded,filled", "color": "#555555",
        },
        edge_attr={"fontname": FONT, "fontsize": "9", "color": "#555555", "arrowsize": "0.7"},
    )  # fmt: skip
    whole = sum(node.macs for node in flow.nodes)
    drawn = tagged(flow)
    _draw_level(digraph, drawn.nodes, (), whole)
    for source, target, label in _merged(drawn.edges):
        digraph.edge(source, target, label=label)
    return str(digraph.source)


def _title(flow: FlowGraph) -> str:
    steps = ", ".join(f"{round(100 * least)} %" for least in HEAT_SHARES[1:])
    return (
        f"{flow.graph}: data flow between modules, depth {flow.depth}, from {flow.source}\\l"
        f"boxes are numbered in execution order; darker fill: over {steps} of all MACs\\l"
        f"a tensor that more than {FAN_OUT_LIMIT} boxes read is named at each of them\\l"
    )


def _draw_level(
    digraph: graphviz.Digraph, nodes: Iterable[FlowNode], prefix: tuple[tuple[str, str], ...], whole: int
) -> None:
    """The boxes that stand directly in ``prefix``, and a frame for each module that is opened in it."""
    opened: dict[tuple[str, str], list[FlowNode]] = {}
    for node in nodes:
        if len(node.parents) > len(prefix):
            opened.setdefault(node.parents[len(prefix)], []).append(node)
        else:
            digraph.node(node.id, label=_label(node, whole), fillcolor=_fill(node, whole), shape=_shape(node))
    for (path, class_name), members in opened.items():
        with digraph.subgraph(name=f"cluster_{path}") as frame:
            frame.attr(
                label=f"{class_name or path}   {_within(path, prefix)}", labeljust="l", labelloc="t",
                fontsize="11", fontcolor="#334e68", style="rounded", color="#9aa5b1",
            )  # fmt: skip
            _draw_level(frame, members, (*prefix, (path, class_name)), whole)


def _within(path: str, parents: tuple[tuple[str, str], ...]) -> str:
    """The module's name inside the frame it stands in: the frames around it say the rest of its path."""
    return path.removeprefix(f"{parents[-1][0]}.") if parents else path


def _shape(node: FlowNode) -> str:
    return "ellipse" if node.kind in ("input", "output") else "box"


def _fill(node: FlowNode, whole: int) -> str:
    if node.kind != "module" or not whole:
        return FILL[node.kind]
    steps = [step for step, least in enumerate(HEAT_SHARES) if node.macs >= least * whole]
    return HEAT[steps[-1]]


def _label(node: FlowNode, whole: int) -> str:
    """Number and class, path, and costs, a line each."""
    if node.kind in ("input", "output"):
        return f"<<B>{escape(node.title)}</B>>"
    lines = [f"{node.order}  <B>{escape(node.title)}</B>"]
    if node.kind == "module" and node.path not in ("", node.title):
        name = _within(node.path, node.parents)
        lines.append(f'<FONT COLOR="#334e68" POINT-SIZE="10">{escape(name)}</FONT>')
    costs = []
    if node.macs:
        costs.append(f"{short_count(node.macs)} MACs ({share(node.macs, whole)})")
    if node.params:
        costs.append(f"{short_count(node.params)} params")
    if costs:
        lines.append(f'<FONT POINT-SIZE="10">{escape(", ".join(costs))}</FONT>')
    return "<" + "<BR/>".join(lines) + ">"


def _merged(edges: Iterable[FlowEdge]) -> list[tuple[str, str, str]]:
    """One arrow for all tensors between two boxes, each shape on a line; on white, clear of other lines."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        dtype = "" if edge.tensor.dtype == "float32" else f" {edge.tensor.dtype}"
        grouped.setdefault((edge.source, edge.target), []).append(
            escape(f"{edge.tensor.shape_text()}{dtype}")
        )
    return [
        (source, target, _on_white(dict.fromkeys(labels))) for (source, target), labels in grouped.items()
    ]


def _on_white(lines: Iterable[str]) -> str:
    cell = '<TABLE BORDER="0" CELLPADDING="0" CELLSPACING="3"><TR><TD BGCOLOR="white">{}</TD></TR></TABLE>'
    return f"<{cell.format('<BR/>'.join(lines))}>"
