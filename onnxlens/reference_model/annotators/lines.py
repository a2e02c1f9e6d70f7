"""Straight lines from MLSD's map of centres and offsets (Gu et al. 2021, arXiv 2106.00186)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter
from scipy.special import expit

from onnxlens.reference_model.annotators.images import Floats, Image, check_image, check_map
from onnxlens.reference_model.annotators.preprocessing import planes

CHANNELS = 9
STRIDE = 2
"""Pixels of the image to one position of the map, along each side."""

MAX_LINES = 200
SCORE_THRESHOLD = 0.1
LENGTH_THRESHOLD = 0.1
"""In positions of the map."""

FARTHEST = 2**20
"""In pixels: ends are drawn no farther out than this, which integer drawing can still take."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines in the order of their scores.

    Attributes:
        ends: x and y of the start, then of the end, in pixels of the image (N, 4).
        scores: 0 to 1, falling (N,).
    """

    ends: NDArray[np.float64]
    scores: NDArray[np.float64]


def mlsd_input(image: Image) -> Floats:
    """RGB and a plane of ones, value / 127.5 - 1: (H, W, 3) to MLSD's ``image`` (1, 4, H, W).

    Raises:
        UsageError: it is no RGB image.
    """
    check_image(image)
    colours = planes(image)  # (1, 3, H, W)
    ones = np.ones_like(colours[:, :1])  # (1, 1, H, W)
    four = np.concatenate([colours, ones], axis=1, dtype=np.float32)  # (1, 4, H, W)
    return four / np.float32(127.5) - np.float32(1)


def decode_lines(values: ArrayLike) -> Lines:
    """Find the lines in MLSD's output.

    A line's centre is a 3x3 maximum of sigmoid(channel 0) over 0.1, among the 200 highest. Its ends are the
    centre plus channels 1, 2 (start, x and y) and 3, 4 (end); the line is longer than 0.1 of a position. Of
    equal scores the first in reading order comes first.

    Args:
        values: ``lines`` (1, 9, H/2, W/2).

    Raises:
        UsageError: another shape, or NaN.
    """
    maps = check_map(values, (1, CHANNELS, None, None), "lines")[0].astype(np.float64)  # (9, H/2, W/2)
    scores = expit(maps[0])  # (H/2, W/2)
    scores[scores < maximum_filter(scores, size=3)] = 0
    flat = scores.ravel()
    best = np.argsort(-flat, kind="stable")[:MAX_LINES]
    y, x = np.unravel_index(best, scores.shape)
    offsets = maps[1:5, y, x].T  # (N, 4)
    length = np.hypot(offsets[:, 2] - offsets[:, 0], offsets[:, 3] - offsets[:, 1])
    kept = (flat[best] > SCORE_THRESHOLD) & (length > LENGTH_THRESHOLD)
    ends = (np.stack([x, y, x, y], axis=1) + offsets) * STRIDE
    return Lines(ends[kept], flat[best][kept])


def line_map(lines: Lines, size: tuple[int, int]) -> Image:
    """White lines one pixel wide on black, between the pixels that hold the ends.

    Args:
        lines: in pixels of the image.
        size: height and width of the image, in pixels.

    Returns:
        255 on a line, 0 elsewhere (H, W).
    """
    canvas = np.zeros(size, dtype=np.uint8)
    pixels = np.floor(np.clip(lines.ends, -FARTHEST, FARTHEST)).astype(int)
    for x0, y0, x1, y1 in pixels.tolist():
        cv2.line(canvas, (x0, y0), (x1, y1), 255, thickness=1)
    return canvas
