"""A FlowGraph in Graphviz's language."""

from __future__ import annotations

import graphviz

from onnxlens.reports.drawing import palette
from onnxlens.reports.drawing.boxes import (
    IN_PORT,
    OUT_PORT,
    end_label,
    frame_title,
    line_label,
    row_label,
    skip_port,
)
from onnxlens.reports.drawing.frames import Frame, first_boxes, page_of, stacked
from onnxlens.reports.drawing.layers import trunk_of
from onnxlens.reports.drawing.links import Line, Tag, links_of
from onnxlens.reports.drawing.scale import NO_COLOUR, Scale, cost_column, figure_of, scale_of
from onnxlens.reports.drawing.title import title_label
from onnxlens.reports.drawing.tooltips import box_tooltip, frame_tooltip, line_tooltip, skip_tooltip
from onnxlens.reports.numbers import share
from onnxlens.specs.flow import FlowGraph, FlowNode

FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
TRUNK_WEIGHT, LINE_WEIGHT, SKIP_WEIGHT = "1000", "20", "2"
"""How hard Graphviz tries to keep a line straight; a frame's narrowness has 128."""


def dot_source(flow: FlowGraph, color: str = "macs") -> str:
    """The picture in Graphviz's language: boxes nested as the modules are, tensors on the lines.

    Raises:
        UsageError: no box has the cost that they are to be coloured by.
    """
    return _Drawing(flow, scale_of(flow, color)).source()


class _Drawing:
    """One picture while it is written."""

    def __init__(self, flow: FlowGraph, scale: Scale) -> None:
        self._flow = flow
        self._scale = scale
        self._links = links_of(flow)
        self._pairs = [(line.source, line.target) for line in self._links.lines]
        self._trunk = trunk_of(flow, self._pairs)
        self._nodes = {node.id: node for node in flow.nodes}
        self._ids = {node.id: _id(place, node) for place, node in enumerate(flow.nodes)}
        self._digraph = graphviz.Digraph(
            name=flow.graph,
            graph_attr={
                "label": title_label(flow, scale, self._links), "labelloc": "t", "labeljust": "l",
                "fontname": FONT, "fontsize": "12", "rankdir": "TB", "nodesep": "0.2", "ranksep": "0.3",
                "newrank": "true", "pad": "0.2", "bgcolor": palette.WHITE, "tooltip": " ",
            },
            node_attr={"fontname": FONT, "shape": "plain", "fontsize": "10"},
            edge_attr={"fontname": FONT, "fontsize": "9", "color": palette.LINE, "arrowsize": "0.7"},
        )  # fmt: skip

    def source(self) -> str:
        """All of it."""
        for node in self._flow.nodes:
            if node.id in self._links.ends:
                self._digraph.node(self._ids[node.id], label=end_label(node), tooltip=_literal(node.title))
        page = page_of(node for node in self._flow.nodes if node.order)
        self._level(self._digraph, page)
        for line in self._links.lines:
            self._line(line)
        for source, tag in self._links.skips:
            self._skip(source, tag)
        for upper, lower in stacked(page, self._pairs):
            below = self._title_id(lower) if isinstance(lower, Frame) else self._ids[lower.id]
            self._digraph.edge(self._ids[upper], below, style="invis", weight="0")
        return str(self._digraph.source)

    def _level(self, digraph: graphviz.Digraph, frame: Frame) -> None:
        for node in frame.boxes:
            digraph.node(
                self._ids[node.id], label=row_label(node, self._scale, self._links),
                id=self._ids[node.id], tooltip=_literal(box_tooltip(node)),
            )  # fmt: skip
        for inner in frame.frames:
            self._frame(digraph, inner)

    def _frame(self, digraph: graphviz.Digraph, frame: Frame) -> None:
        """The title stands left of the first box, so that no line that enters the frame meets it."""
        level = len(frame.parents)
        name = self._frame_id(frame)
        with digraph.subgraph(name=name) as opened:
            opened.attr(
                label="", style="rounded,filled", color=palette.FRAME_LINE, margin="8",
                fillcolor=palette.FRAMES[(level - 1) % len(palette.FRAMES)],
                tooltip=_literal(frame_tooltip(frame)), id=name,
            )  # fmt: skip
            title = self._title_id(frame)
            opened.node(title, label=frame_title(frame.class_name, frame.path, self._cost(frame)))
            self._level(opened, frame)
            first, *others = first_boxes(frame, self._pairs)
            opened.edge(title, self._ids[first], style="invis", minlen="0")
            for box in others:
                opened.edge(title, self._ids[box], style="invis", minlen="0", weight="0")

    def _frame_id(self, frame: Frame) -> str:
        return f"cluster_{self._ids[next(frame.members()).id]}_{len(frame.parents)}"

    def _title_id(self, frame: Frame) -> str:
        return f"title_{self._frame_id(frame)}"

    def _cost(self, frame: Frame) -> str:
        name = "macs" if self._scale.column == NO_COLOUR else self._scale.column
        kind = cost_column(name)
        total = sum(figure_of(node, name) or 0 for node in frame.members())
        if kind.meaning != "share" or not total:
            return ""
        part = f" ({share(total, self._scale.whole)})" if self._scale.whole else ""
        return f"{kind.short(total)} {kind.title}{part}"

    def _line(self, line: Line) -> None:
        weight = TRUNK_WEIGHT if (line.source, line.target) in self._trunk else LINE_WEIGHT
        tooltip = _literal(line_tooltip(line.tensors))
        self._digraph.edge(
            self._port(line.source, OUT_PORT), self._port(line.target, IN_PORT), weight=weight,
            label=line_label(line.tensors, palette.INK), tooltip=tooltip, labeltooltip=tooltip,
        )  # fmt: skip

    def _skip(self, target: str, tag: Tag) -> None:
        assert tag.skip
        self._digraph.edge(
            f"{self._ids[tag.far]}:{skip_port(tag)}", f"{self._ids[target]}:{skip_port(tag)}",
            color=tag.skip.colour, penwidth="2", weight=SKIP_WEIGHT, arrowhead="none",
            tooltip=_literal(skip_tooltip(tag)),
        )  # fmt: skip

    def _port(self, place: str, port: str) -> str:
        return f"{self._ids[place]}:{port}" if self._nodes[place].order else self._ids[place]


def _id(place: int, node: FlowNode) -> str:
    """Free of everything that means something to Graphviz."""
    return f"box_{node.order}" if node.order else f"end_{place}"


def _literal(text: str) -> str:
    """A text that Graphviz takes as it is, line by line."""
    literal: str = graphviz.nohtml(text.replace("\\", "\\\\").replace("\n", "\\n"))
    return literal
