"""What runs inside If, Loop, Scan and SequenceMap: what is handed in, what comes out, how often it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from onnx import GraphProto, NodeProto

from onnxlens.profile.graph.loading.protobuf import subgraphs
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.specs.record import record

Given = Sequence[ValueView | None]


@record(frozen=True, slots=True)
class BodyPlan:
    """How one body of a node is to be read.

    Attributes:
        name: of the attribute that holds it.
        given: what is handed in for each of its inputs; None for what has no value outside: a counter.
        results: which of the body's outputs are the node's outputs, in their order.
        trip_count: how often it runs in one run of the node; None where that is not known before.
        unknown_reason: why the trip count is unknown.
    """

    name: str
    graph: GraphProto
    given: Given
    results: Sequence[int]
    trip_count: int | None = 1
    unknown_reason: str = ""


def _branches(node: NodeProto, inputs: Given, version: int) -> Iterator[BodyPlan]:
    """An If: two graphs without inputs, of which one runs; a condition that is known chooses it."""
    chosen = _constant(inputs[0])
    for name, graph in sorted(subgraphs(node), reverse=True):  # then_branch first
        trip_count = 1 if chosen is None else int(bool(chosen) == (name == "then_branch"))
        yield BodyPlan(name, graph, (), range(len(graph.output)), trip_count)


def _loop(node: NodeProto, inputs: Given, version: int) -> Iterator[BodyPlan]:
    """A Loop: its body takes the iteration's number, the condition and what is carried on."""
    (name, graph), *_ = subgraphs(node)
    trip_count, unknown_reason = _loop_trip_count([*inputs, None, None])
    given = (None, None, *inputs[2:])
    yield BodyPlan(name, graph, given, range(1, len(graph.output)), trip_count, unknown_reason)


def _loop_trip_count(inputs: Given) -> tuple[int | None, str]:
    """0 where it does not run, else why its count is not known here: a walk through its body may find it."""
    limit, start = inputs[0], inputs[1]
    going = True if start is None else _constant(start)
    if going is not None and not going:
        return 0, ""
    if limit is None:
        return None, "its condition decides when it ends"
    count = _constant(limit)
    if count is None:
        return None, f"its trip count {limit.name!r} is computed at run time"
    return (0, "") if count <= 0 else (None, f"it may end before its limit of {count}")


def _scan(node: NodeProto, inputs: Given, version: int) -> Iterator[BodyPlan]:
    """A Scan: its body takes the states and one slice of each scanned input, as often as there are slices."""
    (name, graph), *_ = subgraphs(node)
    numbers = {attribute.name: attribute for attribute in node.attribute}
    batch_axes: tuple[int, ...] = ()
    if version < 9:  # inputs are batched, and their lengths come first
        inputs, batch_axes = inputs[1:], (0,)
    states = inputs[: len(inputs) - numbers["num_scan_inputs"].i]
    scanned = inputs[len(states) :]
    axes: Sequence[int] = [len(batch_axes)] * len(scanned)
    if version >= 9 and "scan_input_axes" in numbers:
        axes = numbers["scan_input_axes"].ints
    trip_count, unknown_reason = _scan_trip_count(scanned, axes, batched=version < 9)
    given = (
        *(_without(value, batch_axes) for value in states),
        *(_without(value, (*batch_axes, axis)) for value, axis in zip(scanned, axes, strict=True)),
    )
    yield BodyPlan(name, graph, given, range(len(graph.output)), trip_count, unknown_reason)


def _without(value: ValueView | None, axes: Sequence[int]) -> ValueView | None:
    """A slice of the value: what is left of its shape without those axes."""
    if value is None or value.shape is None:
        return value
    gone = {axis % len(value.shape) for axis in axes}
    return replace(value, shape=tuple(dim for axis, dim in enumerate(value.shape) if axis not in gone))


def _scan_trip_count(scanned: Given, axes: Sequence[int], *, batched: bool) -> tuple[int | None, str]:
    """The length of the scanned axis; of batched inputs, for every sequence."""
    for value, axis in zip(scanned, axes, strict=True):
        if value is not None and value.shape is not None:
            length, batch = value.shape[axis], value.shape[0] if batched else 1
            if isinstance(length, int) and isinstance(batch, int):
                return length * batch, ""
    return None, "the length of what it scans is not known"


def _sequence_map(node: NodeProto, inputs: Given, version: int) -> Iterator[BodyPlan]:
    """A SequenceMap: its body runs for every element, of which a file never says how many there are."""
    (name, graph), *_ = subgraphs(node)
    elements = [None if value is None else replace(value, kind="tensor") for value in inputs]
    unknown_reason = "the length of its sequence is not known"
    yield BodyPlan(name, graph, elements, range(len(graph.output)), None, unknown_reason)


def _constant(value: ValueView | None) -> int | None:
    """The one number that a value holds, where that is known."""
    array = value.read_constant() if value is not None and value.read_constant is not None else None
    return int(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


CONTROL_FLOW: Mapping[tuple[str, str], Callable[[NodeProto, Given, int], Iterator[BodyPlan]]] = {
    ("", "If"): _branches,
    ("", "Loop"): _loop,
    ("", "Scan"): _scan,
    ("", "SequenceMap"): _sequence_map,
}
"""For each operator that runs graphs of its own, how its bodies are read.

From the node, its inputs, and the opset's version, which decides how Scan takes its inputs.
"""
