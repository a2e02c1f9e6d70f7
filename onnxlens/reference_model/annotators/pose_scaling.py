"""OpenPose's scales: from an image to a network's input, and from its maps back to the image's pixels."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from onnxlens.reference_model.annotators.images import Floats, Image, check_image, check_map, resized
from onnxlens.reference_model.annotators.preprocessing import planes

BASE_HEIGHT = 368
"""The height that scale 1 means, in pixels."""

BODY_SCALE = 0.5
HAND_SCALES = (0.5, 1.0, 1.5, 2.0)

STRIDE = 8
"""Pixels of the input to one position of a map, along each side."""

PAD_VALUE = 128


class ScaledImage(NamedTuple):
    """A network's input.

    Attributes:
        array: BGR, value / 256 - 0.5, padded (1, 3, H, W).
        size: height and width without the padding, in pixels.
    """

    array: Floats
    size: tuple[int, int]


def scale_image(image: Image, scale: float) -> ScaledImage:
    """The input at a scale: ``scale * 368`` pixels high, its sides padded to multiples of 8.

    The padding is 128, on the right and at the bottom. Sizes are rounded, a half to the even pixel.

    Raises:
        UsageError: it is no RGB image.
    """
    check_image(image)
    height, width = image.shape[:2]
    factor = scale * BASE_HEIGHT / height
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    small = resized(image, size, cv2.INTER_CUBIC)
    margins = ((0, -size[0] % STRIDE), (0, -size[1] % STRIDE), (0, 0))
    padded = np.pad(small, margins, constant_values=PAD_VALUE)
    array = planes(padded[:, :, ::-1]) / np.float32(256) - np.float32(0.5)
    return ScaledImage(array, size)


def maps_at_image(values: ArrayLike, scaled: ScaledImage, image_size: tuple[int, int], what: str) -> Floats:
    """A network's maps at the image's size: 8 times larger, without the padding, then to the image; cubic.

    Args:
        values: (1, C, H/8, W/8) for an input of (H, W).
        scaled: the input they were made from.
        image_size: height and width of the image, in pixels.
        what: the output's name, for messages.

    Returns:
        (C, image height, image width).

    Raises:
        UsageError: the maps do not belong to the input.
    """
    height, width = scaled.array.shape[2:]
    maps = check_map(values, (1, None, height // STRIDE, width // STRIDE), what)[0]
    planes_last = np.ascontiguousarray(maps.transpose(1, 2, 0))  # (H/8, W/8, C)
    large = resized(planes_last, (height, width), cv2.INTER_CUBIC)
    cropped = large[: scaled.size[0], : scaled.size[1]]
    fitted = resized(np.ascontiguousarray(cropped), image_size, cv2.INTER_CUBIC)
    return np.ascontiguousarray(fitted.transpose(2, 0, 1), dtype=np.float32)
