"""The memory plan of a graph: activations over an order of execution, in-place reuse, offsets in an arena."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from onnxlens.profile.chip.arena import Arena, Buffer, alive_bytes, plan_arena
from onnxlens.profile.chip.order import orders_of, reordered
from onnxlens.profile.count.liveness import Activations, Held
from onnxlens.profile.count.rules import NodeView
from onnxlens.profile.count.rules.elementwise import PER_ELEMENT
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NotCountable, ValueView
from onnxlens.specs.memory import MemoryPlan, NodePlace, PlannedTensor

IN_PLACE = frozenset(
    {
        *(("", op_type) for op_type in PER_ELEMENT if op_type != "SwiGLU"),
        *(("", op_type) for op_type in ("Clip", "Gelu", "Sum", "Max", "Min", "Mean", "Cast")),
        *(("com.microsoft", op_type) for op_type in ("Gelu", "FastGelu", "QuickGelu", "BiasGelu")),
        *(("", op_type) for op_type in ("Softmax", "LogSoftmax")),
    }
)
"""Operators whose output may be written over an input of the same size: its elements depend on those at their
own position alone. Softmax needs its own row, which it may overwrite pass by pass."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a memory plan allows.

    Attributes:
        in_place: an output of ``IN_PLACE`` takes the memory of an input that is needed no more.
        better_order: nodes run in another order where one is found that lowers the peak.
        stored_as: the dtype in which floats are held; "" for the file's.
        alignment_bytes: offsets in the arena are multiples of it.
    """

    in_place: bool = False
    better_order: bool = False
    stored_as: str = ""
    alignment_bytes: int = 1


def plan_memory(graph: Graph, idle: Collection[int], request: PlanRequest) -> MemoryPlan:
    """The plan of a graph; ``idle`` are the nodes in branches that are not taken.

    Raises:
        UsageError: the activations take more than an arena can.
    """
    file_order = activations(graph, idle, request)
    file_peak_bytes = max(file_order.levels(), default=0)
    found, order = file_order, "file"
    if request.better_order:
        graph, found, order = _better(graph, idle, request, file_order)
    return _plan(graph, found, request, order, file_peak_bytes)


def activations(graph: Graph, idle: Collection[int], request: PlanRequest) -> Activations:
    """What is alive when, with in-place reuse if the request allows it."""
    found = Activations(graph, idle, request.stored_as)
    if request.in_place:
        found.buffers = _reused(graph, found)
    return found


def _better(
    graph: Graph, idle: Collection[int], request: PlanRequest, file_order: Activations
) -> tuple[Graph, Activations, str]:
    """The graph in the order with the lowest peak, the file's own if no other is lower, and its name."""
    best, name = (graph, file_order), "file"
    least = max(file_order.levels(), default=0)
    for other, order in orders_of(graph, file_order):
        changed, unused = reordered(graph, order, idle)
        found = activations(changed, unused, request)
        peak_bytes = max(found.levels(), default=0)
        if peak_bytes < least:
            best, name, least = (changed, found), other, peak_bytes
    return *best, name


def _reused(graph: Graph, found: Activations) -> Sequence[Sequence[Held]]:
    """The activations; together those that are in one memory, each in the place of the one before."""
    chains: dict[str, list[Held]] = {own[0].spec.name: [*own] for own in found.buffers}
    whole: dict[str, list[Held]] = dict(chains)
    for index in found.steps:
        node = graph.nodes[index]
        output = node.view.outputs[0] if node.view.outputs else None
        if output is None or output.name not in chains or not _is_elementwise(node.view):
            continue
        held = chains[output.name]
        ending = [chains[name] for name in _sources(found, node.view, output) if name in chains]
        free = [own for own in ending if _is_free(own[-1], index, held[0])]
        if free:
            taken = free[0]
            taken += held
            chains[output.name] = taken
            del whole[output.name]
    return list(whole.values())


def _is_elementwise(node: NodeView) -> bool:
    return (node.domain, node.op_type) in IN_PLACE


def _sources(found: Activations, node: NodeView, output: ValueView) -> Sequence[str]:
    """The memory of each input that has as many elements as the output."""
    return [
        held
        for value in node.inputs
        if value is not None and not value.is_weight and _elements(value) == _elements(output) is not None
        for held in (found.memory_of(value.name) if len(found.memory_of(value.name)) == 1 else ())
    ]


def _elements(value: ValueView) -> int | None:
    try:
        return value.elements
    except NotCountable:
        return None


def _is_free(source: Held, index: int, output: Held) -> bool:
    """Whether the node at ``index`` is the last to need it, it is no input, and the output fits it."""
    return source.last == index and source.start >= 0 and source.size_bytes == output.size_bytes is not None


def _plan(
    graph: Graph, found: Activations, request: PlanRequest, order: str, file_peak_bytes: int
) -> MemoryPlan:
    step_of = {index: step for step, index in enumerate(found.steps)}
    end = max(len(found.steps) - 1, 0)

    def steps(held: Held) -> tuple[int, int]:
        return step_of.get(held.start, 0), end if held.last is None else step_of[held.last]

    sized = [own for own in found.buffers if own[0].size_bytes is not None]
    buffers = [Buffer(own[0].size_bytes or 0, steps(own[0])[0], steps(own[-1])[1]) for own in sized]
    arena = plan_arena(buffers, request.alignment_bytes)
    levels = found.levels()
    return MemoryPlan(
        peak=found.peak(),
        steps=tuple(NodePlace(graph.nodes[index].view.name, graph.module_of(index)) for index in found.steps),
        levels_bytes=tuple(levels[index] for index in found.steps),
        file_peak_bytes=file_peak_bytes,
        in_place=request.in_place,
        order=order,
        searched=request.better_order,
        arena_bytes=arena.size_bytes,
        alive_bytes=alive_bytes(buffers),
        alignment_bytes=request.alignment_bytes,
        heuristic=arena.heuristic,
        unsized=len(found.buffers) - len(sized),
        tensors=tuple(_tensors(found, sized, arena, steps)),
    )


def _tensors(
    found: Activations,
    sized: Sequence[Sequence[Held]],
    arena: Arena,
    steps: Callable[[Held], tuple[int, int]],
) -> Iterator[PlannedTensor]:
    """Every activation of known size in the order of the steps at which they come."""
    planned = [
        PlannedTensor(found.live(held), offset, buffer, *steps(held))
        for buffer, (own, offset) in enumerate(zip(sized, arena.offsets, strict=True))
        for held in own
    ]
    yield from sorted(planned, key=lambda each: each.first_step)
