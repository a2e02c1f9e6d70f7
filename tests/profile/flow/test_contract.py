"""Boxes of random graphs: each vertex in one, no cycle, none that could be merged, whatever the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from random import Random

import pytest

from onnxlens.profile.flow.contract import atoms, contracted, numbered, quotient

Edges = Sequence[set[int]]


def boxes_of(keys: Sequence[int], successors: Edges) -> list[list[int]]:
    """As the flow makes them: first what is in one box at every depth, then boxes of that."""
    smallest = atoms(keys, successors)
    boxes = contracted([keys[part[0]] for part in smallest], quotient(smallest, successors))
    return [[vertex for part in box for vertex in smallest[part]] for box in boxes]


def has_cycle(boxes: Sequence[Sequence[int]], successors: Edges) -> bool:
    """By the standard library, which shares nothing with the code under test."""
    box_of = {vertex: number for number, box in enumerate(boxes) for vertex in box}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for vertex, targets in enumerate(successors):
        for target in targets:
            if box_of[vertex] != box_of[target]:
                sorter.add(box_of[target], box_of[vertex])
    try:
        sorter.prepare()
    except CycleError:
        return True
    return False


def random_graphs(seed: int) -> Iterator[tuple[Sequence[int], Edges]]:
    random = Random(seed)
    for _ in range(40):
        count, density = random.randrange(2, 24), random.random() ** 2
        successors = [
            {target for target in range(vertex + 1, count) if random.random() < density}
            for vertex in range(count)
        ]
        yield random.choices(range(random.randrange(1, 7)), k=count), successors


def shuffled(successors: Edges, random: Random) -> list[int]:
    """The vertices in another order that respects the edges."""
    waiting = [sum(vertex in targets for targets in successors) for vertex in range(len(successors))]
    ready, order = [vertex for vertex, count in enumerate(waiting) if not count], []
    while ready:
        vertex = ready.pop(random.randrange(len(ready)))
        order.append(vertex)
        for target in successors[vertex]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return order


@pytest.mark.parametrize("seed", range(6))
def test_boxes_are_acyclic_of_one_key_and_cannot_be_merged(seed: int) -> None:
    for keys, successors in random_graphs(seed):
        boxes = boxes_of(keys, successors)
        assert sorted(vertex for box in boxes for vertex in box) == list(range(len(keys)))
        assert all(len({keys[vertex] for vertex in box}) == 1 for box in boxes)
        assert not has_cycle(boxes, successors)
        assert all(
            number < target
            for number, targets in enumerate(quotient(boxes, successors))
            for target in targets
        )
        for one, other in combinations(boxes, 2):
            if keys[one[0]] == keys[other[0]]:
                rest = [box for box in boxes if box not in (one, other)]
                assert has_cycle([*rest, [*one, *other]], successors)


@pytest.mark.parametrize("seed", range(6))
def test_boxes_do_not_depend_on_the_order_of_the_vertices(seed: int) -> None:
    random = Random(seed)
    for keys, successors in random_graphs(seed):
        order = shuffled(successors, random)
        position = {vertex: place for place, vertex in enumerate(order)}
        moved = [{position[target] for target in successors[vertex]} for vertex in order]
        again = boxes_of([keys[vertex] for vertex in order], moved)
        found = {frozenset(order[place] for place in box) for box in again}
        assert found == {frozenset(box) for box in boxes_of(keys, successors)}


def test_keys_that_can_be_one_box_each_are() -> None:
    """Three chains of key 0, 1 and 2, interleaved as an exporter orders them; the second reads the first."""
    keys = [0, 1, 2] * 30
    successors = [{vertex + 3} if vertex + 3 < 90 else set() for vertex in range(90)]
    successors[87 - 3].add(
        1 + 3 * 29
    )  # the last but one of the first chain is read by the last of the second
    assert len(boxes_of(keys, successors)) == 3


def test_what_lets_another_run_is_divided_and_not_what_need_not_be() -> None:
    """Key 0 runs a, and d after c of key 1; key 2 has e, which nothing waits for, and f after d."""
    keys, successors = [0, 1, 0, 2, 2], [{1}, {2}, {4}, set(), set()]
    assert sorted(map(sorted, boxes_of(keys, successors))) == [[0], [1], [2], [3, 4]]


def test_numbers_stay_in_a_level_while_it_can_run() -> None:
    """Two levels of two boxes, alternating in the file; the second of b reads the first of a."""
    levels = [("a",), ("b",), ("a",), ("b",)]
    assert list(numbered([{3}, set(), set(), set()], levels, [0, 1, 2, 3])) == [0, 2, 1, 3]
    assert list(numbered([set(), {2}, set(), set()], levels, [0, 1, 2, 3])) == [0, 1, 3, 2]


def test_many_boxes_in_a_long_chain_are_soon_done() -> None:
    """6,000 blocks, one after the other, each two vertices of a key of its own and one of a shared key."""
    keys = [rank for block in range(6_000) for rank in (6_000 + block, 6_000 + block, 0)]
    successors = [{vertex + 1} if vertex + 1 < len(keys) else set() for vertex in range(len(keys))]
    assert len(boxes_of(keys, successors)) == 12_000
