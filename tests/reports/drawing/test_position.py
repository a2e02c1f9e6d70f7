"""Levels in ranks: few crossings, straight lines, no overlaps."""

from __future__ import annotations

import random
from graphlib import CycleError
from itertools import pairwise

import pytest

from onnxlens.reports.drawing.clusters import Cluster, in_segments, page_of
from onnxlens.reports.drawing.composition import HEAD, arrow_curve, line_curve, skip_curve
from onnxlens.reports.drawing.position import Placed, _crossings, order_cells, place_level
from onnxlens.reports.drawing.ranks import RANK_WIDTH, Item, Link, Spot, level_of
from onnxlens.specs.flow import FlowNode

WIDE, HIGH = 100.0, 40.0


def positioned(arrows: str, label: tuple[float, float] | None = None, straight: int = 1) -> Placed:
    """Items of one size, as many as the arrows name; lines from the middle of the one's lower edge."""
    pairs = [tuple(map(int, arrow.split(">"))) for arrow in arrows.split()]
    count = max(map(max, pairs)) + 1
    links = [
        Link(f"{one}>{other}", Spot(one, WIDE / 2, HIGH), Spot(other, WIDE / 2, 0), label, index, straight)
        for index, (one, other) in enumerate(pairs)
    ]
    return place_level([Item(WIDE, HIGH)] * count, links)


def test_a_chain_is_a_straight_column() -> None:
    level = positioned("0>1 1>2")
    assert len({x for x, _ in level.items}) == 1
    assert [y for _, y in level.items] == sorted(y for _, y in level.items)
    assert {x for path in level.paths.values() for x, _ in path} == {level.items[0][0] + WIDE / 2}


def test_a_line_past_a_rank_avoids_the_boxes_in_it() -> None:
    level = positioned("0>1 1>2 0>2")
    (x, y) = level.items[1]
    passing = [px for px, py in level.paths["0>2"] if y <= py <= y + HIGH]
    assert passing
    assert all(px > x + WIDE or px < x for px in passing)


def test_lines_that_need_not_cross_do_not() -> None:
    items = [Item(WIDE, HIGH)] * 4
    links = [
        Link(key, Spot(one, 50, HIGH), Spot(other, 50, 0)) for key, one, other in (("a", 0, 3), ("b", 1, 2))
    ]
    level = level_of(items, links)
    assert _crossings(level) == 1
    order_cells(level)
    assert _crossings(level) == 0


@pytest.mark.parametrize("seed", range(20))
def test_ordering_never_makes_it_worse(seed: int) -> None:
    chance = random.Random(seed)
    links = [
        Link(f"{index}", Spot(chance.randrange(0, 6), 50, HIGH), Spot(chance.randrange(6, 12), 50, 0))
        for index in range(12)
    ]
    level = level_of([Item(WIDE, HIGH)] * 12, links)
    before = _crossings(level)
    cells = {cell for rank in level.ranks for cell in rank}
    order_cells(level)
    assert _crossings(level) <= before
    assert {cell for rank in level.ranks for cell in rank} == cells


def test_the_line_worth_most_is_the_straight_one() -> None:
    for heavy in ("0>1", "0>2"):
        pairs = (("0>1", 1), ("0>2", 2))
        links = [
            Link(key, Spot(0, 50, HIGH), Spot(target, 50, 0), None, target, 100 if key == heavy else 1)
            for key, target in pairs
        ]
        level = place_level([Item(WIDE, HIGH)] * 3, links)
        assert len({x for x, _ in level.paths[heavy]}) == 1


def test_a_label_is_at_its_line_and_between_the_boxes() -> None:
    level = positioned("0>1", label=(60, 17))
    x, y = level.labels["0>1"]
    assert x == level.items[0][0] + WIDE / 2
    assert level.items[0][1] + HIGH < y and y + 17 < level.items[1][1]


def test_a_rank_that_is_too_wide_takes_several_rows() -> None:
    count = int(3 * RANK_WIDTH / WIDE)
    level = place_level([Item(WIDE, HIGH)] * count, [])
    assert level.width <= RANK_WIDTH + WIDE
    assert len({y for _, y in level.items}) == 4  # the gaps between the items need a fourth


def test_a_cycle_cannot_be_positioned() -> None:
    with pytest.raises(CycleError):
        positioned("0>1 1>0")


def test_a_module_that_is_left_and_entered_again_has_a_cluster_for_each_segment() -> None:
    def box(order: int, module: str) -> FlowNode:
        return FlowNode(f"n{order}", "module", f"{module}.{order}", "Net", ((module, "Net"),), order)

    def segments(page: Cluster) -> list[list[int]]:
        clusters = [child for child in page.children if isinstance(child, Cluster)]
        return [[node.order for node in cluster.members()] for cluster in clusters]

    page = page_of([box(1, "a"), box(2, "b"), box(3, "a")])
    assert segments(page) == [[1, 3], [2]]
    assert segments(in_segments(page)) == [[1], [2], [3]]


def numbers(curve: str) -> list[tuple[float, float]]:
    """The points of a curve, an arrow's tip first."""
    return [tuple(map(float, pair.split(","))) for pair in curve.removeprefix("e,").split()]  # type: ignore[misc]


def test_a_line_ends_in_an_arrow_of_its_length() -> None:
    tip, *points = numbers(line_curve([(5, 10), (5, 20), (5, 50)]))
    assert tip == (5, -50)
    assert points[0] == (5, -10)
    assert points[-1] == (5, -50 + HEAD)
    assert len(points) == 4  # the corner in the middle of a straight line is left out


def test_a_line_that_changes_its_position_stays_between_the_two() -> None:
    _, *points = numbers(line_curve([(5, 0), (5, 10), (40, 30), (40, 60)]))
    assert len(points) == 1 + 3 * 3
    assert all(5 <= x <= 40 for x, _ in points)
    assert all(upper >= lower for (_, upper), (_, lower) in pairwise(points))  # y grows upwards there


def test_a_skip_connection_leaves_and_reaches_its_port_labels_from_the_side() -> None:
    points = numbers(skip_curve((100, 10), [(112, 10), (112, 90)], (95, 90)))
    assert points[0] == (100, -10) and points[-1] == (95, -90)
    assert max(x for x, _ in points) == 112
    assert not skip_curve((100, 10), [(112, 10), (112, 90)], (95, 90)).startswith("e,")


@pytest.mark.parametrize(("to_x", "base"), [(30, 30 - HEAD), (-30, -30 + HEAD)])
def test_an_arrow_of_a_port_label_points_where_it_goes(to_x: float, base: float) -> None:
    tip, *points = numbers(arrow_curve(0, 7, to_x))
    assert tip == (to_x, -7)
    assert points[-1] == (base, -7)
