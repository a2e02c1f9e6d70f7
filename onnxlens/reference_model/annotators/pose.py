"""Persons from OpenPose's limbs: links that share a joint belong to one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.images import Floats
from onnxlens.reference_model.annotators.pose_layout import BODY_LIMBS, JOINTS, LIMBS
from onnxlens.reference_model.annotators.pose_limbs import Link, Peaks, find_peaks, link_limbs

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
    owners: dict[tuple[int, int], _Draft] = {}  # by joint and index of its peak
    for limb_index, (limb, found) in enumerate(zip(LIMBS, links, strict=True)):
        for link in found:
            ends = ((limb.joints[0], link.first), (limb.joints[1], link.second))
            if limb_index < BODY_LIMBS and not any(end in owners for end in ends):
                drafts.append(_Draft())
                _add(drafts[-1], ends[:1], owners)
            _connect(ends, link.score, owners)
    persons = [_person(draft, peaks) for draft in drafts if len(draft.members) >= MIN_JOINTS]
    return [person for person in persons if person.score >= MIN_SCORE]


def _connect(ends: tuple[tuple[int, int], ...], score: float, owners: dict[tuple[int, int], _Draft]) -> None:
    """Bring the two ends of a link into one draft, where one of them is in a draft and nothing clashes."""
    owned = [owners[end] for end in ends if end in owners]
    if not owned:
        return
    into = owned[0]
    if len(owned) == 2:
        joining = tuple(owned[1].members.items())
    else:
        joining = tuple(end for end in ends if end not in owners)
    if any(joint in into.members for joint, _ in joining):  # a clash, or both ends are in it already
        return
    _add(into, joining, owners)
    into.limb_score += score
    if len(owned) == 2:
        into.limb_score += owned[1].limb_score
        owned[1].members.clear()


def _add(draft: _Draft, ends: tuple[tuple[int, int], ...], owners: dict[tuple[int, int], _Draft]) -> None:
    for joint, peak in ends:
        draft.members[joint] = peak
        owners[joint, peak] = draft


def _person(draft: _Draft, peaks: Sequence[Peaks]) -> Person:
    joints: list[Point | None] = [None] * len(JOINTS)
    for joint, peak in draft.members.items():
        x, y = peaks[joint].xy[peak].tolist()
        joints[joint] = Point(x, y, float(peaks[joint].scores[peak]))
    total = draft.limb_score + sum(point.score for point in joints if point is not None)
    return Person(tuple(joints), total / len(draft.members))
