"""A picture in Graphviz's language, with a position for everything: Graphviz draws, and arranges nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import graphviz

from onnxlens.reports.drawing import colors
from onnxlens.reports.drawing.clusters import Cluster, End, PlacedCluster, Wire
from onnxlens.reports.drawing.colors import DEFAULT_COLUMN
from onnxlens.reports.drawing.composition import Composition, arrow_curve, composed
from onnxlens.reports.drawing.labels import Block
from onnxlens.reports.drawing.links import Line, Skip
from onnxlens.reports.drawing.position import Point
from onnxlens.reports.drawing.rows import Row
from onnxlens.reports.numbers import figure_text
from onnxlens.specs.flow import FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec
from onnxlens.specs.text import printable, printable_lines

TOOLTIP_TENSORS = 40
"""A tooltip lists so many, as much as a screen shows."""
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
        self._clusters = 0
        self._digraph = graphviz.Digraph(
            name=printable(picture.flow.graph),
            graph_attr={
                "layout": "nop2", "bgcolor": colors.WHITE, "pad": "0.2", "fontname": FONT,
                "outputorder": "edgesfirst", "tooltip": " ",
            },
            node_attr={"fontname": FONT, "fontsize": "10", "shape": "plain"},
            edge_attr={"color": colors.LINE, "arrowsize": "0.7"},
        )  # fmt: skip

    def source(self) -> str:
        """All of it: the heading, clusters and what is in them, then the lines."""
        for index, (block, corner) in enumerate(self._picture.heading):
            self._node(self._digraph, f"heading.{index}", block, corner)
        self._contents(self._digraph, self._picture.page)
        for wire in self._picture.wires:
            self._wire(wire)
        return str(self._digraph.source)

    def _contents(self, digraph: graphviz.Digraph, cluster: PlacedCluster) -> None:
        for part, corner in cluster.parts:
            if isinstance(part, Row):
                self._row(digraph, part, corner)
            elif isinstance(part, End):
                tooltip = f"{part.node.kind} {part.node.title}"
                self._node(digraph, self._ids[part.node.id], part.block, corner, tooltip)
            elif isinstance(part, Block):
                tooltip = cluster_tooltip(cluster.layout.cluster)
                self._node(digraph, f"title.{self._clusters}", part, corner, tooltip)
        for wire, corner in cluster.labels:
            if wire.label and isinstance(wire.carries, Line):
                tooltip = tensors_tooltip(wire.carries.tensors)
                self._node(digraph, f"tensors of {wire.key}", wire.label, corner, tooltip)
        for inner in cluster.clusters:
            self._cluster(digraph, inner)

    def _cluster(self, digraph: graphviz.Digraph, cluster: PlacedCluster) -> None:
        self._clusters += 1
        layout, (x, y) = cluster.layout, cluster.corner
        level = len(layout.cluster.parents)
        with digraph.subgraph(name=f"cluster_{self._clusters}") as subgraph:
            subgraph.attr(
                id=cluster_identity(layout.cluster.path, self._clusters), label="", style="rounded,filled",
                color=colors.CLUSTER_LINE, fillcolor=colors.CLUSTERS[(level - 1) % len(colors.CLUSTERS)],
                bb=f"{x:.1f},{-y - layout.height:.1f},{x + layout.width:.1f},{-y:.1f}",
                tooltip=_literal(cluster_tooltip(layout.cluster)),
            )  # fmt: skip
            self._contents(subgraph, cluster)

    def _row(self, digraph: graphviz.Digraph, row: Row, corner: Point) -> None:
        x, y = corner
        name = self._ids[row.node.id]
        branch = self._picture.branches[row.node.id]
        self._node(
            digraph, name, row.box, (x + row.box_x, y + row.box_y), box_tooltip(row.node, branch),
            URL=self._picture.flow.links.get(row.node.id, ""),
        )  # fmt: skip
        for index, placed in enumerate(row.ports):
            tooltip = f"{placed.port.words}\n{tensors_tooltip(placed.port.tensors)}"
            port_corner = (x + placed.x, y + placed.y)
            self._node(digraph, f"{name} label {index}", placed.block, port_corner, tooltip)
        for from_x, at_y, to_x in row.arrows:
            digraph.edge(name, name, pos=arrow_curve(x + from_x, y + at_y, x + to_x), tooltip=" ")

    def _wire(self, wire: Wire) -> None:
        ends = self._ids[wire.source], self._ids[wire.target]
        curve = self._picture.curve(wire)
        if isinstance(wire.carries, Skip):
            self._digraph.edge(
                *ends, pos=curve, color=wire.carries.color, penwidth="2", arrowhead="none",
                tooltip=_literal(f"{wire.carries.word} {wire.carries.number}"),
            )  # fmt: skip
        else:
            self._digraph.edge(*ends, pos=curve, tooltip=_literal(tensors_tooltip(wire.carries.tensors)))

    def _node(
        self, digraph: graphviz.Digraph, name: str, block: Block, corner: Point,
        tooltip: str = " ", **more: str,
    ) -> None:  # fmt: skip
        x, y = corner
        digraph.node(
            name, label=f"<{block.markup}>", id=name, tooltip=_literal(tooltip),
            pos=f"{x + block.width / 2:.1f},{-y - block.height / 2:.1f}",
            **{key: value for key, value in more.items() if value},
        )  # fmt: skip


def _literal(text: str) -> str:
    """A text that Graphviz takes as it is, line by line."""
    literal: str = graphviz.nohtml(printable_lines(text).replace("\\", "\\\\").replace("\n", "\\n"))
    return literal


UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)
"""What ids in XML, links and Graphviz cannot all hold."""


def identities(flow: FlowGraph) -> Mapping[str, str]:
    """By box or end, its id: ``input_blocks.4.1``, ``input_blocks.4.ops``, ``input.x``; numbered if equal."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    times: Counter[str] = Counter()
    for node in flow.nodes:
        base = name = UNSAFE.sub("_", _base(node))
        while name in taken:
            times[base] += 1
            name = f"{base}-{times[base] + 1}"
        taken.add(name)
        names[node.id] = name
    return names


