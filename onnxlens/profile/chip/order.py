"""Other orders in which a graph's nodes may run, as candidates for a lower peak of activation memory.

The nodes of the bodies inside a node stay before it: it and they are one unit, which moves as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

from onnxlens.errors import GraphError
from onnxlens.profile.count.liveness import Activations
from onnxlens.profile.graph.graph import Graph

MOST_TRIALS, MOST_STEPS = 200, 400_000
"""How many orders the local search tries at most, and how many steps these have together."""


@dataclass(eq=False, slots=True)
class _Tensor:
    """What takes memory from the unit that produces it (-1: it comes in) to the last other that reads it."""

    size_bytes: int
    producer: int
    kept: bool
    readers: list[int] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class _Unit:
    """Nodes that stay together, by their indices; the units that they need, and those that need them."""

    nodes: list[int] = field(default_factory=list)
    before: set[int] = field(default_factory=set)
    after: set[int] = field(default_factory=set)
    reads: list[_Tensor] = field(default_factory=list)
    writes: list[_Tensor] = field(default_factory=list)


@dataclass(slots=True)
class _Problem:
    """Units in the file's order, and all tensors that wait between them."""

    units: list[_Unit]
    tensors: list[_Tensor]
    unmoved: list[int]

    def nodes(self, order: Sequence[int]) -> Sequence[int]:
        """The indices of the nodes: first those that depend on no input, then the units in that order."""
        return [*self.unmoved, *(index for unit in order for index in self.units[unit].nodes)]

    def levels(self, order: Sequence[int]) -> Sequence[int]:
        """The bytes alive at each step; what is alive only inside a unit is left out."""
        position = {unit: step for step, unit in enumerate(order)}
        changes = [0] * (len(order) + 1)
        for tensor in self.tensors:
            made = position.get(tensor.producer, 0)
            changes[made] += tensor.size_bytes
            if not tensor.kept:
                last = max([position[unit] for unit in tensor.readers], default=made)
                changes[last + 1] -= tensor.size_bytes
        levels, alive = [], 0
        for change in changes[:-1]:
            alive += change
            levels.append(alive)
        return levels


def orders_of(graph: Graph, found: Activations) -> Iterator[tuple[str, Sequence[int]]]:
    """Orders of all nodes by their indices, each with the name of the search; the same ones each time.

    greedy: of what can run, that which adds least to what is alive. depth-first: what a node needs, the
    branch that needs most memory first (Sethi and Ullman 1970). local: the best of these and the file's,
    with nodes that are not needed yet at its peak moved down, and last readers moved up, while that helps.

    Args:
        graph: in the file's order.
        found: its activations in that order.
    """
    problem = _problem(graph, found)
    orders = [list(range(len(problem.units))), _greedy(problem), _depth_first(problem)]
    yield "greedy", problem.nodes(orders[1])
    yield "depth-first", problem.nodes(orders[2])
    best = min(orders, key=lambda order: max(problem.levels(order), default=0))
    yield "local", problem.nodes(_local(problem, best))


def reordered(graph: Graph, order: Sequence[int], idle: Collection[int]) -> tuple[Graph, Collection[int]]:
    """The graph with its nodes in another order, and the nodes that do not run by their new indices.

    Raises:
        GraphError: a node would run before one that it needs.
    """
    position = {index: step for step, index in enumerate(order)}
    for index, node in enumerate(graph.nodes):
        for value in node.reads:
            producer = graph.producer(value.name)
            if producer is not None and position[producer] > position[index]:
                raise GraphError(f"{node.view.name} would run before what it reads, {value.name}")
    changed = replace(graph, nodes=tuple(graph.nodes[index] for index in order))
    return changed, frozenset(position[index] for index in idle)


def _problem(graph: Graph, found: Activations) -> _Problem:
    runs_in = {body.key: index for index, node in enumerate(graph.nodes) for body in node.bodies}
    top = [runs_in[node.within[0]] if node.within else index for index, node in enumerate(graph.nodes)]
    unit_at: dict[int, int] = {}
    problem = _Problem([], [], [])
    for index, owner in enumerate(top):
        if graph.nodes[owner].constant_folded:
            problem.unmoved.append(index)
            continue
        if owner not in unit_at:
            unit_at[owner] = len(problem.units)
            problem.units.append(_Unit())
        problem.units[unit_at[owner]].nodes.append(index)
    tensors = {}
    for held in (held for own in found.buffers for held in own):
        producer = -1 if held.start < 0 else unit_at[top[held.start]]
        tensors[held.spec.name] = tensor = _Tensor(held.size_bytes or 0, producer, held.last is None)
        problem.tensors.append(tensor)
        if producer >= 0:
            problem.units[producer].writes.append(tensor)
    _link(graph, found, problem, {index: unit_at.get(owner, -1) for index, owner in enumerate(top)}, tensors)
    return problem


