"""A graph with what one run of it shows: shapes, trip counts, and the branches that were taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from onnxlens.profile.graph.graph import Body, Graph, GraphNode
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.profile.runtime.profile_events import Event, is_kernel, match_events, read_events
from onnxlens.profile.runtime.runtime_graph import runtime_nodes
from onnxlens.profile.runtime.session import SessionRequest, run
from onnxlens.profile.runtime.source_match import SourceMatch
from onnxlens.specs.temporary import temporary_folder
from onnxlens.specs.tensor import TensorSpec, dtype_name

Tensor = tuple[str, tuple[int, ...]]
"""Element type and shape."""

Tensors = tuple[Tensor | None, ...]

Opener = Callable[..., ort.InferenceSession]
"""Opens a session as a ``request`` says."""

Execution = tuple[Tensors, Tensors]
"""A node's inputs and outputs in one of its executions; None for what is no tensor."""


def observed(graph: Graph, opener: Opener, inputs: Mapping[str, np.ndarray], given: str) -> Graph:
    """The graph as one run of the file without optimizations shows it.

    A node inside a body has an entry in ``observed`` for each set of shapes that it ran with, so that its
    costs are those of all its executions. What the runtime decomposes stays as the file says.

    Args:
        graph: the file's.
        opener: opens a session on it.
        inputs: what to run it on.
        given: what the inputs are, for a note.

    Raises:
        GraphError: ONNX Runtime refuses the file or stops with an error.
    """
    executions, unclear = _executions(graph, *_profile(opener, inputs))
    trips = _trips(graph, executions, unclear)
    given_inputs = (tensor for tensor in graph.inputs if tensor.name in inputs)
    known: dict[str, Tensor] = {
        tensor.name: (tensor.dtype, np.shape(inputs[tensor.name])) for tensor in given_inputs
    }
    for index, found in executions.items():
        for _, outputs in found:
            made = zip(graph.nodes[index].view.outputs, outputs, strict=False)
            known |= {value.name: own for value, own in made if value is not None and own is not None}
    nodes = [
        _node(node, executions.get(index, Counter()), known, trips) for index, node in enumerate(graph.nodes)
    ]
    return replace(
        graph,
        nodes=tuple(nodes),
        inputs=tuple(_spec(tensor, known) for tensor in graph.inputs),
        outputs=tuple(_spec(tensor, known) for tensor in graph.outputs),
        notes=(*graph.notes, f"shapes, trip counts and branches are those of one run, on {given}"),
    )


def _profile(opener: Opener, inputs: Mapping[str, np.ndarray]) -> tuple[Sequence[Event], onnx.ModelProto]:
    with temporary_folder() as folder:
        saved = folder / "run.onnx"
        session = opener(request=SessionRequest("disabled", folder / "profile", saved))
        run(session, inputs)
        events = read_events(Path(session.end_profiling()))
        return events, onnx.load(saved, load_external_data=False)


def _executions(
    graph: Graph, events: Sequence[Event], ran: onnx.ModelProto
) -> tuple[Mapping[int, Counter[Execution]], Set[int]]:
    """How often each source node ran with which shapes, by its index; and those with unclear bodies.

    The events inside these could not be told apart.
    """
    nodes = runtime_nodes(ran)
    match = SourceMatch(graph, nodes)
    by_key = {node.key: (node.op_type, found) for node, found in zip(nodes, match.sources, strict=True)}
    executions: dict[int, Counter[Execution]] = {}
    unclear: set[int] = set()
    for event, key in zip(events, match_events(ran, events), strict=True):
        if key is None or not is_kernel(event):
            continue
        op_type, sources = by_key[key]
        if event["args"]["op_name"] != op_type:
            unclear |= sources
            continue
        for source in sources:
            if graph.nodes[source].view.op_type == op_type:
                shapes = (_tensors(event, "input_type_shape"), _tensors(event, "output_type_shape"))
                executions.setdefault(source, Counter())[shapes] += 1
    return executions, unclear


def _tensors(event: Event, argument: str) -> Tensors:
    """What the event says of inputs or outputs: each ``{"float": [2, 3]}``."""
    listed: Sequence[Mapping[str, Any]] = event["args"].get(argument, ())
    found = (next(iter(entry.items()), ("", None)) for entry in listed)
    return tuple((dtype_name(kind), tuple(dims)) if isinstance(dims, list) else None for kind, dims in found)


def _trips(
    graph: Graph, executions: Mapping[int, Counter[Execution]], unclear: Set[int]
) -> Mapping[str, int | None]:
    """How often each body ran in all: as often as any of its nodes; None where that is unclear."""
    ran: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        if node.within:
            count = sum(executions.get(index, Counter()).values())
            ran[node.within[-1]] = max(count, ran.get(node.within[-1], 0))
    trips: dict[str, int | None] = {}
    for index, node in enumerate(graph.nodes):
        runs = sum(executions.get(index, Counter()).values())
        unseen = not runs and ran.get(node.within[-1] if node.within else "", 1) > 0  # it was decomposed
        for body in node.bodies:
            # a branch without nodes ran when the other did not
            others = sum(ran.get(other.key, 0) for other in node.bodies if other is not body)
            without = runs - others if node.view.op_type == "If" else None
            trips[body.key] = None if unseen or index in unclear else ran.get(body.key, without)
    return trips


def _node(
    node: GraphNode, found: Counter[Execution], known: Mapping[str, Tensor], trips: Mapping[str, int | None]
) -> GraphNode:
    if node.constant_folded:
        return node
    views = [(_view(node.view, execution, known), times) for execution, times in found.items()]
    view = views[-1][0] if views else _view(node.view, ((), ()), known)
    total = sum(found.values())
    return replace(
        node,
        view=view,
        bodies=tuple(_body(body, trips[body.key], total, known) for body in node.bodies),
        observed=tuple(views) if views and node.within else node.observed,
    )


def _body(body: Body, trips: int | None, runs: int, known: Mapping[str, Tensor]) -> Body:
    results = tuple(_value(value, None, known) for value in body.results)
    if trips is None:
        return replace(body, results=results)
    even = trips // runs if runs and not trips % runs else None if trips else 0
    return replace(body, results=results, trip_count=even, unknown_reason="")


def _view(view: NodeView, execution: Execution, known: Mapping[str, Tensor]) -> NodeView:
    inputs, outputs = (
        tuple(_values(values, own, known))
        for values, own in zip((view.inputs, view.outputs), execution, strict=True)
    )
    return replace(view, inputs=inputs, outputs=outputs)


def _values(
    values: Sequence[ValueView | None], own: Tensors, known: Mapping[str, Tensor]
) -> Iterator[ValueView | None]:
    """The values as one execution has them, which lists those that are there; else as they are known."""
    there = sum(value is not None for value in values)
    listed = iter(own if len(own) == there else [None] * there)
    for value in values:
        yield None if value is None else _value(value, next(listed), known)


def _value(value: ValueView | None, own: Tensor | None, known: Mapping[str, Tensor]) -> ValueView | None:
    if value is None or value.kind != "tensor" or value.is_weight:
        return value
    found = own or known.get(value.name)
    return value if found is None else replace(value, dtype=value.dtype or found[0], shape=found[1])


def _spec(tensor: TensorSpec, known: Mapping[str, Tensor]) -> TensorSpec:
    return replace(tensor, shape=known[tensor.name][1]) if tensor.name in known else tensor
