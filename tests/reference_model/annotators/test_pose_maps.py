"""Peaks, limbs and persons in maps whose joints are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from painted_maps import STANDING, blob, fields, heatmaps

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators import pose_limbs
from onnxlens.reference_model.annotators.pose import Person, Point, assemble, find_persons
from onnxlens.reference_model.annotators.pose_limbs import (
    Link,
    Peaks,
    find_peaks,
    limb_scores,
    local_maxima,
    match,
)

FACTS = Path(__file__).parents[2] / "data" / "annotators" / "openpose.json"


def positions(person: Person) -> dict[str, tuple[float, float]]:
    return {
        name: (point.x, point.y)
        for name, point in zip(pose_limbs.JOINTS, person.joints, strict=True)
        if point is not None
    }


def test_the_layout_is_the_published_one() -> None:
    facts = json.loads(FACTS.read_text())
    assert list(pose_limbs.JOINTS) == facts["joints"]
    assert [list(color) for color in pose_limbs.COLORS] == facts["colors"]
    assert [list(edge) for edge in pose_limbs.HAND_EDGES] == facts["hand_edges"]
    limbs = [{"joints": list(limb.joints), "paf": list(limb.field)} for limb in pose_limbs.LIMBS]
    assert limbs == facts["limbs"]


def test_one_person_is_found_with_every_joint() -> None:
    (person,) = find_persons(heatmaps([STANDING]), fields([STANDING]))
    assert positions(person) == STANDING
    assert all(point is not None and point.score == 1 for point in person.joints)
    # 18 joints of 1, and the 17 limbs of a tree of 18 joints; no limb is over half the height of 128. The two
    # limbs between shoulder and ear link what is one person already.
    assert person.score == pytest.approx((18 + 17) / 18, abs=1e-6)


def test_nobody_is_found_in_empty_maps() -> None:
    assert find_persons(heatmaps([]), fields([])) == []
    assert find_persons(heatmaps([STANDING]), fields([])) == []
    assert find_persons(heatmaps([]), fields([STANDING])) == []


def test_two_persons_whose_forearms_cross_keep_their_own_wrists() -> None:
    one = {"neck": (20, 20), "right_shoulder": (20, 40), "right_elbow": (20, 60), "right_wrist": (60, 80)}
    two = {"neck": (60, 20), "right_shoulder": (60, 40), "right_elbow": (60, 60), "right_wrist": (20, 80)}
    size = (100, 80)
    found = find_persons(heatmaps([one, two], size), fields([one, two], size))
    # The wrong pairs, straight down, have no field between their ends.
    assert [positions(person) for person in found] == [one, two]


def test_two_whole_persons_side_by_side() -> None:
    other = {joint: (x + 90, y + 5) for joint, (x, y) in STANDING.items()}
    size = (130, 200)
    found = find_persons(heatmaps([STANDING, other], size), fields([STANDING, other], size))
    assert [positions(person) for person in found] == [STANDING, other]


def test_a_joint_that_is_not_seen_is_none_and_what_hangs_on_it_is_lost() -> None:
    (person,) = find_persons(heatmaps([STANDING], hidden=["right_elbow"]), fields([STANDING]))
    lost = {"right_elbow", "right_wrist"}  # a wrist alone has nothing to be linked to
    assert positions(person) == {joint: at for joint, at in STANDING.items() if joint not in lost}
    assert person.score == pytest.approx((16 + 15) / 16, abs=1e-6)


def test_a_limb_without_a_field_separates_three_joints_which_are_too_few() -> None:
    missing = [("neck", "right_hip")]
    (person,) = find_persons(heatmaps([STANDING]), fields([STANDING], hidden=missing))
    lost = {"right_hip", "right_knee", "right_ankle"}
    assert positions(person) == {joint: at for joint, at in STANDING.items() if joint not in lost}


def test_four_joints_are_a_person_and_three_are_not() -> None:
    names = ["neck", "right_shoulder", "right_elbow", "right_wrist"]
    four = {name: STANDING[name] for name in names}
    three = {name: STANDING[name] for name in names[:3]}
    assert len(find_persons(heatmaps([four]), fields([four]))) == 1
    assert find_persons(heatmaps([three]), fields([three])) == []


def test_a_person_of_a_low_score_is_dropped() -> None:
    maps, vectors = heatmaps([STANDING]), fields([STANDING])
    # 18 joints of 0.21 and 17 limbs of 0.2 are (3.78 + 3.4) / 18 = 0.399; of 0.22 and 0.2 they are 0.409.
    # Smoothing a blob of sigma 3 by sigma 3 halves it, to 0.105 and 0.11: both are peaks.
    assert find_persons(maps * np.float32(0.21), vectors * np.float32(0.2)) == []
    assert len(find_persons(maps * np.float32(0.22), vectors * np.float32(0.2))) == 1


def test_ears_join_a_head_whose_link_to_the_neck_is_missing() -> None:
    missing = [("neck", "nose")]
    (person,) = find_persons(heatmaps([STANDING]), fields([STANDING], hidden=missing))
    # The head's five joints are a person of their own until a shoulder is linked to an ear.
    assert positions(person) == STANDING
    assert person.score == pytest.approx((18 + 17) / 18, abs=1e-6)


def empty_links() -> list[list[Link]]:
    return [[] for _ in pose_limbs.LIMBS]


def peaks_of(count: int) -> list[Peaks]:
    xy = np.array([[10 * index, 5] for index in range(count)])
    return [Peaks(xy, np.ones(count)) for _ in pose_limbs.JOINTS]


def test_the_last_two_limbs_open_no_person() -> None:
    links = empty_links()
    links[17] = [Link(0, 0, 1.0)]
    links[18] = [Link(0, 0, 1.0)]
    assert assemble(peaks_of(1), links) == []


def test_a_link_that_would_give_a_person_two_ears_is_left_out() -> None:
    links = empty_links()
    for limb in (0, 2, 3):  # neck, right shoulder, right elbow, right wrist
        links[limb] = [Link(0, 0, 1.0)]
    links[12] = [Link(0, 0, 1.0)]  # neck to nose
    links[13] = [Link(0, 0, 1.0)]  # nose to right eye
    links[14] = [Link(0, 0, 1.0)]  # right eye to right ear
    links[17] = [Link(0, 1, 5.0)]  # the right shoulder to another right ear
    (person,) = assemble(peaks_of(2), links)
    assert person.joints[16] == Point(0, 5, 1.0)
    assert person.score == (7 + 6) / 7


def test_peaks_are_in_reading_order_with_the_unsmoothed_score() -> None:
    heatmap = np.maximum(blob((60, 60), (40, 12)) * np.float32(0.5), blob((60, 60), (12, 40)))
    peaks = find_peaks(heatmap)
    assert peaks.xy.tolist() == [[40, 12], [12, 40]]
    assert peaks.scores.tolist() == [0.5, 1.0]


def test_a_peak_counts_over_a_tenth_after_smoothing() -> None:
    # Two Gaussians of sigma 3 make one of sqrt(18): its height is 9 / 18 of the first's.
    assert len(find_peaks(blob((60, 60), (30, 30)) * np.float32(0.19)).xy) == 0
    assert len(find_peaks(blob((60, 60), (30, 30)) * np.float32(0.21)).xy) == 1


def test_the_four_direct_neighbors_decide_and_not_the_diagonals() -> None:
    values = np.array([[0.9, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.1]])
    assert np.argwhere(local_maxima(values, 0.1)).tolist() == [[0, 0], [1, 1]]


def test_a_limbs_score_is_the_fields_part_along_it_less_what_it_is_too_long() -> None:
    field = np.zeros((2, 20, 60), dtype=np.float32)
    field[0] = 0.8
    starts, ends = np.array([[2, 10]]), np.array([[10, 10], [42, 10], [2, 18], [2, 10]])
    scores = limb_scores(field, starts, ends)
    # 8 and 40 long in an image of height 20: 0.8, and 0.8 + 0.5 * 20 / 40 - 1; across, and nowhere: no limb.
    assert scores[0] == pytest.approx([0.8, 0.05, -np.inf, -np.inf])


@pytest.mark.parametrize(("without", "found"), [(1, True), (2, False)])
def test_nine_of_ten_samples_must_agree(without: int, found: bool) -> None:
    field = np.zeros((2, 10, 20), dtype=np.float32)
    field[0] = 0.9
    field[0, :, :without] = 0.04  # the samples are the ten pixels of the limb
    score = limb_scores(field, np.array([[0, 5]]), np.array([[9, 5]]))[0, 0]
    length_term = min(0.5 * 10 / 9 - 1, 0)
    assert score == pytest.approx((9 * 0.9 + 0.04) / 10 + length_term if found else -np.inf)


def test_the_best_pairs_are_matched_first() -> None:
    scores = np.array([[0.9, 0.8], [0.85, 0.1], [-np.inf, 0.7]])
    # 0.9 takes the first row and column, 0.7 is the best of what is left; the sum would be larger otherwise.
    assert match(scores) == [Link(0, 0, 0.9), Link(2, 1, 0.7)]
    assert match(np.empty((0, 3))) == []


def test_other_channels_are_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"^the pose maps are .*; expected \(19, H, W\) and \(38, H, W\)$"):
        find_persons(heatmaps([])[:18], fields([]))
