"""What a picture says of itself: what is drawn, from where, and what its colours and signs mean."""

from __future__ import annotations

from collections.abc import Sequence

from onnxlens.reports.drawing import palette
from onnxlens.reports.drawing.links import Links
from onnxlens.reports.drawing.markup import Block, Text, cell, framed, label, table, text_block
from onnxlens.reports.drawing.scale import NO_COLOUR, Scale, cost_column, figure_of
from onnxlens.specs.flow import FlowGraph


def title_label(flow: FlowGraph, scale: Scale, links: Links) -> str:
    """Title, totals, notes and legend, above the picture at its left."""
    about = [
        Text(heading(flow), 15, bold=True, ink=palette.INK),
        *(Text(line, 11, ink=palette.INK) for line in (_origin(flow), *flow.notes)),
    ]
    signs = [Text(line, 10, ink=palette.INK) for line in _signs(links)]
    blocks = [
        text_block(about, {"ALIGN": "LEFT"}).markup,
        *_scale_row(scale),
        text_block(signs, {"ALIGN": "LEFT"}).markup,
    ]
    return label(table([[cell(block)] for block in blocks], CELLSPACING=3))


def heading(flow: FlowGraph) -> str:
    """What is drawn."""
    module = f" inside {flow.module}" if flow.module else ""
    return f"{flow.graph}: data flow between modules{module}, depth {flow.depth}"


def description(flow: FlowGraph) -> str:
    """Where it comes from, how much there is of it, and what a reader must know."""
    return ". ".join((_origin(flow), *flow.notes))


def _origin(flow: FlowGraph) -> str:
    return f"from {flow.source}; {_totals(flow)}"


def _totals(flow: FlowGraph) -> str:
    boxes = [node for node in flow.nodes if node.order]
    parts = [f"{len(boxes)} boxes"]
    for name in ("macs", "params"):
        total = sum(figure_of(node, name) or 0 for node in boxes)
        parts.append(f"{cost_column(name).short(total)} {cost_column(name).title}")
    return ", ".join(parts)


def _scale_row(scale: Scale) -> Sequence[str]:
    if scale.column == NO_COLOUR:
        return []
    kind = cost_column(scale.column)
    meaning = {"share": "share of all", "peak": "share of the largest", "value": "by"}[kind.meaning]
    blocks = [text_block([Text(f"fill: {meaning} {kind.title}", 10, ink=palette.INK)])]
    for step in scale.steps():
        words = [line for line in (step.share, step.figure) if line]
        blocks.append(_swatch(words, step.fill))
    if not scale.complete:
        blocks.append(_swatch(["no figure"], palette.NO_FIGURE, STYLE="DASHED"))
    filler = cell("")
    return [table([[*(cell(block.markup) for block in blocks), filler]])]


def _swatch(words: Sequence[str], fill: str, **style: str) -> Block:
    lines = [Text(line, 10, ink=palette.ink_on(fill)) for line in words]
    return framed([text_block(lines, align="CENTER")], {"COLOR": palette.BORDER, "BGCOLOR": fill, **style})


def _signs(links: Links) -> Sequence[str]:
    lines = ["boxes are numbered in the order of execution; italics: operators that a module runs itself"]
    tags = [tag for side in (links.before, links.behind) for some in side.values() for tag in some]
    if any(not tag.skip for tag in tags):
        lines.append("a tag beside a box names an input, an output, or a box that is not near")
    if links.skips:
        lines.append("a coloured line is a skip connection, with its number at both ends")
    return lines
