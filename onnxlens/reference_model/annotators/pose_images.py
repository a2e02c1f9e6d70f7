"""OpenPose's inputs at their scales, its maps back at the image's size, and poses drawn on black."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from onnxlens.reference_model.annotators.images import Floats, Image, check_image, check_map, planes, resized
from onnxlens.reference_model.annotators.pose import Person, Point
from onnxlens.reference_model.annotators.pose_limbs import (
    BODY_LIMBS,
    COLORS,
    HAND_EDGES,
    HAND_POINT_COLOR,
    LIMBS,
    Rgb,
    hue,
)

BASE_HEIGHT = 368
"""The height that scale 1 means, in pixels."""

BODY_SCALE = 0.5
HAND_SCALES = (0.5, 1.0, 1.5, 2.0)

STRIDE = 8
"""Pixels of the input to one position of a map, along each side."""

PAD_VALUE = 128


class ScaledImage(NamedTuple):
    """A network's input.

    Attributes:
        array: BGR, value / 256 - 0.5, padded (1, 3, H, W).
        size: height and width without the padding, in pixels.
    """

    array: Floats
    size: tuple[int, int]


def scale_image(image: Image, scale: float) -> ScaledImage:
    """The input at a scale: ``scale * 368`` pixels high, its sides padded to multiples of 8.

    The padding is 128, on the right and at the bottom. Sizes are rounded, a half to the even pixel.

    Raises:
        UsageError: it is not an RGB image.
    """
    check_image(image)
    height, width = image.shape[:2]
    factor = scale * BASE_HEIGHT / height
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    small = resized(image, size, cv2.INTER_CUBIC)
    margins = ((0, -size[0] % STRIDE), (0, -size[1] % STRIDE), (0, 0))
    padded = np.pad(small, margins, constant_values=PAD_VALUE)
    array = planes(padded[:, :, ::-1]) / np.float32(256) - np.float32(0.5)
    return ScaledImage(array, size)


def maps_at_image(values: ArrayLike, scaled: ScaledImage, image_size: tuple[int, int], what: str) -> Floats:
    """A network's maps at the image's size: 8 times larger, without the padding, then to the image; cubic.

    Args:
        values: (1, C, H/8, W/8) for an input of (H, W).
        scaled: the input they were made from.
        image_size: height and width of the image, in pixels.
        what: the output's name, for messages.

    Returns:
        (C, image height, image width).

    Raises:
        UsageError: the maps do not belong to the input.
    """
    height, width = scaled.array.shape[2:]
    maps = check_map(values, (1, None, height // STRIDE, width // STRIDE), what)[0]
    planes_last = np.ascontiguousarray(maps.transpose(1, 2, 0))  # (H/8, W/8, C)
    large = resized(planes_last, (height, width), cv2.INTER_CUBIC)
    cropped = large[: scaled.size[0], : scaled.size[1]]
    fitted = resized(np.ascontiguousarray(cropped), image_size, cv2.INTER_CUBIC)
    return np.ascontiguousarray(fitted.transpose(2, 0, 1), dtype=np.float32)


LIMB_WIDTH = 4
HAND_WIDTH = 2
RADIUS = 4
"""Of joints and of a hand's points. All in pixels."""


def draw_person(canvas: Image, person: Person) -> None:
    """Draw the first 17 limbs, each where both of its joints were found, then the joints over them.

    The person's points are in pixels of the canvas, RGB (H, W, 3), which is drawn into.
    """
    for limb, color in zip(LIMBS[:BODY_LIMBS], COLORS, strict=False):
        _line(canvas, person.joints[limb.joints[0]], person.joints[limb.joints[1]], color, LIMB_WIDTH)
    for joint, color in zip(person.joints, COLORS, strict=True):
        _disc(canvas, joint, color)


def draw_hand(canvas: Image, points: Sequence[Point | None]) -> None:
    """Draw the 20 edges, each where both of its points were found, then the 21 points over them.

    The points are in pixels of the canvas, RGB (H, W, 3), which is drawn into.
    """
    for index, (first, second) in enumerate(HAND_EDGES):
        _line(canvas, points[first], points[second], hand_edge_color(index), HAND_WIDTH)
    for point in points:
        _disc(canvas, point, HAND_POINT_COLOR)


def hand_edge_color(index: int) -> Rgb:
    """Edge k of 20 has the hue k / 20; RGB."""
    return hue(index / len(HAND_EDGES))


def _line(canvas: Image, first: Point | None, second: Point | None, color: Rgb, width: int) -> None:
    if first is not None and second is not None:
        cv2.line(canvas, _pixel(first), _pixel(second), color, thickness=width)


def _disc(canvas: Image, point: Point | None, color: Rgb) -> None:
    if point is not None:
        cv2.circle(canvas, _pixel(point), RADIUS, color, thickness=cv2.FILLED)


def _pixel(point: Point) -> tuple[int, int]:
    return int(point.x), int(point.y)
