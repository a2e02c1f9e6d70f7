"""OpenPose's skeleton as data, joints as peaks of heatmaps, and the limbs that link them.

Cao et al. 2017, arXiv 1611.08050.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from onnxlens.reference_model.annotators.images import Floats

Rgb = tuple[int, int, int]


def hue(share: float) -> Rgb:
    """The color at a share of the way around the color circle, at full saturation and value."""
    red, green, blue = colorsys.hsv_to_rgb(share, 1, 1)
    return round(red * 255), round(green * 255), round(blue * 255)


class Limb(NamedTuple):
    """Two joints that the network links.

    Attributes:
        joints: their indices in ``JOINTS``.
        field: the channels of ``paf`` with the x and the y of the vectors from the first to the second.
    """

    joints: tuple[int, int]
    field: tuple[int, int]


JOINTS = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""In the order of the heatmap's channels; the channel after them is background."""

LIMBS = (
    Limb((1, 2), (12, 13)), Limb((1, 5), (20, 21)), Limb((2, 3), (14, 15)), Limb((3, 4), (16, 17)),
    Limb((5, 6), (22, 23)), Limb((6, 7), (24, 25)), Limb((1, 8), (0, 1)), Limb((8, 9), (2, 3)),
    Limb((9, 10), (4, 5)), Limb((1, 11), (6, 7)), Limb((11, 12), (8, 9)), Limb((12, 13), (10, 11)),
    Limb((1, 0), (28, 29)), Limb((0, 14), (30, 31)), Limb((14, 16), (34, 35)), Limb((0, 15), (32, 33)),
    Limb((15, 17), (36, 37)), Limb((2, 16), (18, 19)), Limb((5, 17), (26, 27)),
)  # fmt: skip

BODY_LIMBS = 17
"""The first limbs, which are drawn and may open a new person; the last two only join what was found."""

COLORS = tuple(hue(index / len(JOINTS)) for index in range(len(JOINTS)))
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

HAND_POINT_COLOR: Rgb = (0, 0, 255)


SMOOTHING_SIGMA = 3.0
"""Of the Gaussian that a heatmap is smoothed with, in pixels of the image."""

PEAK_THRESHOLD = 0.1

SAMPLES = 10
"""Points of the field that are looked at along a limb, its ends among them."""

ALONG_THRESHOLD = 0.05
"""A sample agrees with the limb where the field's part along the limb is over this."""

AGREEING_SHARE = 0.8
"""More than this share of the samples must agree."""

LONG_LIMB = 0.5
"""A limb longer than this share of the image's height is scored down."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """The candidates for one joint, in reading order.

    Attributes:
        xy: pixels of the image (N, 2).
        scores: the heatmap's value there, before smoothing (N,).
    """

    xy: NDArray[np.int64]
    scores: NDArray[np.float64]


class Link(NamedTuple):
    """A limb that was found: the index of its peak in each joint's ``Peaks``, and its score."""

    first: int
    second: int
    score: float


def find_peaks(heatmap: Floats) -> Peaks:
    """The smoothed heatmap's maxima over 0.1: no lower than any of the four neighbors.

    Args:
        heatmap: one joint's, at the image's size (H, W).
    """
    ys, xs = np.nonzero(local_maxima(gaussian_filter(heatmap, SMOOTHING_SIGMA), PEAK_THRESHOLD))
    return Peaks(np.stack([xs, ys], axis=1), heatmap[ys, xs].astype(np.float64))


def local_maxima(values: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Where a value is over the threshold and no lower than its four neighbors, as on all of a plateau.

    Args:
        values: (H, W).
        threshold: at least 0.
    """
    ringed = np.pad(values, 1)  # (H + 2, W + 2); what lies outside never beats a value over the threshold
    highest_neighbor = np.maximum.reduce(
        [ringed[:-2, 1:-1], ringed[2:, 1:-1], ringed[1:-1, :-2], ringed[1:-1, 2:]]
    )
    return np.asarray((values > threshold) & (values >= highest_neighbor))


def link_limbs(peaks: Sequence[Peaks], fields: Floats) -> list[list[Link]]:
    """For each limb, which candidates of its two joints belong together.

    Args:
        peaks: of the 18 joints.
        fields: ``paf`` at the image's size (38, H, W).

    Returns:
        The links of every limb in ``LIMBS``, the best first.
    """
    return [
        match(limb_scores(fields[list(limb.field)], peaks[limb.joints[0]].xy, peaks[limb.joints[1]].xy))
        for limb in LIMBS
    ]


def limb_scores(field: Floats, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """How well the field runs from every start to every end.

    score = mean of the field's part along the limb at 10 evenly spaced samples, each at the nearest pixel,
    plus min(0.5 * H / length - 1, 0).

    Args:
        field: the limb's vectors, x then y (2, H, W).
        starts: x and y, pixels (N, 2).
        ends: likewise (M, 2).

    Returns:
        (N, M); -inf where the two are one point, the score is not positive, or no more than 80 % of the
        samples agree.
    """
    if not len(starts):
        return np.empty((0, len(ends)))
    return np.stack([_scores_from(field, start, ends) for start in starts])


def match(scores: NDArray[np.float64]) -> list[Link]:
    """The best pair first, then the best of those whose ends are both free; of equals, the first in order.

    Args:
        scores: (N, M), -inf where a pair is not a candidate.
    """
    order = np.argsort(-scores, axis=None, kind="stable")
    candidates = order[np.isfinite(scores.ravel()[order])]
    links: list[Link] = []
    firsts: set[int] = set()
    seconds: set[int] = set()
    for first, second in zip(
        *(axis.tolist() for axis in np.unravel_index(candidates, scores.shape)), strict=True
    ):
        if first not in firsts and second not in seconds:
            links.append(Link(first, second, float(scores[first, second])))
            firsts.add(first)
            seconds.add(second)
    return links


def _scores_from(field: Floats, start: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """``limb_scores`` of one start: (M,). A loop over the starts keeps memory at 10 samples an end."""
    along = (ends - start).astype(np.float64)  # (M, 2)
    length = np.hypot(along[:, 0], along[:, 1])  # (M,)
    unit = along / np.where(length > 0, length, 1.0)[:, None]  # (M, 2); 0 on itself, so that none agrees
    steps = np.linspace(0, 1, SAMPLES)[:, None]  # (10, 1)
    at = np.rint(start + along[:, None] * steps).astype(np.int64)  # (M, 10, 2)
    vectors = field[:, at[..., 1], at[..., 0]].astype(np.float64)  # (2, M, 10)
    agreement = vectors[0] * unit[:, :1] + vectors[1] * unit[:, 1:]  # (M, 10)
    scores = agreement.mean(axis=1) + np.minimum(LONG_LIMB * field.shape[1] / np.maximum(length, 1) - 1, 0)
    agreeing = (agreement > ALONG_THRESHOLD).sum(axis=1) > AGREEING_SHARE * SAMPLES
    return np.where(agreeing & (scores > 0), scores, -np.inf)
