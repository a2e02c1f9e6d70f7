"""From a picture to the size of a control image, and from a control image to ControlNet's input."""

from __future__ import annotations

import cv2
import numpy as np

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.images import Floats, Image, check_image, resized

RESOLUTION = 512
"""The short side that Stable Diffusion 1.5 was trained on, in pixels."""

MULTIPLE = 64
"""Both sides are multiples of this, in pixels: ControlNet and UNet halve the latent's 1/8 three times."""

MAX_SIDE = 16384
"""In pixels; a strip that would be longer is refused before it takes the memory."""


def control_size(height: int, width: int, resolution: int = RESOLUTION) -> tuple[int, int]:
    """Height and width of the control image, in pixels.

    side = 64 * round(side * resolution / min(height, width) / 64), a half rounded to the even multiple.

    Raises:
        UsageError: the resolution is under 64, or the picture too long a strip.
    """
    if resolution < MULTIPLE:
        raise UsageError(f"resolution {resolution}: expected the short side in pixels, at least {MULTIPLE}")
    short = min(height, width)
    size = (
        MULTIPLE * round(height * resolution / short / MULTIPLE),
        MULTIPLE * round(width * resolution / short / MULTIPLE),
    )
    if max(size) > MAX_SIDE:
        raise UsageError(
            f"the image of {height}x{width} would become {size[0]}x{size[1]}; "
            f"expected sides of at most {MAX_SIDE} pixels: crop it, or ask for a lower resolution"
        )
    return size


def resize_to_control(image: Image, resolution: int = RESOLUTION) -> Image:
    """The picture at ``control_size``: Lanczos over 8x8 pixels when it grows, the mean of areas otherwise.

    Raises:
        UsageError: it is no RGB image, or the size is refused.
    """
    check_image(image)
    height, width = image.shape[:2]
    size = control_size(height, width, resolution)
    grows = resolution > min(height, width)
    return resized(image, size, cv2.INTER_LANCZOS4 if grows else cv2.INTER_AREA)


def planes(image: Image) -> Floats:
    """The image's values as they are, 0 to 255: (H, W, 3) to (1, 3, H, W) float32."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)


def control_tensor(image: Image) -> Floats:
    """ControlNet's ``hint``: an RGB map (H, W, 3) to (1, 3, H, W), value / 255.

    Raises:
        UsageError: it is no RGB image.
    """
    check_image(image)
    return planes(image) / np.float32(255)
