"""Persons from OpenPose's limbs, and the points of their hands (Simon et al. 2017, arXiv 1704.07809)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import dist
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, label, sum_labels

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.images import Floats
from onnxlens.reference_model.annotators.pose_limbs import (
    BODY_LIMBS,
    HAND_POINTS,
    JOINTS,
    LIMBS,
    SMOOTHING_SIGMA,
    Link,
    Peaks,
    find_peaks,
    link_limbs,
)

HEATMAPS = len(JOINTS) + 1
FIELDS = 2 * len(LIMBS)

MIN_JOINTS = 4
MIN_SCORE = 0.4
"""Of a person's score, joints and limbs together, for each of the joints."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a body or a hand: pixels of the image, and the heatmap's value there."""

    x: float
    y: float
    score: float


@dataclass(frozen=True, slots=True)
class Person:
    """One body.

    Attributes:
        joints: a point for each of ``JOINTS``, None where it was not found.
        score: the sum of the joints' and the limbs' scores, divided by the number of joints found.
    """

    joints: tuple[Point | None, ...]
    score: float


@dataclass(slots=True)
class _Draft:
    """A person in the making: joint to index of its peak, and the sum of the limbs' scores."""

    members: dict[int, int] = field(default_factory=dict)
    limb_score: float = 0.0


def find_persons(heatmaps: Floats, fields: Floats) -> list[Person]:
    """The persons in OpenPose's maps.

    Args:
        heatmaps: the joints' and the background's, at the image's size (19, H, W).
        fields: the limbs' vectors (38, H, W).

    Raises:
        UsageError: other channels, or different sizes.
    """
    expected = f"({HEATMAPS}, H, W) and ({FIELDS}, H, W)"
    if (len(heatmaps), len(fields)) != (HEATMAPS, FIELDS) or heatmaps.shape[1:] != fields.shape[1:]:
        raise UsageError(f"the pose maps are {heatmaps.shape} and {fields.shape}; expected {expected}")
    peaks = [find_peaks(heatmap) for heatmap in heatmaps[: len(JOINTS)]]
    return assemble(peaks, link_limbs(peaks, fields))


def assemble(peaks: Sequence[Peaks], links: Sequence[Sequence[Link]]) -> list[Person]:
    """Put links together, limb by limb.

    A link of which no end belongs to a person yet opens one, if it is one of the first 17 limbs. With one end
    in a person, the other joins it. With its ends in two, these become one. A link that would give a person
    two of one joint is left out. Persons of fewer than 4 joints, or a score under 0.4, are dropped.

    Args:
        peaks: of the 18 joints.
        links: of the limbs in ``LIMBS``.
    """
    drafts: list[_Draft] = []
    drafts_of: dict[tuple[int, int], _Draft] = {}  # by joint and index of its peak
    for limb_index, (limb, found) in enumerate(zip(LIMBS, links, strict=True)):
        for link in found:
            ends = ((limb.joints[0], link.first), (limb.joints[1], link.second))
            if limb_index < BODY_LIMBS and not any(end in drafts_of for end in ends):
                drafts.append(_Draft())
                _add(drafts[-1], ends[:1], drafts_of)
            _connect(ends, link.score, drafts_of)
    persons = [_person(draft, peaks) for draft in drafts if len(draft.members) >= MIN_JOINTS]
    return [person for person in persons if person.score >= MIN_SCORE]


def _connect(
    ends: tuple[tuple[int, int], ...], score: float, drafts_of: dict[tuple[int, int], _Draft]
) -> None:
    """Bring the two ends of a link into one draft, where one of them is in a draft and nothing clashes."""
    touched = [drafts_of[end] for end in ends if end in drafts_of]
    if not touched:
        return
    into = touched[0]
    if len(touched) == 2:
        joining = tuple(touched[1].members.items())
    else:
        joining = tuple(end for end in ends if end not in drafts_of)
    if any(joint in into.members for joint, _ in joining):  # a clash, or both ends are in it already
        return
    _add(into, joining, drafts_of)
    into.limb_score += score
    if len(touched) == 2:
        into.limb_score += touched[1].limb_score
        touched[1].members.clear()


def _add(draft: _Draft, ends: tuple[tuple[int, int], ...], drafts_of: dict[tuple[int, int], _Draft]) -> None:
    for joint, peak in ends:
        draft.members[joint] = peak
        drafts_of[joint, peak] = draft


def _person(draft: _Draft, peaks: Sequence[Peaks]) -> Person:
    joints: list[Point | None] = [None] * len(JOINTS)
    for joint, peak in draft.members.items():
        x, y = peaks[joint].xy[peak].tolist()
        joints[joint] = Point(x, y, float(peaks[joint].scores[peak]))
    total = draft.limb_score + sum(point.score for point in joints if point is not None)
    return Person(tuple(joints), total / len(draft.members))


ARM = ("shoulder", "elbow", "wrist")
SIDES = ("left", "right")

BEYOND_WRIST = 0.33
"""The box's center lies this share of the forearm beyond the wrist."""

SIDE_FACTOR = 1.5
UPPER_ARM_SHARE = 0.9
MIN_SIDE = 20
"""In pixels; smaller boxes are left out."""

POINT_THRESHOLD = 0.05
HAND_HEATMAPS = HAND_POINTS + 1
NEIGHBORS = np.ones((3, 3), dtype=int)
"""Pixels that touch at a corner belong together."""


class HandBox(NamedTuple):
    """A square of the image, in pixels."""

    left: int
    top: int
    side: int


def hand_boxes(persons: Sequence[Person], size: tuple[int, int]) -> list[HandBox]:
    """A box for each arm whose shoulder, elbow and wrist were found.

    Its side is 1.5 * max(wrist to elbow, 0.9 * elbow to shoulder); its center lies beyond the wrist. It is
    shifted into the image at the left and the top, and shrunk to fit at the right and the bottom.

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
    if len(heatmaps) != HAND_HEATMAPS or heatmaps.ndim != 3:
        raise UsageError(f"the hand's maps are {heatmaps.shape}; expected ({HAND_HEATMAPS}, H, W)")
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
    parts, count = label(gaussian_filter(heatmap, SMOOTHING_SIGMA) > POINT_THRESHOLD, NEIGHBORS)
    if not count:
        return None
    sums = sum_labels(heatmap, parts, range(1, count + 1))
    inside = np.where(parts == 1 + int(np.argmax(sums)), heatmap, -np.inf)
    y, x = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return Point(int(x), int(y), float(heatmap[y, x]))
