"""Pose maps painted from known joints, at the image's size, and bodies to paint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from onnxlens.reference_model.annotators.pose_limbs import JOINTS, LIMBS

Body = Mapping[str, tuple[int, int]]
Floats = NDArray[np.float32]

STANDING: Body = {
    "nose": (50, 20),
    "neck": (50, 36),
    "right_shoulder": (38, 38),
    "right_elbow": (30, 54),
    "right_wrist": (24, 70),
    "left_shoulder": (62, 38),
    "left_elbow": (70, 54),
    "left_wrist": (76, 70),
    "right_hip": (42, 72),
    "right_knee": (40, 92),
    "right_ankle": (38, 112),
    "left_hip": (58, 72),
    "left_knee": (60, 92),
    "left_ankle": (62, 112),
    "right_eye": (46, 16),
    "left_eye": (54, 16),
    "right_ear": (40, 18),
    "left_ear": (60, 18),
}
"""Every joint, the right side at the left of the picture; for maps of 128 x 100."""

SIZE = (128, 100)


def blob(size: tuple[int, int], at: tuple[int, int], sigma: float = 3.0) -> Floats:
    """A Gaussian of height 1 at the pixel (x, y)."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma**2)).astype(np.float32)


def heatmaps(bodies: Sequence[Body], size: tuple[int, int] = SIZE, hidden: Sequence[str] = ()) -> Floats:
    """A blob for each joint that is not hidden (19, H, W)."""
    maps = np.zeros((19, *size), dtype=np.float32)
    for body in bodies:
        for joint, at in body.items():
            if joint not in hidden:
                channel = maps[JOINTS.index(joint)]
                np.maximum(channel, blob(size, at), out=channel)
    maps[18] = 1 - maps[:18].max(axis=0)
    return maps


def fields(
    bodies: Sequence[Body], size: tuple[int, int] = SIZE, hidden: Sequence[tuple[str, str]] = ()
) -> Floats:
    """Unit vectors within 3 pixels of each limb that is not hidden, means where limbs cross (38, H, W)."""
    sums, counts = np.zeros((38, *size)), np.zeros((38, *size))
    for limb in LIMBS:
        names = (JOINTS[limb.joints[0]], JOINTS[limb.joints[1]])
        for body in bodies:
            if names not in hidden and all(name in body for name in names):
                near, unit = _along(body[names[0]], body[names[1]], size)
                for channel, part in zip(limb.field, unit, strict=True):
                    sums[channel][near] += part
                    counts[channel][near] += 1
    return (sums / np.maximum(counts, 1)).astype(np.float32)


def _along(
    start: tuple[int, int], end: tuple[int, int], size: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    y, x = np.mgrid[: size[0], : size[1]]
    vector = np.subtract(end, start)
    length = np.hypot(*vector)
    unit = vector / length
    ahead = (x - start[0]) * unit[0] + (y - start[1]) * unit[1]
    aside = (x - start[0]) * unit[1] - (y - start[1]) * unit[0]
    return (ahead > -3) & (ahead < length + 3) & (np.abs(aside) < 3), unit
