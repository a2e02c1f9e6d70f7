"""Control images from pictures and network outputs: edges, scribbles, lines, depth and normals.

Canny 1986, as OpenCV has it; HED's five maps; MLSD's centers and offsets (Gu et al. 2021, arXiv 2106.00186);
MiDaS's inverse depth (Ranftl et al. 2021, arXiv 2103.13413).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter
from scipy.special import expit

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.images import (
    Floats,
    Image,
    check_image,
    check_map,
    planes,
    resized_linear,
    to_uint8,
)

EDGE_MAPS = 5

BLUR_SIGMA = 3.0
"""Of both of the scribble's Gaussian blurs, in pixels."""

RIDGE_THRESHOLD = 127
"""A ridge of the blurred edges over this stays."""

STROKE_THRESHOLD = 4
"""What is over this after the second blur belongs to a stroke."""

DARK_THRESHOLD = 127
"""A drawing's stroke has a channel below this."""

RIDGE_KERNELS: tuple[Image, ...] = (
    np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]], dtype=np.uint8),  # along the row
    np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0]], dtype=np.uint8),  # along the column
    np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.uint8),  # both diagonals
    np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=np.uint8),
)


def hed_map(edges: Sequence[ArrayLike], size: tuple[int, int]) -> Image:
    """Soft edges: 255 * sigmoid(mean of the five maps, each bilinear at ``size``).

    Args:
        edges: ``edge_1`` .. ``edge_5``, logits (1, 1, H/d, W/d) for d = 1, 2, 4, 8, 16.
        size: height and width of the image, in pixels.

    Returns:
        0 to 255 (H, W).

    Raises:
        UsageError: not five maps of one channel each.
    """
    if len(edges) != EDGE_MAPS:
        raise UsageError(f"HED has {len(edges)} edge maps; expected {EDGE_MAPS}")
    logits = [check_map(edge, (1, 1, None, None), f"edge_{i + 1}")[0, 0] for i, edge in enumerate(edges)]
    mean = np.mean([resized_linear(map_, size) for map_ in logits], axis=0)  # (H, W)
    return to_uint8(expit(mean) * 255)


def ridges(edges: Image) -> Image:
    """Non-maximum suppression: the crests of the blurred edges, 0 to 255 (H, W) to 0 or 255 (H, W).

    A pixel stays where it equals the largest of three along its row, its column or either diagonal, and is
    over the threshold.
    """
    blurred = np.asarray(cv2.GaussianBlur(edges.astype(np.float32), (0, 0), BLUR_SIGMA))
    crest = np.any([blurred == cv2.dilate(blurred, kernel) for kernel in RIDGE_KERNELS], axis=0)
    return np.where(crest & (blurred > RIDGE_THRESHOLD), 255, 0).astype(np.uint8)


def scribble_map(edges: Image) -> Image:
    """Strokes along the crests of soft edges: as if a hand had traced the picture.

    Args:
        edges: ``hed_map``'s, 0 to 255 (H, W).

    Returns:
        255 on a stroke, 0 elsewhere (H, W).

    Raises:
        UsageError: it is not a gray image.
    """
    if edges.ndim != 2 or edges.dtype != np.uint8:
        raise UsageError(f"the edges are {edges.dtype} {edges.shape}; expected uint8 (H, W)")
    strokes = np.asarray(cv2.GaussianBlur(ridges(edges), (0, 0), BLUR_SIGMA))
    return np.where(strokes > STROKE_THRESHOLD, 255, 0).astype(np.uint8)


def drawing_map(image: Image) -> Image:
    """A user's drawing, dark on white, RGB (H, W, 3), as white strokes on black.

    Returns:
        255 where the darkest channel is below 127, 0 elsewhere (H, W).

    Raises:
        UsageError: it is not an RGB image.
    """
    check_image(image)
    return np.where(image.min(axis=2) < DARK_THRESHOLD, 255, 0).astype(np.uint8)


LOW_THRESHOLD = 100
"""An edge that touches a strong one goes on down to this gradient."""

HIGH_THRESHOLD = 200
"""A gradient over this is an edge by itself."""


