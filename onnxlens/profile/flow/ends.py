"""Where the data flow that is shown begins and ends, and what a person calls those places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from onnxlens.profile.flow.boxes import Box, Scope
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.specs.flow import FlowEdge, FlowKind, FlowNode
from onnxlens.specs.tensor import TensorSpec

NAMED_READERS = 2
"""An end names so many of the modules that read its tensor, and counts the others."""

Maker = Mapping[str, tuple[str, TensorSpec]]
"""The box or end that each tensor comes from, by the tensor's name."""


def edges_between(graph: Graph, boxes: Sequence[Box]) -> Iterator[FlowEdge]:
    """The tensors that go from one box or end to another, a stretch outside being an end."""
    maker: dict[str, tuple[str, TensorSpec]] = {
        tensor.name: (end_id("input", tensor.name), tensor) for tensor in graph.inputs
    }
    for box in boxes:
        for node in box.nodes:
            yield from _incoming(node, box, maker)
            for value in node.view.outputs:
                if value is not None:
                    source = box.id if box.order else end_id("input", value.name)
                    maker[value.name] = (source, value.spec)
    for tensor in graph.outputs:
        if tensor.name in maker:
            yield FlowEdge(maker[tensor.name][0], end_id("output", tensor.name), tensor)


def _incoming(node: GraphNode, box: Box, maker: Maker) -> Iterator[FlowEdge]:
    for value in node.reads:
        if value.name in maker:
            source, tensor = maker[value.name]
            target = box.id if box.order else end_id("output", value.name)
            if source != target:
                yield FlowEdge(source, target, tensor)


def shown_alone(edges: Iterable[FlowEdge], boxes: Iterable[Box]) -> Iterator[FlowEdge]:
    """Of these edges those that begin or end at a box."""
    shown = {box.id for box in boxes if box.order}
    return (edge for edge in edges if edge.source in shown or edge.target in shown)


def ends_of(graph: Graph) -> Sequence[FlowNode]:
    """The inputs and outputs of the whole graph."""
    inputs = [_end("input", tensor.name, tensor.name) for tensor in graph.inputs]
    return [*inputs, *(_end("output", tensor.name, tensor.name) for tensor in graph.outputs)]


def ends_of_module(
    graph: Graph, scope: Scope, boxes: Sequence[Box], edges: Iterable[FlowEdge]
) -> Sequence[FlowNode]:
    """The tensors that enter and leave a module, each called by what makes it or reads it outside.

    That is the graph's input or output by its name, or the module beside, or an operator of the module that
    contains both; where that calls two of them alike, the tensor's name follows.
    """
    outside = [node for box in boxes if not box.order for node in box.nodes]
    entering = dict.fromkeys(edge.tensor.name for edge in edges if edge.source.startswith("input/"))
    leaving = dict.fromkeys(edge.tensor.name for edge in edges if edge.target.startswith("output/"))
    makers = _makers(scope, outside, entering) | {tensor.name: tensor.name for tensor in graph.inputs}
    readers = _readers(scope, outside, leaving) | {tensor.name: tensor.name for tensor in graph.outputs}
    return [
        *(_end("input", *named) for named in _told_apart({name: makers[name] for name in entering})),
        *(_end("output", *named) for named in _told_apart({name: readers[name] for name in leaving})),
    ]


def _makers(scope: Scope, outside: Iterable[GraphNode], wanted: Container[str]) -> dict[str, str]:
    return {
        value.name: f"from {_beside(scope, node)}"
        for node in outside
        for value in node.view.outputs
        if value is not None and value.name in wanted
    }


def _readers(scope: Scope, outside: Iterable[GraphNode], wanted: Container[str]) -> dict[str, str]:
    readers: dict[str, dict[str, None]] = {}
    for node in outside:
        for value in node.reads:
            if value.name in wanted:
                readers.setdefault(value.name, {})[_beside(scope, node)] = None
    return {name: f"to {_listed(list(places))}" for name, places in readers.items()}


def _beside(scope: Scope, node: GraphNode) -> str:
    """The module beside the shown one that the node is part of, or the node's type where there is none."""
    around = scope.hierarchy.lineage(scope.module)
    lineage = scope.hierarchy.lineage(node.module.path)
    shared = sum(1 for ours, theirs in zip(around, lineage, strict=False) if ours == theirs)
    return lineage[shared] if len(lineage) > shared else node.view.op_type


def _listed(places: Sequence[str]) -> str:
    named = ", ".join(places[:NAMED_READERS])
    more = len(places) - NAMED_READERS
    return f"{named}, +{more} more" if more > 0 else named


def _told_apart(titles: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Names and titles, each title once: where some are equal, the tensor's name follows."""
    times = Counter(titles.values())
    return ((name, f"{title} ({name})" if times[title] > 1 else title) for name, title in titles.items())


def _end(kind: FlowKind, name: str, title: str) -> FlowNode:
    return FlowNode(id=end_id(kind, name), kind=kind, path=name, title=title)


def end_id(kind: FlowKind, name: str) -> str:
    """The id of the end at which a tensor enters or leaves."""
    return f"{kind}/{name}"
