"""Soft edges from HED's five maps, and scribbles: thinned and thickened edges, or a user's own drawing."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.images import (
    Floats,
    Image,
    check_image,
    check_map,
    resized_linear,
    to_uint8,
)
from onnxlens.reference_model.annotators.preprocessing import planes

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


def hed_input(image: Image) -> Floats:
    """RGB (H, W, 3) to HED's ``image`` (1, 3, H, W), 0 to 255.

    Raises:
        UsageError: it is no RGB image.
    """
    check_image(image)
    return planes(image)


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
    """Non-maximum suppression: the crests of the blurred edges.

    A pixel stays where it equals the largest of three along its row, its column or either diagonal, and is
    over the threshold.

    Args:
        edges: soft edges, 0 to 255 (H, W).

    Returns:
        255 on a crest, 0 elsewhere (H, W).
    """
    blurred = np.asarray(cv2.GaussianBlur(edges.astype(np.float32), (0, 0), BLUR_SIGMA))
    crest = np.zeros(blurred.shape, dtype=bool)
    for kernel in RIDGE_KERNELS:
        crest |= blurred == cv2.dilate(blurred, kernel)
    return np.where(crest & (blurred > RIDGE_THRESHOLD), 255, 0).astype(np.uint8)


def scribble_map(edges: Image) -> Image:
    """Strokes along the crests of soft edges: as if a hand had traced the picture.

    Args:
        edges: ``hed_map``'s, 0 to 255 (H, W).

    Returns:
        255 on a stroke, 0 elsewhere (H, W).

    Raises:
        UsageError: it is no grey image.
    """
    if edges.ndim != 2 or edges.dtype != np.uint8:
        raise UsageError(f"the edges are {edges.dtype} {edges.shape}; expected uint8 (H, W)")
    strokes = np.asarray(cv2.GaussianBlur(ridges(edges), (0, 0), BLUR_SIGMA))
    return np.where(strokes > STROKE_THRESHOLD, 255, 0).astype(np.uint8)


def drawing_map(image: Image) -> Image:
    """A user's drawing, dark on white, as white strokes on black.

    Args:
        image: RGB (H, W, 3).

    Returns:
        255 where the darkest channel is below 127, 0 elsewhere (H, W).

    Raises:
        UsageError: it is no RGB image.
    """
    check_image(image)
    return np.where(image.min(axis=2) < DARK_THRESHOLD, 255, 0).astype(np.uint8)
