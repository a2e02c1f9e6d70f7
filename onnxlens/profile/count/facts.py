"""What a ledger's rows of nodes leave out: shapes, attributes, the kind of work, the positions worked on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from onnxlens.profile.count.families import (
    CONVOLUTION,
    ELEMENTWISE,
    LINEAR,
    MOVEMENT,
    NORM,
    POOLING,
    PRODUCT,
    PROJECTION,
    QUANTIZATION,
    RESAMPLING,
    SCORES,
    families,
)
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import ManyValues, NodeView, ValueView
from onnxlens.specs.grouping import OTHER, NodeFacts
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.tensor import Dim

Axes = Literal["first", "last", "heads"]
"""Where a tensor has its channels: before the positions, behind them, or behind heads and tokens."""

OF_FAMILY: Mapping[str, Axes] = {
    CONVOLUTION: "first", POOLING: "first", RESAMPLING: "first", LINEAR: "last", PROJECTION: "last",
    PRODUCT: "heads", SCORES: "heads",
}  # fmt: skip
CHANNELS_LAST = ("com.ms.internal.nhwc", "Nhwc", "LayerNormalization", "RMSNormalization", "LayerNorm")
IN_PLACE = frozenset({ELEMENTWISE, QUANTIZATION, MOVEMENT, NORM})
MOST_SHOWN = 16
"""Elements of an attribute; of larger ones it is said how many there are."""

REARRANGES = frozenset({"Transpose", "Reshape", "Flatten", "Gather", "Shape", "Expand"})
"""What may put other axes where the positions were, though as many."""


def with_facts(ledger: Ledger, graph: Graph) -> Ledger:
    """The ledger with the facts of its nodes."""
    found = families(graph)
    texts = resolutions(graph, found)
    return replace(ledger, facts=tuple(map(_facts, graph.nodes, found, texts)))


def _facts(node: GraphNode, family: str, resolution: str) -> NodeFacts:
    view = node.view
    first = next(_there(view.outputs), None)
    return NodeFacts(
        tuple(value.spec for value in _there(view.inputs)),
        tuple(value.spec for value in _there(view.outputs)),
        {name: _plain(value) for name, value in view.attributes.items()},
        family,
        resolution,
        (first.dtype if first is not None else None) or OTHER,
    )


def _there(values: Sequence[ValueView | None]) -> Iterator[ValueView]:
    return (value for value in values if value is not None)


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple | list | ManyValues):
        return list(value) if len(value) <= MOST_SHOWN else f"{len(value)} values"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return str(value)[:80] if shape is None else f"{dtype} {list(shape)}"


def resolutions(graph: Graph, found: Sequence[str]) -> list[str]:
    """The positions that each node works on: ``64x64`` of maps, ``4096 tokens`` of sequences, ``vectors``.

    Convolutions and products say where a tensor has them; what is elementwise or only rearranges has those
    of what it reads, and before the first of those the readers tell.
    """
    axes: dict[str, Axes] = {}
    texts: dict[str, str] = {}
    nodes = list(zip(graph.nodes, found, strict=True))
    own: list[str] = []
    for node, family in nodes:
        text, kept = (OTHER, None) if node.constant_folded else _forward(node.view, family, axes, texts)
        own.append(text)
        for value in _there(node.view.outputs):
            texts[value.name] = text
            if kept is not None:
                axes[value.name] = kept
    for index in reversed(range(len(nodes))):
        node, family = nodes[index]
        if own[index] == OTHER and family in IN_PLACE and not node.constant_folded:
            wanted = _wanted(graph, node, found, axes)
            for value in _there(node.view.outputs[:1]) if wanted else ():
                axes[value.name] = wanted or "last"
                own[index] = positions(value.shape, axes[value.name])
    return own


def _forward(
    view: NodeView, family: str, axes: Mapping[str, Axes], texts: Mapping[str, str]
) -> tuple[str, Axes | None]:
    """The node's positions, and where its results have their channels if that is known."""
    shape = view.outputs[0].shape if view.outputs and view.outputs[0] is not None else None
    decided = axes_of(view, family)
    if decided is not None:
        return positions(shape, decided), decided
    for value in _there(view.inputs):
        rank = None if value.shape is None or shape is None else len(value.shape) == len(shape)
        if value.name in axes and rank and view.op_type not in REARRANGES:
            return positions(shape, axes[value.name]), axes[value.name]
    for value in _there(view.inputs):
        if texts.get(value.name, OTHER) != OTHER:
            return texts[value.name], None
    return OTHER, None


def _wanted(graph: Graph, node: GraphNode, found: Sequence[str], axes: Mapping[str, Axes]) -> Axes | None:
    """Where those that read the node's result expect its channels."""
    output = next(_there(node.view.outputs), None)
    for index in graph.consumers(output.name) if output is not None else ():
        reader = graph.nodes[index].view
        if (decided := axes_of(reader, found[index])) is not None:
            return decided
        made = next(_there(reader.outputs), None)
        same = made is not None and output is not None and len(made.shape or ()) == len(output.shape or ())
        if made is not None and same and reader.op_type not in REARRANGES and made.name in axes:
            return axes[made.name]
    return None


def axes_of(view: NodeView, family: str) -> Axes | None:
    """Where an operator takes and makes channels; None where it takes them anywhere."""
    last = any(mark in (view.domain, view.op_type) or mark in view.op_type for mark in CHANNELS_LAST)
    if family == NORM:
        return "last" if last else None  # a group norm may see all positions of a group in one axis
    decided = OF_FAMILY.get(family)
    if decided == "heads" and view.op_type in ("Attention", "MultiHeadAttention", "GroupQueryAttention"):
        shape = view.outputs[0].shape if view.outputs and view.outputs[0] is not None else None
        return "last" if len(shape or ()) == 3 else "heads"
    return "last" if decided == "first" and last else decided


def positions(shape: tuple[Dim, ...] | None, axes: Axes) -> str:
    """The positions of a tensor as text; ``vectors`` where it has channels alone."""
    if shape is None or not shape:
        return OTHER
    if len(shape) < 3:
        return "vectors"
    if axes == "heads" or (axes == "last" and len(shape) == 3):
        return f"{shape[-2]} tokens"
    return "x".join(map(str, shape[2:] if axes == "first" else shape[1:-1]))
