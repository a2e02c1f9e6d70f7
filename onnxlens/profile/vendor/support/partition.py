"""A directed graph without circles, some of whose nodes are accepted, cut into pieces that can run at once.

Nodes are numbers, and every edge goes from a smaller to a larger one. A piece is convex: no path leaves it
and comes back. And the pieces together, each taken as one, have no circle: they can be run one after another.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

Edge = tuple[int, int]


def islands_of(accepted: Sequence[bool], edges: Mapping[Edge, int]) -> Sequence[Sequence[int]]:
    """The accepted nodes as connected convex pieces, of which no two that are joined by an edge can be one.

    First the nodes of one level that are connected: a level rises where a path changes between accepted nodes
    and others, so that a path that has left a piece is above it. Then pieces of different levels are joined
    where no other path leads from one to the other, most weight first.

    Args:
        accepted: by node.
        edges: with their weights, such as bytes.
    """
    level = _levels(accepted, edges)
    home = list(range(len(accepted)))

    def root(node: int) -> int:
        while home[node] != node:
            home[node] = home[home[node]]
            node = home[node]
        return node

    for source, target in edges:
        if accepted[source] and accepted[target] and level[source] == level[target]:
            home[root(source)] = root(target)
    _join(accepted, edges, [root(node) for node in range(len(accepted))], home)
    found: dict[int, list[int]] = defaultdict(list)
    for node, taken in enumerate(accepted):
        if taken:
            found[root(node)].append(node)
    return sorted(found.values())


def _levels(accepted: Sequence[bool], edges: Iterable[Edge]) -> Sequence[int]:
    """Odd for accepted nodes; along a path they never fall."""
    level = [int(taken) for taken in accepted]
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        level[target] = max(level[target], level[source] + (accepted[source] != accepted[target]))
    return level


def _join(
    accepted: Sequence[bool], edges: Mapping[Edge, int], pieces: Sequence[int], home: list[int]
) -> None:
    """Join pieces in ``home`` by their edges, where that makes no circle."""
    weights: Counter[Edge] = Counter()
    quotient = _Quotient()
    for (source, target), weight in edges.items():
        pair = pieces[source], pieces[target]
        if pair[0] != pair[1]:
            quotient.add(*pair)
            if accepted[source] and accepted[target]:
                weights[pair] += weight
    for pair, _ in sorted(weights.items(), key=lambda item: (-item[1], item[0])):
        source, target = map(quotient.now, pair)
        if source != target and not quotient.detour(source, target):
            quotient.join(source, target)
            home[target] = source


class _Quotient:
    """A graph of pieces, which become fewer."""

    def __init__(self) -> None:
        """Without pieces."""
        self._after: dict[int, set[int]] = defaultdict(set)
        self._before: dict[int, set[int]] = defaultdict(set)
        self._part_of: dict[int, int] = {}

    def add(self, source: int, target: int) -> None:
        """An edge."""
        self._after[source].add(target)
        self._before[target].add(source)

    def now(self, piece: int) -> int:
        """What the piece is part of."""
        while piece in self._part_of:
            piece = self._part_of[piece]
        return piece

    def join(self, source: int, target: int) -> None:
        """Make the target a part of the source."""
        self._part_of[target] = source
        for neighbors, others in ((self._after, self._before), (self._before, self._after)):
            for each in neighbors.pop(target, set()):
                others[each].discard(target)
                if each != source:
                    others[each].add(source)
                    neighbors[source].add(each)

    def detour(self, source: int, target: int) -> bool:
        """Whether another path than their edge leads from one piece to the other."""
        seen = {source}
        waiting = [each for each in self._after[source] if each != target]
        while waiting:
            piece = waiting.pop()
            if piece == target:
                return True
            if piece not in seen:
                seen.add(piece)
                waiting += self._after[piece]
        return False


def heaviest_piece(accepted: Sequence[bool], edges: Iterable[Edge], weights: Sequence[int]) -> Sequence[int]:
    """The convex set of accepted nodes with the largest sum of weights, connected or not.

    Every other node runs before the set or after it, and so do those that it needs, or that need it. A node
    of the set has only the former above it and only the latter below. Which of them are before is the
    cheapest cut of a network: an accepted node costs its weight once if one above it is after, and once if
    one below it is before; both at once cannot be, as what runs before has all above it before.
    """
    count, listed = len(accepted), list(edges)
    network = _Network(2 * count + 2)
    source, sink = 2 * count, 2 * count + 1
    for node, taken in enumerate(accepted):
        if taken and weights[node]:
            network.add(source, node, weights[node])
            network.add(count + node, sink, weights[node])
    for above, below in listed:
        network.add(below, above)
        if accepted[above]:
            network.add(count + below if accepted[below] else below, count + above)
    early = network.source_side(source, sink)
    is_first = [not taken and early[node] for node, taken in enumerate(accepted)]
    above_ok, below_ok = [True] * count, [True] * count
    for above, below in sorted(listed, key=lambda edge: edge[1]):
        above_ok[below] &= above_ok[above] if accepted[above] else is_first[above]
    for above, below in sorted(listed, key=lambda edge: -edge[0]):
        below_ok[above] &= below_ok[below] if accepted[below] else not is_first[below]
    return [node for node, taken in enumerate(accepted) if taken and above_ok[node] and below_ok[node]]


class _Network:
    """A flow network; Dinic's algorithm, without recursion."""

    def __init__(self, size: int) -> None:
        """``size`` nodes, and no edges."""
        self._out: list[list[int]] = [[] for _ in range(size)]
        self._to: list[int] = []
        self._left: list[int | None] = []  # None where there is no limit

    def add(self, source: int, target: int, capacity: int | None = None) -> None:
        """An edge; None for one without a limit."""
        for start, end, left in ((source, target, capacity), (target, source, 0)):
            self._out[start].append(len(self._to))
            self._to.append(end)
            self._left.append(left)

    def source_side(self, source: int, sink: int) -> Sequence[bool]:
        """The nodes on the source's side of the cheapest cut."""
        while True:
            depth = self._depths(source)
            if depth[sink] < 0:
                return [each >= 0 for each in depth]
            following = [0] * len(self._out)
            while self._push(source, sink, depth, following):
                pass

    def _depths(self, source: int) -> list[int]:
        depth = [-1] * len(self._out)
        depth[source] = 0
        waiting = deque([source])
        while waiting:
            node = waiting.popleft()
            for edge in self._out[node]:
                if self._left[edge] != 0 and depth[self._to[edge]] < 0:
                    depth[self._to[edge]] = depth[node] + 1
                    waiting.append(self._to[edge])
        return depth

    def _push(self, source: int, sink: int, depth: Sequence[int], following: list[int]) -> bool:
        """Send as much as goes along one more shortest path; whether there is one."""
        path: list[int] = []
        node = source
        while node != sink:
            out = self._out[node]
            while following[node] < len(out):
                edge = out[following[node]]
                if self._left[edge] != 0 and depth[self._to[edge]] == depth[node] + 1:
                    break
                following[node] += 1
            if following[node] < len(out):
                path.append(out[following[node]])
                node = self._to[path[-1]]
            elif path:
                node = self._to[path.pop() ^ 1]
                following[node] += 1
            else:
                return False
        most = min(left for edge in path if (left := self._left[edge]) is not None)
        for edge in path:
            self._change(edge, -most)
            self._change(edge ^ 1, most)
        return True

    def _change(self, edge: int, by: int) -> None:
        left = self._left[edge]
        if left is not None:
            self._left[edge] = left + by
