"""Hands: where to look for them, and their points (Simon et al. 2017, arXiv 1704.07809)."""

from __future__ import annotations

from collections.abc import Sequence
from math import dist
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, label, sum_labels

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.images import Floats
from onnxlens.reference_model.annotators.pose import Person, Point
from onnxlens.reference_model.annotators.pose_layout import HAND_POINTS, JOINTS
from onnxlens.reference_model.annotators.pose_limbs import SMOOTHING_SIGMA

ARM = ("shoulder", "elbow", "wrist")
SIDES = ("left", "right")

BEYOND_WRIST = 0.33
"""The box's centre lies this share of the forearm beyond the wrist."""

SIDE_FACTOR = 1.5
UPPER_ARM_SHARE = 0.9
MIN_SIDE = 20
"""In pixels; smaller boxes are left out."""

POINT_THRESHOLD = 0.05
HEATMAPS = HAND_POINTS + 1
NEIGHBOURS = np.ones((3, 3), dtype=int)
"""Pixels that touch at a corner belong together."""


class HandBox(NamedTuple):
    """A square of the image, in pixels."""

    left: int
    top: int
    side: int


def hand_boxes(persons: Sequence[Person], size: tuple[int, int]) -> list[HandBox]:
    """A box for each arm whose shoulder, elbow and wrist were found.

    Its side is 1.5 * max(wrist to elbow, 0.9 * elbow to shoulder); its centre lies beyond the wrist. It is
    moved into the image at the left and the top, and shrunk to fit at the right and the bottom.

    Args:
        persons: as found.
        size: height and width of the image, in pixels.

    Returns:
        Of each person the left hand's, then the right hand's; none of less than 20 pixels.
    """
    boxes = (_hand_box(person, side, size) for person in persons for side in SIDES)
    return [box for box in boxes if box is not None and box.side >= MIN_SIDE]


def find_hand(heatmaps: Floats) -> tuple[Point | None, ...]:
    """The 21 points of a hand.

    Of the parts where the smoothed heatmap is over 0.05, the one with the largest sum of the heatmap counts;
    the point is the heatmap's maximum in it.

    Args:
        heatmaps: the points' and the background's, at the box's size (22, H, W).

    Returns:
        In pixels of the box; None where the heatmap is nowhere over the threshold.

    Raises:
        UsageError: other channels.
    """
    if len(heatmaps) != HEATMAPS or heatmaps.ndim != 3:
        raise UsageError(f"the hand's maps are {heatmaps.shape}; expected ({HEATMAPS}, H, W)")
    return tuple(_find_point(heatmap) for heatmap in heatmaps[:HAND_POINTS])


def _hand_box(person: Person, which: str, size: tuple[int, int]) -> HandBox | None:
    shoulder, elbow, wrist = (person.joints[JOINTS.index(f"{which}_{joint}")] for joint in ARM)
    if shoulder is None or elbow is None or wrist is None:
        return None
    forearm = dist((wrist.x, wrist.y), (elbow.x, elbow.y))
    upper_arm = dist((elbow.x, elbow.y), (shoulder.x, shoulder.y))
    side = SIDE_FACTOR * max(forearm, UPPER_ARM_SHARE * upper_arm)
    left = max(int(wrist.x + BEYOND_WRIST * (wrist.x - elbow.x) - side / 2), 0)
    top = max(int(wrist.y + BEYOND_WRIST * (wrist.y - elbow.y) - side / 2), 0)
    return HandBox(left, top, min(int(side), size[0] - top, size[1] - left))


def _find_point(heatmap: Floats) -> Point | None:
    """The point of one heatmap (H, W)."""
    parts, count = label(gaussian_filter(heatmap, SMOOTHING_SIGMA) > POINT_THRESHOLD, NEIGHBOURS)
    if not count:
        return None
    sums = sum_labels(heatmap, parts, range(1, count + 1))
    inside = np.where(parts == 1 + int(np.argmax(sums)), heatmap, -np.inf)
    y, x = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return Point(int(x), int(y), float(heatmap[y, x]))
