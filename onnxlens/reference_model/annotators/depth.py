"""Depth and normal maps from MiDaS's inverse depth (Ranftl et al. 2021, arXiv 2103.13413)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxlens.reference_model.annotators.images import Floats, Image, check_image, check_map, to_uint8
from onnxlens.reference_model.annotators.preprocessing import planes

DEPTH_RESOLUTION = 384
"""The short side that MiDaS is run at, in pixels."""

NORMAL_Z = 2 * np.pi
"""The normal's third component before it is scaled to length 1: the larger, the flatter the map."""

BACKGROUND = 0.1
"""Below this share of the depth's range, from its farthest point, a surface counts as facing the viewer."""


def midas_input(image: Image) -> Floats:
    """RGB (H, W, 3) to MiDaS's ``image`` (1, 3, H, W), value / 127.5 - 1.

    Raises:
        UsageError: it is no RGB image.
    """
    check_image(image)
    return planes(image) / np.float32(127.5) - np.float32(1)


def depth_map(depth: ArrayLike) -> Image:
    """Near is white: 255 * (d - min) / (max - min), all 0 where the depth is the same everywhere.

    Args:
        depth: inverse depth (1, H, W), of any scale.

    Returns:
        0 to 255 (H, W).

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
    """The values moved and scaled to 0..1; all 0 where they are equal."""
    wide = values.astype(np.float64)
    low, high = wide.min(), wide.max()
    return (wide - low) / (high - low) if high > low else np.zeros_like(wide)
