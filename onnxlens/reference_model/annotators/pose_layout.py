"""OpenPose's skeletons as data: joints, limbs, hands, and the colours they are drawn in."""

from __future__ import annotations

from typing import NamedTuple

Rgb = tuple[int, int, int]


class Limb(NamedTuple):
    """Two joints that the network links.

    Attributes:
        joints: their indices in ``JOINTS``.
        field: the channels of ``paf`` with the x and the y of the vectors from the first to the second.
    """

    joints: tuple[int, int]
    field: tuple[int, int]


JOINTS = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)
"""In the order of the heatmap's channels; the channel after them is background."""

LIMBS = (
    Limb((1, 2), (12, 13)),
    Limb((1, 5), (20, 21)),
    Limb((2, 3), (14, 15)),
    Limb((3, 4), (16, 17)),
    Limb((5, 6), (22, 23)),
    Limb((6, 7), (24, 25)),
    Limb((1, 8), (0, 1)),
    Limb((8, 9), (2, 3)),
    Limb((9, 10), (4, 5)),
    Limb((1, 11), (6, 7)),
    Limb((11, 12), (8, 9)),
    Limb((12, 13), (10, 11)),
    Limb((1, 0), (28, 29)),
    Limb((0, 14), (30, 31)),
    Limb((14, 16), (34, 35)),
    Limb((0, 15), (32, 33)),
    Limb((15, 17), (36, 37)),
    Limb((2, 16), (18, 19)),
    Limb((5, 17), (26, 27)),
)

BODY_LIMBS = 17
"""The first limbs, which are drawn and may open a new person; the last two only join what was found."""

COLOURS: tuple[Rgb, ...] = (
    (255, 0, 0),
    (255, 85, 0),
    (255, 170, 0),
    (255, 255, 0),
    (170, 255, 0),
    (85, 255, 0),
    (0, 255, 0),
    (0, 255, 85),
    (0, 255, 170),
    (0, 255, 255),
    (0, 170, 255),
    (0, 85, 255),
    (0, 0, 255),
    (85, 0, 255),
    (170, 0, 255),
    (255, 0, 255),
    (255, 0, 170),
    (255, 0, 85),
)
"""By joint, and by limb for the limbs that are drawn."""

HAND_POINTS = 21
"""The wrist and four points of each finger; the heatmap's channel after them is background."""

HAND_EDGES = (
    *((0, 1), (1, 2), (2, 3), (3, 4)),
    *((0, 5), (5, 6), (6, 7), (7, 8)),
    *((0, 9), (9, 10), (10, 11), (11, 12)),
    *((0, 13), (13, 14), (14, 15), (15, 16)),
    *((0, 17), (17, 18), (18, 19), (19, 20)),
)
"""Thumb first."""

HAND_POINT_COLOUR: Rgb = (0, 0, 255)