def cluster_identity(path: str, index: int) -> str:
    """The id of the cluster that is the ``index``-th of the picture."""
    return f"cluster.{UNSAFE.sub('_', path)}-{index}"


def _base(node: FlowNode) -> str:
    if not node.order:
        return f"{node.kind}.{node.title}"
    return f"{node.path or 'model'}.ops" if node.kind == "operators" else node.path or "model"


def box_tooltip(node: FlowNode, branch: int = 0) -> str:
    """Class, path, branch, and every known cost."""
    lines = [f"{node.order} {node.title}", *([node.path] if node.path else [])]
    if branch:
        lines.append(f"parallel branch {branch}")
    if node.repeats > 1:
        lines.append(f"{node.repeats} equal blocks; figures of one")
    for name, figure in node.costs.items():
        lines.append(f"{name}: {figure_text(name, figure, node.lower_bounds, _exact)}")
    return "\n".join(lines)


def cluster_tooltip(cluster: Cluster) -> str:
    """Class and path."""
    return "\n".join(filter(None, (cluster.class_name, cluster.path)))


def tensors_tooltip(tensors: Iterable[TensorSpec]) -> str:
    """Name, shape, type and size of every tensor, a line each; of many, the rest is counted."""
    listed = list(tensors)
    more = [f"and {len(listed) - TOOLTIP_TENSORS:,} more"] if len(listed) > TOOLTIP_TENSORS else []
    return "\n".join([*map(_tensor, listed[:TOOLTIP_TENSORS]), *more])


def _tensor(tensor: TensorSpec) -> str:
    size = "" if tensor.size_bytes is None else f", {_exact(tensor.size_bytes)} bytes"
    return f"{tensor.name}: {tensor.shape_text()} {tensor.dtype}{size}"


def _exact(figure: int | float) -> str:
    """An integer with its thousands apart, a measured figure with all its digits."""
    return f"{figure:,}" if isinstance(figure, int) else repr(figure)
