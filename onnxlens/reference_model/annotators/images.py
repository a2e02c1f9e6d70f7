"""Images and maps as arrays: reading, checking, resizing, and the layout that networks take."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxlens.errors import UsageError

STDERR = 2

Scalar = TypeVar("Scalar", bound=np.generic)

Image = NDArray[np.uint8]
"""RGB (H, W, 3), or gray (H, W)."""

Floats = NDArray[np.float32]


def check_image(image: Image) -> None:
    """Refuse anything but an RGB image.

    Raises:
        UsageError: not an array of uint8 (H, W, 3) with at least one pixel.
    """
    found = f"{type(image).__name__} of {getattr(image, 'dtype', '?')} {np.shape(image)}"
    rgb = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    if not rgb or image.dtype != np.uint8:
        raise UsageError(f"the image is a {found}; expected RGB as a numpy array of uint8 (H, W, 3)")


def check_map(values: ArrayLike, shape: tuple[int | None, ...], what: str) -> Floats:
    """The map in float32, once it has the expected shape and no NaN or infinity.

    Args:
        values: a network's output.
        shape: None where any size will do.
        what: the output's name, for the message.

    Raises:
        UsageError: another shape, or a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float32)
    fits = array.ndim == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    if not fits or array.size == 0:
        expected = ", ".join("any" if side is None else str(side) for side in shape)
        raise UsageError(f"{what} has the shape {array.shape}; expected ({expected})")
    if not np.isfinite(array).all():
        raise UsageError(
            f"{what} holds NaN or infinity; expected finite numbers: check the network's weights"
        )
    return array


def to_uint8(values: ArrayLike) -> Image:
    """Values clipped to 0..255, their fractions dropped."""
    return np.asarray(np.clip(values, 0, 255), dtype=np.uint8)


def to_rgb(image: Image) -> Image:
    """A gray (H, W) image as RGB (H, W, 3); an RGB image as it is."""
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image


def resized(image: NDArray[Scalar], size: tuple[int, int], interpolation: int) -> NDArray[Scalar]:
    """The image (H, W) or (H, W, C) at ``size`` (height, width), by one of OpenCV's interpolations."""
    scaled = cv2.resize(image, (size[1], size[0]), interpolation=interpolation)
    return np.asarray(scaled, dtype=image.dtype).reshape(*size, *image.shape[2:])


def resized_linear(image: NDArray[Scalar], size: tuple[int, int]) -> NDArray[Scalar]:
    """The image or map at ``size`` (height, width), bilinear; itself where it has that size already."""
    return image if image.shape[:2] == size else resized(image, size, cv2.INTER_LINEAR)


def read_image(path: Path) -> Image:
    """The picture in a file, RGB (H, W, 3).

    Raises:
        UsageError: there is no such file, it is not a picture, or only the beginning of one.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give a picture")
    try:
        with TemporaryFile() as lines:
            with _printing_into(lines.fileno()):
                values = cv2.imread(str(path), cv2.IMREAD_COLOR)
            lines.seek(0)
            is_cut = b"Premature end" in lines.read()
    except cv2.error as error:
        raise UsageError(
            f"{path}: OpenCV refuses it ({' '.join(error.err.split())}); give a smaller picture"
        ) from error
    if values is None:
        raise UsageError(f"{path}: not a picture that OpenCV can read; give a .png or .jpg")
    if is_cut:  # OpenCV fills the rest with gray
        raise UsageError(f"{path}: ends before the whole picture is there; copy or download it again")
    return np.ascontiguousarray(values[:, :, ::-1])


@contextmanager
def _printing_into(file: int) -> Iterator[None]:
    """What is printed on stderr goes there meanwhile: codecs and OpenCV print what they find, past Python."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        os.dup2(file, STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)


def require_picture_suffix(path: Path) -> None:
    """Refuse a file to write before any work is done for it.

    Raises:
        UsageError: the suffix is not a picture's.
    """
    if not cv2.haveImageWriter(path.name):
        raise UsageError(f"{path}: suffix {path.suffix!r} is no picture's; choose .png")


def write_image(image: Image, path: Path) -> None:
    """Write RGB (H, W, 3) as a picture, in the format that the suffix names.

    Raises:
        OSError: the file cannot be written; OpenCV's own writer says nothing of a full disk.
    """
    path.write_bytes(cv2.imencode(path.suffix, image[:, :, ::-1])[1].tobytes())


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
        UsageError: it is not an RGB image, or the size is refused.
    """
    check_image(image)
    height, width = image.shape[:2]
    size = control_size(height, width, resolution)
    grows = resolution > min(height, width)
    return resized(image, size, cv2.INTER_LANCZOS4 if grows else cv2.INTER_AREA)


def planes(image: Image) -> Floats:
    """The image's values as they are, 0 to 255: RGB (H, W, 3) to (1, 3, H, W) float32, as HED takes it.

    Raises:
        UsageError: it is not an RGB image.
    """
    check_image(image)
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)
