"""Canny's edge detector (Canny 1986), as OpenCV has it."""

from __future__ import annotations

import cv2
import numpy as np

from onnxlens.reference_model.annotators.images import Image, check_image

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
        UsageError: it is no RGB image.
    """
    check_image(image)
    return np.asarray(cv2.Canny(image, low, high), dtype=np.uint8)
