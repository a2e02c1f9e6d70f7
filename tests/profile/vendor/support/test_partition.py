"""Islands and the heaviest piece against every subset of small random graphs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from random import Random

import pytest

from onnxlens.profile.vendor.support.partition import heaviest_piece, islands_of

Edges = dict[tuple[int, int], int]


class Oracle:
    """Asks every question of a graph by walking all of it."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.count = random.randint(1, 8)
        dense = random.random() * 0.7
        pairs = combinations(range(self.count), 2)
        self.edges: Edges = {pair: random.randint(1, 9) for pair in pairs if random.random() < dense}
        self.accepted = [random.random() < 0.65 for _ in range(self.count)]
        self.weights = [random.choice((0, 1, 2, 5, 9)) for _ in range(self.count)]

    def below(self, node: int) -> set[int]:
        found: set[int] = set()
        for source, target in self.edges:
            if source == node:
                found |= {target} | self.below(target)
        return found

    def is_convex(self, piece: Iterable[int]) -> bool:
        inside = set(piece)
        return not any(
            self.below(outside) & inside for node in inside for outside in self.below(node) - inside
        )

    def is_ordered(self, pieces: Sequence[Sequence[int]]) -> bool:
        """Whether the pieces, and all other nodes, can run one after another."""
        home = list(range(self.count))
        for piece in pieces:
            for node in piece:
                home[node] = piece[0]
        waiting = {(home[source], home[target]) for source, target in self.edges} - {
            (each, each) for each in home
        }
        left = set(home)
        while left:
            free = {each for each in left if not any(target == each for _, target in waiting)}
            if not free:
                return False
            left -= free
            waiting = {pair for pair in waiting if pair[0] not in free}
        return True

    def touch(self, one: Sequence[int], other: Sequence[int]) -> bool:
        return any((a, b) in self.edges or (b, a) in self.edges for a in one for b in other)

    def heaviest(self) -> int:
        taken = [node for node in range(self.count) if self.accepted[node]]
        subsets = (each for size in range(len(taken) + 1) for each in combinations(taken, size))
        return max(sum(self.weights[node] for node in each) for each in subsets if self.is_convex(each))


@pytest.mark.parametrize("seed", range(150))
def test_islands_are_convex_run_in_an_order_and_cannot_be_joined(seed: int) -> None:
    graph = Oracle(seed)
    islands = islands_of(graph.accepted, graph.edges)
    covered = sorted(node for island in islands for node in island)
    assert covered == [node for node in range(graph.count) if graph.accepted[node]]
    assert all(graph.is_convex(island) for island in islands)
    assert graph.is_ordered(islands)
    for one, other in combinations(islands, 2):
        if graph.touch(one, other):
            rest = [island for island in islands if island not in (one, other)]
            assert not graph.is_ordered([*rest, sorted([*one, *other])])


@pytest.mark.parametrize("seed", range(150))
def test_no_convex_set_is_heavier(seed: int) -> None:
    graph = Oracle(seed)
    piece = heaviest_piece(graph.accepted, graph.edges, graph.weights)
    assert graph.is_convex(piece) and all(graph.accepted[node] for node in piece)
    assert sum(graph.weights[node] for node in piece) == graph.heaviest()


def test_a_late_branch_is_joined_to_what_it_follows() -> None:
    # 0 -> 1 (refused) -> 2 -> 5 and 3 -> 4 -> 5: what does not wait for 1 is one island with what does
    edges = {(0, 1): 1, (1, 2): 1, (2, 5): 1, (3, 4): 1, (4, 5): 1}
    assert islands_of([True, False, True, True, True, True], edges) == [[0], [2, 3, 4, 5]]


def test_a_graph_of_many_nodes_takes_no_recursion() -> None:
    count = 3000
    edges = {(node, node + 1): 1 for node in range(count - 1)}
    accepted = [node % 3 != 2 for node in range(count)]
    assert len(islands_of(accepted, edges)) == count // 3
    assert len(heaviest_piece(accepted, edges, [1] * count)) == 2
