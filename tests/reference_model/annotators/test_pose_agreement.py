"""Peaks, limbs and persons against the plain version of the same steps, on random maps."""

from __future__ import annotations

import random

import numpy as np
import plain_pose
import pytest

from onnxlens.reference_model.annotators import pose_limbs
from onnxlens.reference_model.annotators.pose import Person, assemble
from onnxlens.reference_model.annotators.pose_limbs import Link, Peaks, find_peaks, link_limbs, local_maxima

RANDOM_MAPS = 1000


def test_maxima_agree_with_the_plain_version_on_random_maps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(RANDOM_MAPS):
        values = rng.integers(0, 6, size=rng.integers(1, 12, size=2)) / 10  # small steps: with plateaus
        found = [tuple(at) for at in np.argwhere(local_maxima(values, 0.1)).tolist()]
        assert found == plain_pose.maxima(values.tolist(), 0.1)


def test_peaks_agree_with_the_plain_version_on_random_maps() -> None:
    rng = np.random.default_rng(1)
    counts = []
    for _ in range(RANDOM_MAPS // 4):
        heatmap = rng.random(rng.integers(1, 20, size=2)) ** 8 * rng.choice([0.5, 2])
        expected = plain_pose.maxima(plain_pose.smoothed(heatmap.tolist(), 3.0), 0.1)
        peaks = find_peaks(heatmap)  # float64 here, so that both round alike
        assert peaks.xy.tolist() == [[x, y] for y, x in expected]
        assert peaks.scores.tolist() == [heatmap[at] for at in expected]
        counts.append(len(expected))
    assert min(counts) == 0
    assert max(counts) > 1


def random_case(seed: int) -> tuple[list[Peaks], np.ndarray]:
    """Up to three candidates a joint, and fields that suit one pair of each limb, with noise."""
    rng = np.random.default_rng(seed)
    peaks = []
    for count in rng.integers(0, 4, size=18):
        xy = np.stack([rng.integers(0, 30, size=count), rng.integers(0, 24, size=count)], axis=1)
        peaks.append(Peaks(xy, rng.random(count)))
    vectors = rng.normal(0, 0.1, size=(38, 24, 30))
    for limb in pose_limbs.LIMBS:
        starts, ends = (peaks[joint].xy for joint in limb.joints)
        if len(starts) and len(ends):
            along = ends[rng.integers(len(ends))] - starts[rng.integers(len(starts))]
            unit = along / max(np.hypot(*along), 1)
            vectors[list(limb.field)] += rng.random() * 1.5 * unit[:, None, None]
    return peaks, vectors.astype(np.float32)


def test_persons_agree_with_the_plain_version_on_random_maps() -> None:
    seen = 0
    for seed in range(RANDOM_MAPS):
        peaks, vectors = random_case(seed)
        positions = [[(x, y) for x, y in joint.xy.tolist()] for joint in peaks]
        links = link_limbs(peaks, vectors)
        expected_links = plain_pose.links(vectors, positions)
        assert [[link[:2] for link in limb] for limb in links] == [
            [pair[:2] for pair in limb] for limb in expected_links
        ]
        flat = [link.score for limb in links for link in limb]
        assert flat == pytest.approx([pair[2] for limb in expected_links for pair in limb])
        compare_persons(assemble(peaks, links), expected_links, peaks)
        seen += len(flat)
    assert seen > 10 * RANDOM_MAPS


def test_persons_agree_with_the_plain_version_on_random_links() -> None:
    """Links that no field would give, so that every way of joining and clashing comes up."""
    rng = random.Random(0)
    for _ in range(RANDOM_MAPS):
        peaks = [Peaks(np.array([[0, 0]] * 3), np.array([rng.random() for _ in range(3)])) for _ in range(18)]
        links = [
            [
                Link(i, j, rng.random())
                for i, j in zip(rng.sample(range(3), 2), rng.sample(range(3), 2), strict=True)
            ]
            for _ in pose_limbs.LIMBS
        ]
        compare_persons(assemble(peaks, links), [[tuple(link) for link in limb] for limb in links], peaks)


def compare_persons(found: list[Person], links: list[plain_pose.Links], peaks: list[Peaks]) -> None:
    """The same persons, in whatever order."""
    expected = []
    for joints, score in plain_pose.persons(links, [joint.scores.tolist() for joint in peaks]):
        points = [
            (*peaks[joint].xy[peak].tolist(), peaks[joint].scores[peak]) for joint, peak in joints.items()
        ]
        positions = dict(zip(joints, points, strict=True))
        expected.append(([positions.get(joint) for joint in range(18)], score))
    got = [([point and (point.x, point.y, point.score) for point in p.joints], p.score) for p in found]
    got.sort(key=repr)
    expected.sort(key=repr)
    assert [person[0] for person in got] == [person[0] for person in expected]
    assert [person[1] for person in got] == pytest.approx([person[1] for person in expected])