def _link(
    graph: Graph,
    found: Activations,
    problem: _Problem,
    unit_of: Mapping[int, int],
    tensors: Mapping[str, _Tensor],
) -> None:
    """Add which unit reads which tensors, views of them included, and which unit needs which others."""
    for number, unit in enumerate(problem.units):
        reads: dict[_Tensor, None] = {}
        for value in (value for index in unit.nodes for value in graph.nodes[index].reads):
            producer = graph.producer(value.name)
            if producer is not None and unit_of[producer] not in (number, -1):
                unit.before.add(unit_of[producer])
            reads |= {tensors[name]: None for name in found.memory_of(value.name) if name in tensors}
        unit.reads = [each for each in reads if each.producer != number]
        for tensor in unit.reads:
            tensor.readers.append(number)
        for other in unit.before:
            problem.units[other].after.add(number)


def _greedy(problem: _Problem) -> list[int]:
    """Of what can run the unit that adds least to what is alive, else the first in the file."""
    waiting = [len(unit.before) for unit in problem.units]
    unread = {tensor: len(tensor.readers) for tensor in problem.tensors}
    added = [
        sum(tensor.size_bytes for tensor in unit.writes if tensor.kept or tensor.readers)
        - sum(tensor.size_bytes for tensor in unit.reads if not tensor.kept and unread[tensor] == 1)
        for number, unit in enumerate(problem.units)
    ]
    ready = [(added[number], number) for number, count in enumerate(waiting) if not count]
    ready.sort()
    order, done = [], set()
    while ready:
        bytes_added, number = heappop(ready)
        if number in done or bytes_added != added[number]:
            continue  # what it adds has changed since, and it is there once more
        done.add(number)
        order.append(number)
        for tensor in problem.units[number].reads:
            unread[tensor] -= 1
            if unread[tensor] == 1 and not tensor.kept:
                last = next(reader for reader in tensor.readers if reader not in done)
                added[last] -= tensor.size_bytes
                if not waiting[last]:
                    heappush(ready, (added[last], last))
        for other in problem.units[number].after:
            waiting[other] -= 1
            if not waiting[other]:
                heappush(ready, (added[other], other))
    return order


def _depth_first(problem: _Problem) -> list[int]:
    """What a unit needs right before it, that first which needs most beyond what it leaves."""
    units = problem.units
    leaves = [sum(tensor.size_bytes for tensor in unit.writes) for unit in units]
    excess: list[int] = []
    needs: list[list[int]] = []
    for number, unit in enumerate(units):
        needs.append(sorted(unit.before, key=lambda other: (-excess[other], other)))
        alive = most = 0
        for other in needs[number]:
            most = max(most, alive + excess[other] + leaves[other])
            alive += leaves[other]
        excess.append(max(most, alive + leaves[number]) - leaves[number])
    ends = [number for number, unit in enumerate(units) if not unit.after]
    stack = sorted(ends, key=lambda number: (excess[number], -number))
    order: dict[int, None] = {}
    while stack:
        missing = [other for other in needs[stack[-1]] if other not in order]
        if missing:
            stack += missing[::-1]
        else:
            order[stack.pop()] = None
    return list(order)


def _local(problem: _Problem, order: list[int]) -> list[int]:
    """The order with single units moved while that lowers the peak, or makes it rarer."""
    levels = problem.levels(order)
    best = max(levels, default=0), levels.count(max(levels, default=0))
    trials = min(MOST_TRIALS, MOST_STEPS // max(len(order), 1))
    while trials > 0:
        at = levels.index(best[0]) if levels else 0
        for moved in _moves(problem, order, at):
            trials -= 1
            changed = problem.levels(moved)
            score = max(changed), changed.count(max(changed))
            if score < best:
                order, levels, best = moved, changed, score
                break
            if trials <= 0:
                return order
        else:
            return order
    return order


def _moves(problem: _Problem, order: list[int], at: int) -> Iterator[list[int]]:
    """The order with one unit moved across the step ``at``: what is made too early, or freed too late."""
    position = {unit: step for step, unit in enumerate(order)}
    for step, number in enumerate(order[: at + 1]):
        until = min((position[other] for other in problem.units[number].after), default=len(order)) - 1
        if until > at and problem.units[number].writes:
            yield [*order[:step], *order[step + 1 : until + 1], number, *order[until + 1 :]]
    for step in range(at + 1, len(order)):
        number = order[step]
        since = max((position[other] for other in problem.units[number].before), default=-1) + 1
        if since <= at and problem.units[number].reads:
            yield [*order[:since], number, *order[since:step], *order[step + 1 :]]
