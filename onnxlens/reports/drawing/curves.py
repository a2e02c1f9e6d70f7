"""Ways through corners as the curves that Graphviz draws."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from onnxlens.reports.drawing.placing import Point

HEAD = 7.0
"""Length of an arrow's head in points, at the ``arrowsize`` of 0.7."""
TURN = 10.0
"""Points in which a line that leaves a tag turns downwards."""
SAME = 0.01


def line_curve(corners: Sequence[Point]) -> str:
    """From a box straight down, bent where x changes, down to an arrow's head."""
    (x, y) = corners[-1]
    return f"e,{_written(corners[-1])} {_joined(_down([*corners[:-1], (x, y - HEAD)]))}"


def skip_curve(start: Point, corners: Sequence[Point], end: Point) -> str:
    """From the side of one tag down to the side of another, without a head.

    Args:
        start: in the middle of the side of the tag where it begins.
        corners: from beside that tag to beside the other.
        end: in the middle of the other's side.
    """
    (first_x, first_y), (last_x, last_y) = corners[0], corners[-1]
    after, before = (first_x, first_y + TURN), (last_x, last_y - TURN)
    middle = _down([after, *corners[1:-1], before])
    return _joined([start, corners[0], corners[0], *middle, corners[-1], corners[-1], end])


def arrow_curve(x: float, y: float, to_x: float) -> str:
    """Straight from left to right, or back, with a head."""
    base = to_x - HEAD if to_x > x else to_x + HEAD
    return f"e,{_written((to_x, y))} {_joined([(x, y), (x, y), (base, y), (base, y)])}"


def _down(corners: Sequence[Point]) -> Sequence[Point]:
    """Bezier points along corners below each other."""
    kept = _simplified(corners)
    points = [kept[0]]
    for (x, y), (to_x, to_y) in pairwise(kept):
        middle = (y + to_y) / 2
        points += [(x, middle), (to_x, middle), (to_x, to_y)]
    return points


def _simplified(corners: Sequence[Point]) -> Sequence[Point]:
    """Without corners in the middle of a straight piece, and without those that are there twice."""
    kept = [corners[0]]
    for corner, following in pairwise(corners[1:]):
        before = kept[-1]
        if not abs(before[0] - corner[0]) < SAME or not abs(corner[0] - following[0]) < SAME:
            kept.append(corner)
    return [*kept, corners[-1]]


def _joined(points: Sequence[Point]) -> str:
    return " ".join(map(_written, points))


def _written(point: Point) -> str:
    """As Graphviz writes it; its y grows upwards."""
    return f"{point[0]:.1f},{-point[1]:.1f}"
