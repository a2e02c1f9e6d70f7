"""Vertices of a graph contracted into boxes of one key each, such that the graph of the boxes has no cycle.

Nothing here depends on the order in which a file lists its nodes, only on the graph and on the keys.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush

Adjacency = Sequence[set[int]]
"""For each vertex its successors."""


def contracted(ranks: Sequence[int], successors: Adjacency) -> list[list[int]]:
    """Boxes of vertices of equal rank; no two of one rank could be one without making a cycle.

    If each rank can be one box, it is. The rank of a vertex stands for its key; where one of several keys has
    to be divided, it is that of the lowest rank.

    Args:
        ranks: of each vertex.
        successors: of each vertex; without cycles.

    Returns:
        The vertices of each box, the boxes in an order that respects the edges.
    """
    whole: Mapping[int, list[int]] = defaultdict(list)
    for vertex, rank in enumerate(ranks):
        whole[rank].append(vertex)
    boxes = list(whole.values())
    order = _topological(quotient(boxes, successors))
    if len(order) == len(boxes):  # no cycle
        return [boxes[index] for index in order]
    boxes = list(_Schedule(ranks, successors))
    return _merged(boxes, [ranks[box[0]] for box in boxes], quotient(boxes, successors))


def quotient(boxes: Sequence[Sequence[int]], successors: Adjacency) -> list[set[int]]:
    """The graph of the boxes."""
    box_of = {vertex: index for index, box in enumerate(boxes) for vertex in box}
    following = [{box_of[target] for vertex in box for target in successors[vertex]} for box in boxes]
    for index, targets in enumerate(following):
        targets.discard(index)
    return following


def predecessors_of(successors: Adjacency) -> list[set[int]]:
    """The same edges from their other end."""
    sources: list[set[int]] = [set() for _ in successors]
    for vertex, targets in enumerate(successors):
        for target in targets:
            sources[target].add(vertex)
    return sources


def atoms(keys: Sequence[Hashable], successors: Adjacency) -> list[list[int]]:
    """Vertices of one key that can be one box whatever the others are, for that adds no path between others.

    A vertex goes with its successor if it has no other, then a vertex with its predecessor likewise.

    Args:
        keys: of each vertex.
        successors: of each vertex, all of them later than itself.
    """
    forwards = _joined(keys, successors, range(len(keys) - 1, -1, -1))
    box_keys = [keys[box[0]] for box in forwards]
    following = quotient(forwards, successors)
    order = _topological(following)
    return [
        sorted(vertex for member in box for vertex in forwards[member])
        for box in _joined(box_keys, predecessors_of(following), order)
    ]


def _joined(keys: Sequence[Hashable], neighbors: Adjacency, order: Iterable[int]) -> list[list[int]]:
    """Each vertex with its one neighbor, where that has the same key; neighbors come first in the order."""
    first: dict[int, int] = {}
    for vertex in order:
        found = {first[neighbor] for neighbor in neighbors[vertex]}
        only = found.pop() if len(found) == 1 else vertex
        first[vertex] = only if keys[only] == keys[vertex] else vertex
    boxes: Mapping[int, list[int]] = defaultdict(list)
    for vertex, joined in first.items():
        boxes[joined].append(vertex)
    return list(boxes.values())


def _topological(successors: Adjacency) -> list[int]:
    waiting = [len(sources) for sources in predecessors_of(successors)]
    order = [vertex for vertex, count in enumerate(waiting) if not count]
    for vertex in order:
        for target in successors[vertex]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    return order


class _Queue:
    """Ranks, each once, the lowest first."""

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._members = set[int]()

    def add(self, rank: int) -> None:
        if rank not in self._members:
            self._members.add(rank)
            heappush(self._heap, rank)

    def discard(self, rank: int) -> None:
        self._members.discard(rank)

    def first(self) -> int | None:
        while self._heap and self._heap[0] not in self._members:
            heappop(self._heap)
        return self._heap[0] if self._heap else None


class _Schedule:
    """Runs the vertices rank by rank.

    A vertex is runnable if only vertices of its own rank have to run before it. First come ranks of which all
    that is left is runnable, then those that alone hold up a vertex of another rank, then those that do with
    others.
    """

    def __init__(self, ranks: Sequence[int], successors: Adjacency) -> None:
        self._ranks, self._successors = ranks, successors
        self._waiting = [len(sources) for sources in predecessors_of(successors)]
        self._left = Counter(ranks)
        self._runnable: dict[int, list[int]] = defaultdict(list)
        self._held_up: dict[int, Counter[int]] = defaultdict(Counter)  # by vertex, how much of each rank
        self._queues = self._whole, self._alone, self._jointly = _Queue(), _Queue(), _Queue()
        for vertex in [vertex for vertex, count in enumerate(self._waiting) if not count]:
            self._ready(vertex)

    def __iter__(self) -> Iterator[list[int]]:
        """The vertices of each box, until all have run."""
        while True:
            rank = next((rank for queue in self._queues if (rank := queue.first()) is not None), None)
            if rank is None:
                return
            yield self._run(rank)

    def _ready(self, vertex: int) -> None:
        """The vertex is runnable, and with it what waits for nothing else."""
        rank, ready = self._ranks[vertex], [vertex]
        while ready:
            vertex = ready.pop()
            self._runnable[rank].append(vertex)
            for target in self._successors[vertex]:
                if self._ranks[target] == rank:
                    self._waiting[target] -= 1
                    if not self._waiting[target]:
                        ready.append(target)
                    self._weigh(target)
                else:
                    self._held_up[target][rank] += 1
                    self._jointly.add(rank)
                    self._weigh(target)
        if len(self._runnable[rank]) == self._left[rank]:
            self._whole.add(rank)

    def _weigh(self, vertex: int) -> None:
        """Note the rank that alone holds the vertex up."""
        if len(held_up := self._held_up[vertex]) == 1:
            rank, count = next(iter(held_up.items()))
            if count == self._waiting[vertex]:
                self._alone.add(rank)

    def _run(self, rank: int) -> list[int]:
        """All of the rank that is runnable."""
        for queue in self._queues:
            queue.discard(rank)
        ran = self._runnable.pop(rank)
        self._left[rank] -= len(ran)
        read = [
            target for vertex in ran for target in self._successors[vertex] if self._ranks[target] != rank
        ]
        for target in read:
            self._waiting[target] -= 1
            self._held_up[target].pop(rank, None)
        released = [target for target in dict.fromkeys(read) if not self._waiting[target]]
        for target in read:
            self._weigh(target)
        for target in released:
            self._ready(target)
        return ran


def _merged(boxes: list[list[int]], ranks: Sequence[int], successors: list[set[int]]) -> list[list[int]]:
    """The boxes with every two of one rank merged that no path through another box links."""
    of_rank: dict[int, list[int]] = defaultdict(list)
    for index, rank in enumerate(ranks):
        of_rank[rank].append(index)
    several = [members for members in of_rank.values() if len(members) > 1]
    if not several:
        return boxes
    merging = _Merging(successors, several)
    into: dict[int, int] = {}
    for members in several:
        for box in members:
            if box not in into:
                into.update((other, box) for other in merging.merge(box))
    for other, box in into.items():
        boxes[box] += boxes[other]
    kept = [index for index in range(len(boxes)) if index not in into]
    box_of = {index: into.get(index, index) for index in range(len(boxes))}
    number = {index: position for position, index in enumerate(kept)}
    following = [{number[box_of[target]] for target in merging.successors[index]} for index in kept]
    return [boxes[kept[position]] for position in _topological(following)]


class _Merging:
    """Which boxes can still be merged: what each box reaches, as bits of the boxes that may be."""

    def __init__(self, successors: list[set[int]], several: Sequence[Sequence[int]]) -> None:
        """Boxes are numbered in an order that respects the edges; several have the boxes of each rank."""
        self.successors = successors
        self._predecessors = predecessors_of(successors)
        self._boxes = [box for members in several for box in members]
        self._bits = defaultdict(int, {box: 1 << bit for bit, box in enumerate(self._boxes)})
        self._later: dict[int, int] = {}
        for members in several:
            later = 0
            for box in reversed(members):
                self._later[box] = later
                later |= self._bits[box]
        self._reached = [0] * len(successors)
        for box in range(len(successors) - 1, -1, -1):
            for target in successors[box]:
                self._reached[box] |= self._reached[target] | self._bits[target]
        self._gone = 0

    def merge(self, box: int) -> Iterator[int]:
        """Merge into the box every later one of its rank with which that makes no cycle."""
        tried = 0
        while left := self._later[box] & ~(self._beyond(box) | self._gone | tried):
            tried |= (bit := left & -left)
            other = self._boxes[bit.bit_length() - 1]
            if not self._beyond(other) & self._bits[box]:
                self._gone |= bit
                self._merge(box, other)
                yield other
                tried = 0  # what came between was the other itself

    def _merge(self, box: int, other: int) -> None:
        for target in self.successors[other]:
            self._predecessors[target].discard(other)
            self._predecessors[target].add(box)
        for source in self._predecessors[other]:
            self.successors[source].discard(other)
            self.successors[source].add(box)
        self.successors[box] = (self.successors[box] | self.successors[other]) - {box, other}
        self._predecessors[box] = (self._predecessors[box] | self._predecessors[other]) - {box, other}
        self._bits[box] |= self._bits[other]
        self._reached[box] = (self._reached[box] | self._reached[other]) & ~self._bits[box]
        self._spread(box)

    def _beyond(self, box: int) -> int:
        """What a path through another box leads to."""
        beyond = 0
        for target in self.successors[box]:
            beyond |= self._reached[target]
        return beyond

    def _spread(self, box: int) -> None:
        """Tell all that lead to the box what it reaches now."""
        stack = [box]
        while stack:
            box = stack.pop()
            reached = self._reached[box] | self._bits[box]
            for source in self._predecessors[box]:
                if self._reached[source] | reached != self._reached[source]:
                    self._reached[source] |= reached
                    stack.append(source)


def numbered(
    successors: Adjacency, levels: Sequence[Sequence[Hashable]], first: Sequence[int]
) -> Iterator[int]:
    """The boxes in an order of execution that leaves a level only when nothing in it can run.

    Args:
        successors: of each box.
        levels: what contains each box, outermost first.
        first: among what can run, the lowest of these runs first.
    """
    waiting = [len(sources) for sources in predecessors_of(successors)]
    ready: dict[tuple[Hashable, ...], list[tuple[int, int]]] = defaultdict(list)
    done = set[int]()

    def add(box: int) -> None:
        for length in range(len(levels[box]) + 1):
            heappush(ready[tuple(levels[box][:length])], (first[box], box))

    for box, count in enumerate(waiting):
        if not count:
            add(box)
    around: tuple[Hashable, ...] = ()
    while len(done) < len(successors):
        waits = ready[around]
        while waits and waits[0][1] in done:
            heappop(waits)
        if not waits:
            around = around[:-1]
            continue
        box = heappop(waits)[1]
        done.add(box)
        yield box
        around = tuple(levels[box])
        for target in successors[box]:
            waiting[target] -= 1
            if not waiting[target]:
                add(target)