def canny_map(image: Image, low: float = LOW_THRESHOLD, high: float = HIGH_THRESHOLD) -> Image:
    """Edges one pixel wide.

    Args:
        image: RGB (H, W, 3); the channel with the largest gradient decides at each pixel.
        low: on |dx| + |dy| of a 3x3 Sobel.
        high: likewise.

    Returns:
        255 on an edge, 0 elsewhere (H, W).

    Raises:
        UsageError: it is not an RGB image.
    """
    check_image(image)
    return np.asarray(cv2.Canny(image, low, high), dtype=np.uint8)


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
        UsageError: it is not an RGB image.
    """
    colors = planes(image)  # (1, 3, H, W)
    ones = np.ones_like(colors[:, :1])  # (1, 1, H, W)
    four = np.concatenate([colors, ones], axis=1, dtype=np.float32)  # (1, 4, H, W)
    return four / np.float32(127.5) - np.float32(1)


def decode_lines(values: ArrayLike) -> Lines:
    """Find the lines in MLSD's output.

    A line's center is a 3x3 maximum of sigmoid(channel 0) over 0.1, among the 200 highest. Its ends are the
    center plus channels 1, 2 (start, x and y) and 3, 4 (end); the line is longer than 0.1 of a position. Of
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
    """White lines one pixel wide on black, between the pixels that hold the ends: 0 or 255 (H, W).

    Args:
        lines: in pixels of the image.
        size: height and width of the image, in pixels.
    """
    canvas = np.zeros(size, dtype=np.uint8)
    pixels = np.floor(np.clip(lines.ends, -FARTHEST, FARTHEST)).astype(int)
    for x0, y0, x1, y1 in pixels.tolist():
        cv2.line(canvas, (x0, y0), (x1, y1), 255, thickness=1)
    return canvas


DEPTH_RESOLUTION = 384
"""The short side that MiDaS is run at, in pixels."""

NORMAL_Z = 2 * np.pi
"""The normal's third component before it is scaled to length 1: the larger, the flatter the map."""

BACKGROUND = 0.1
"""Below this share of the depth's range, from its farthest point, a surface counts as facing the viewer."""


def midas_input(image: Image) -> Floats:
    """RGB (H, W, 3) to MiDaS's ``image`` (1, 3, H, W), value / 127.5 - 1.

    Raises:
        UsageError: it is not an RGB image.
    """
    return planes(image) / np.float32(127.5) - np.float32(1)


def depth_map(depth: ArrayLike) -> Image:
    """Near is white: 255 * (d - min) / (max - min) (H, W), all 0 where the depth is the same everywhere.

    Args:
        depth: inverse depth (1, H, W), of any scale.

    Raises:
        UsageError: another shape, or NaN.
    """
    return to_uint8(_spread(check_map(depth, (1, None, None), "depth")[0]) * 255)


def normal_map(depth: ArrayLike) -> Image:
    """Surface normals: n = (S_x, S_y, 2 pi) / length, drawn as RGB = 127.5 * n + 127.5.

    S_x and S_y are 3x3 Sobel derivatives of the depth as the network gives it; they are 0 in the background.

    Args:
        depth: inverse depth (1, H, W).

    Returns:
        x in red, y in green, z in blue (H, W, 3).

    Raises:
        UsageError: another shape, or NaN.
    """
    values = check_map(depth, (1, None, None), "depth")[0]  # (H, W)
    background = _spread(values) < BACKGROUND
    x, y = (
        np.where(background, 0, cv2.Sobel(values, cv2.CV_64F, dx, 1 - dx, ksize=3)) for dx in (1, 0)
    )  # each (H, W)
    normal = np.stack([x, y, np.full(x.shape, NORMAL_Z)], axis=2)  # (H, W, 3)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    return to_uint8(normal * 127.5 + 127.5)


def _spread(values: Floats) -> NDArray[np.float64]:
    """The values shifted and scaled to 0..1; all 0 where they are equal."""
    wide = values.astype(np.float64)
    low, high = wide.min(), wide.max()
    return (wide - low) / (high - low) if high > low else np.zeros_like(wide)
