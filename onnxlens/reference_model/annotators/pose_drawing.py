"""Bodies and hands drawn in OpenPose's colours, on black."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2

from onnxlens.reference_model.annotators.images import Image
from onnxlens.reference_model.annotators.pose import Person, Point
from onnxlens.reference_model.annotators.pose_layout import (
    BODY_LIMBS,
    COLOURS,
    HAND_EDGES,
    HAND_POINT_COLOUR,
    LIMBS,
    Rgb,
)

LIMB_WIDTH = 4
HAND_WIDTH = 2
RADIUS = 4
"""Of joints and of a hand's points. All in pixels."""


def draw_person(canvas: Image, person: Person) -> None:
    """Draw the first 17 limbs, each where both of its joints were found, then the joints over them.

    Args:
        canvas: RGB (H, W, 3); drawn into.
        person: in pixels of the canvas.
    """
    for limb, colour in zip(LIMBS[:BODY_LIMBS], COLOURS, strict=False):
        _line(canvas, person.joints[limb.joints[0]], person.joints[limb.joints[1]], colour, LIMB_WIDTH)
    for joint, colour in zip(person.joints, COLOURS, strict=True):
        _disc(canvas, joint, colour)


def draw_hand(canvas: Image, points: Sequence[Point | None]) -> None:
    """Draw the 20 edges, each where both of its points were found, then the points over them.

    Args:
        canvas: RGB (H, W, 3); drawn into.
        points: 21, in pixels of the canvas.
    """
    for index, (first, second) in enumerate(HAND_EDGES):
        _line(canvas, points[first], points[second], hand_edge_colour(index), HAND_WIDTH)
    for point in points:
        _disc(canvas, point, HAND_POINT_COLOUR)


def hand_edge_colour(index: int) -> Rgb:
    """Edge k of 20 has the hue k / 20, at full saturation and value; RGB."""
    red, green, blue = colorsys.hsv_to_rgb(index / len(HAND_EDGES), 1, 1)
    return round(red * 255), round(green * 255), round(blue * 255)


def _line(canvas: Image, first: Point | None, second: Point | None, colour: Rgb, width: int) -> None:
    if first is not None and second is not None:
        cv2.line(canvas, _pixel(first), _pixel(second), colour, thickness=width)


def _disc(canvas: Image, point: Point | None, colour: Rgb) -> None:
    if point is not None:
        cv2.circle(canvas, _pixel(point), RADIUS, colour, thickness=cv2.FILLED)


def _pixel(point: Point) -> tuple[int, int]:
    return int(point.x), int(point.y)
