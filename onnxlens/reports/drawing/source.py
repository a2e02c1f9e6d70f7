"""A picture in Graphviz's language, with a place for everything: Graphviz draws, and arranges nothing."""

from __future__ import annotations

import graphviz

from onnxlens.reports.drawing import palette
from onnxlens.reports.drawing.composition import Composition, composed
from onnxlens.reports.drawing.curves import arrow_curve
from onnxlens.reports.drawing.identities import frame_identity, identities
from onnxlens.reports.drawing.links import Line, Skip
from onnxlens.reports.drawing.markup import Block, label
from onnxlens.reports.drawing.placing import Point
from onnxlens.reports.drawing.rows import Row
from onnxlens.reports.drawing.scale import DEFAULT_COLUMN
from onnxlens.reports.drawing.sheet import End, SheetFrame, Wire
from onnxlens.reports.drawing.tooltips import (
    box_tooltip,
    end_tooltip,
    frame_tooltip,
    tag_tooltip,
    tensors_tooltip,
)
from onnxlens.specs.flow import FlowGraph

FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"


def dot_source(flow: FlowGraph, color: str = DEFAULT_COLUMN) -> str:
    """The picture in Graphviz's language, with ``layout=nop2``: drawn as it is placed here."""
    return picture_source(composed(flow, color))


def picture_source(picture: Composition) -> str:
    """A composed picture in Graphviz's language."""
    return _Writer(picture).source()


class _Writer:
    """Writes one picture."""

    def __init__(self, picture: Composition) -> None:
        self._picture = picture
        self._ids = identities(picture.flow)
        self._frames = 0
        self._digraph = graphviz.Digraph(
            name=picture.flow.graph,
            graph_attr={
                "layout": "nop2", "bgcolor": palette.WHITE, "pad": "0.2", "fontname": FONT,
                "outputorder": "edgesfirst", "tooltip": " ",
            },
            node_attr={"fontname": FONT, "fontsize": "10", "shape": "plain"},
            edge_attr={"color": palette.LINE, "arrowsize": "0.7"},
        )  # fmt: skip

    def source(self) -> str:
        """All of it: the heading, frames and what is in them, then the lines."""
        for place, (block, corner) in enumerate(self._picture.heading):
            self._node(self._digraph, f"heading.{place}", block, corner)
        self._contents(self._digraph, self._picture.sheet.page)
        for wire in self._picture.wires:
            self._wire(wire)
        return str(self._digraph.source)

    def _contents(self, digraph: graphviz.Digraph, frame: SheetFrame) -> None:
        for part, corner in frame.parts:
            if isinstance(part, Row):
                self._row(digraph, part, corner)
            elif isinstance(part, End):
                name = self._ids[part.node.id]
                self._node(digraph, name, part.block, corner, end_tooltip(part.node))
            elif isinstance(part, Block):
                self._node(digraph, f"title.{self._frames}", part, corner, frame_tooltip(frame.opened.frame))
        for wire, corner in frame.labels:
            if wire.label and isinstance(wire.carries, Line):
                tooltip = tensors_tooltip(wire.carries.tensors)
                self._node(digraph, f"tensors of {wire.key}", wire.label, corner, tooltip)
        for inner in frame.frames:
            self._frame(digraph, inner)

    def _frame(self, digraph: graphviz.Digraph, frame: SheetFrame) -> None:
        self._frames += 1
        level = len(frame.opened.frame.parents)
        x, y = frame.corner
        with digraph.subgraph(name=f"cluster_{self._frames}") as cluster:
            cluster.attr(
                id=frame_identity(frame.opened.frame.path, self._frames), label="", style="rounded,filled",
                color=palette.FRAME_LINE, fillcolor=palette.FRAMES[(level - 1) % len(palette.FRAMES)],
                bb=f"{x:.1f},{-y - frame.opened.height:.1f},{x + frame.opened.width:.1f},{-y:.1f}",
                tooltip=_literal(frame_tooltip(frame.opened.frame)),
            )  # fmt: skip
            self._contents(cluster, frame)

    def _row(self, digraph: graphviz.Digraph, row: Row, corner: Point) -> None:
        x, y = corner
        name = self._ids[row.node.id]
        lane = self._picture.lanes[row.node.id]
        self._node(
            digraph, name, row.box, (x + row.box_x, y + row.box_y), box_tooltip(row.node, lane),
            URL=self._picture.flow.links.get(row.node.id, ""),
        )  # fmt: skip
        for place, placed in enumerate(row.tags):
            tag_corner = (x + placed.x, y + placed.y)
            self._node(digraph, f"{name} tag {place}", placed.block, tag_corner, tag_tooltip(placed.tag))
        for from_x, at_y, to_x in row.arrows:
            digraph.edge(name, name, pos=arrow_curve(x + from_x, y + at_y, x + to_x), tooltip=" ")

    def _wire(self, wire: Wire) -> None:
        ends = self._ids[wire.source], self._ids[wire.target]
        curve = self._picture.curve(wire)
        if isinstance(wire.carries, Skip):
            self._digraph.edge(
                *ends, pos=curve, color=wire.carries.colour, penwidth="2", arrowhead="none",
                tooltip=_literal(f"{wire.carries.word} {wire.carries.number}"),
            )  # fmt: skip
        else:
            self._digraph.edge(*ends, pos=curve, tooltip=_literal(tensors_tooltip(wire.carries.tensors)))

    def _node(
        self,
        digraph: graphviz.Digraph,
        name: str,
        block: Block,
        corner: Point,
        tooltip: str = " ",
        **more: str,
    ) -> None:
        x, y = corner
        digraph.node(
            name, label=label(block.markup), id=name, tooltip=_literal(tooltip),
            pos=f"{x + block.width / 2:.1f},{-y - block.height / 2:.1f}",
            **{key: value for key, value in more.items() if value},
        )  # fmt: skip


def _literal(text: str) -> str:
    """A text that Graphviz takes as it is, line by line."""
    literal: str = graphviz.nohtml(text.replace("\\", "\\\\").replace("\n", "\\n"))
    return literal
