"""What an engine runs without a pause, a module, operators between modules or a node; what waits for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnxlens.profile.flow.collapse import collapsed_with_parts
from onnxlens.profile.flow.contract import numbered, predecessors_of
from onnxlens.profile.flow.deepest import DeepestFlow
from onnxlens.profile.flow.frames import read_sources
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.schedule import Rows


@dataclass(frozen=True, slots=True)
class NodesOfTask:
    """Nodes, by their indices, that are one task, and the tasks that it waits for."""

    path: str
    title: str
    nodes: tuple[int, ...]
    after: tuple[int, ...] = ()


def tasks_of(graph: Graph, deepest: DeepestFlow, by: Rows, depth: int | None) -> Sequence[NodesOfTask]:
    """The tasks, each after those that it waits for, and otherwise in the order of the file.

    An If, Loop or Scan is one task with all that runs inside it.

    Args:
        graph: whose nodes.
        deepest: its flow.
        by: whether a task is a module (or the operators that a module runs between its children), or a node.
        depth: the level of modules; None for the innermost.
    """
    named = list(_nodes(deepest)) if by == "node" else list(_boxes(deepest, depth))
    merged = _with_bodies(graph, named)
    task_of = {index: number for number, task in enumerate(merged) for index in task.nodes}
    waits: list[set[int]] = [set() for _ in merged]
    for index, values in read_sources(graph).items():
        for value in values:
            producer = graph.producer(value.name)
            source = None if producer is None else task_of.get(producer)
            if source is not None and source != task_of[index]:
                waits[task_of[index]].add(source)
    return _in_order(merged, waits)


def _boxes(deepest: DeepestFlow, depth: int | None) -> Sequence[NodesOfTask]:
    flow, parts = collapsed_with_parts(deepest, deepest.levels if depth is None else depth)
    boxes = [node for node in flow.nodes if node.order]
    indices = (sorted(index for part in parts[box.id] for index in deepest.nodes[part.id]) for box in boxes)
    return [NodesOfTask(box.path, box.title, tuple(nodes)) for box, nodes in zip(boxes, indices, strict=True)]


def _nodes(deepest: DeepestFlow) -> Sequence[NodesOfTask]:
    found = {index: node for nodes in deepest.nodes.values() for index, node in nodes.items()}
    return [
        NodesOfTask(found[index].view.name or found[index].module.path, found[index].view.op_type, (index,))
        for index in sorted(found)
    ]


def _with_bodies(graph: Graph, tasks: Sequence[NodesOfTask]) -> Sequence[NodesOfTask]:
    """The tasks with all that share an If, Loop or Scan, by the outermost one around their nodes, as one."""
    owners = {body.key: index for index, node in enumerate(graph.nodes) for body in node.bodies}
    root = list(range(len(tasks)))
    first: dict[int, int] = {}

    def find(number: int) -> int:
        while root[number] != number:
            number = root[number]
        return number

    for number, task in enumerate(tasks):
        for index in task.nodes:
            node = graph.nodes[index]
            owner = owners[node.within[0]] if node.within else index if node.bodies else None
            if owner is not None:
                one, other = sorted((find(first.setdefault(owner, number)), find(number)))
                root[other] = one
    members: Mapping[int, list[NodesOfTask]] = defaultdict(list)
    for number, task in enumerate(tasks):
        members[find(number)].append(task)
    return [_together(found, first, graph) for found in members.values()]


def _together(tasks: Sequence[NodesOfTask], owners: Mapping[int, int], graph: Graph) -> NodesOfTask:
    """One task, called as the outermost of them, or as the node that all run in."""
    if len(tasks) == 1:
        return tasks[0]
    nodes = sorted(index for task in tasks for index in task.nodes)
    outer = min(tasks, key=lambda task: (task.path.count("."), len(task.path)))
    title = ", ".join(dict.fromkeys(graph.nodes[each].view.op_type for each in nodes if each in owners))
    return NodesOfTask(outer.path, title or outer.title, tuple(nodes))


def _in_order(tasks: Sequence[NodesOfTask], waits: Sequence[set[int]]) -> Sequence[NodesOfTask]:
    """The tasks in an order in which each can run, the earliest of the file first."""
    order = list(numbered(predecessors_of(waits), [()] * len(tasks), [task.nodes[0] for task in tasks]))
    position = {number: place for place, number in enumerate(order)}
    return [
        replace(tasks[number], after=tuple(sorted(position[source] for source in waits[number])))
        for number in order
    ]
