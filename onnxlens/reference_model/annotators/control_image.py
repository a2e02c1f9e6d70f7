"""From a picture to a control image, poses drawn on black among them; the caller runs the networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators import maps, pose, segmentation
from onnxlens.reference_model.annotators.images import (
    RESOLUTION,
    Floats,
    Image,
    check_image,
    check_map,
    control_size,
    planes,
    resize_to_control,
    resized,
    resized_linear,
    to_rgb,
)
from onnxlens.reference_model.annotators.pose import Person, Point
from onnxlens.reference_model.annotators.pose_limbs import (
    BODY_LIMBS,
    COLORS,
    HAND_EDGES,
    HAND_POINT_COLOR,
    LIMBS,
    Rgb,
    hue,
)

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
        UsageError: it is not an RGB image.
    """
    check_image(image)
    size = scaled_size(image.shape[0], image.shape[1], scale)
    small = resized(image, size, cv2.INTER_CUBIC)
    margins = ((0, -size[0] % STRIDE), (0, -size[1] % STRIDE), (0, 0))
    padded = np.pad(small, margins, constant_values=PAD_VALUE)
    array = planes(padded[:, :, ::-1]) / np.float32(256) - np.float32(0.5)
    return ScaledImage(array, size)


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """The size in pixels that an image is taken to, before it is padded."""
    factor = scale * BASE_HEIGHT / height
    return max(1, round(height * factor)), max(1, round(width * factor))


def padded_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """The size of a network's input in pixels, for an image of that size."""
    high, wide = scaled_size(height, width, scale)
    return high + -high % STRIDE, wide + -wide % STRIDE


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


LIMB_WIDTH = 4
HAND_WIDTH = 2
RADIUS = 4
"""Of joints and of a hand's points. All in pixels."""


def draw_person(canvas: Image, person: Person) -> None:
    """Draw the first 17 limbs, each where both of its joints were found, then the joints over them.

    The person's points are in pixels of the canvas, RGB (H, W, 3), which is drawn into.
    """
    for limb, color in zip(LIMBS[:BODY_LIMBS], COLORS, strict=False):
        _line(canvas, person.joints[limb.joints[0]], person.joints[limb.joints[1]], color, LIMB_WIDTH)
    for joint, color in zip(person.joints, COLORS, strict=True):
        _disc(canvas, joint, color)


def draw_hand(canvas: Image, points: Sequence[Point | None]) -> None:
    """Draw the 20 edges, each where both of its points were found, then the 21 points over them.

    The points are in pixels of the canvas, RGB (H, W, 3), which is drawn into.
    """
    for index, (first, second) in enumerate(HAND_EDGES):
        _line(canvas, points[first], points[second], hand_edge_color(index), HAND_WIDTH)
    for point in points:
        _disc(canvas, point, HAND_POINT_COLOR)


def hand_edge_color(index: int) -> Rgb:
    """Edge k of 20 has the hue k / 20; RGB."""
    return hue(index / len(HAND_EDGES))


def _line(canvas: Image, first: Point | None, second: Point | None, color: Rgb, width: int) -> None:
    if first is not None and second is not None:
        cv2.line(canvas, _pixel(first), _pixel(second), color, thickness=width)


def _disc(canvas: Image, point: Point | None, color: Rgb) -> None:
    if point is not None:
        cv2.circle(canvas, _pixel(point), RADIUS, color, thickness=cv2.FILLED)


def _pixel(point: Point) -> tuple[int, int]:
    return int(point.x), int(point.y)


MIDAS, UNIFORMER = "midas-dpt-hybrid", "uniformer-seg"

Run = Callable[[str, Floats], Mapping[str, NDArray[np.floating]]]
"""Runs a graph of the catalog by name: its ``image`` (1, C, H, W), of any size, to its outputs by name."""


@dataclass(frozen=True, slots=True)
class Annotator:
    """One kind of control image.

    Attributes:
        graphs: the networks it asks for.
        draw: from a picture at the annotator's resolution to its map, gray (H, W) or RGB.
        resolution: the short side in pixels; None for the control image's own.
    """

    graphs: tuple[str, ...]
    draw: Callable[[Image, Run], Image]
    resolution: int | None = None


@dataclass(frozen=True, slots=True)
class Pose:
    """What OpenPose finds.

    Attributes:
        persons: bodies, in pixels of the image.
        hands: 21 points each, likewise.
    """

    persons: tuple[pose.Person, ...]
    hands: tuple[tuple[pose.Point | None, ...], ...]


def annotate(image: Image, kind: str, run: Run, resolution: int = RESOLUTION) -> Image:
    """The control image of a picture.

    Args:
        image: RGB (H, W, 3) uint8.
        kind: one of ``ANNOTATORS``.
        run: runs the networks that the kind asks for.
        resolution: the control image's short side in pixels; both sides are rounded to multiples of 64.

    Returns:
        RGB (H, W, 3), 0 to 255.

    Raises:
        UsageError: an unknown kind, a picture or a size that cannot be taken, or outputs that are not the
            network's.
    """
    if kind not in ANNOTATORS:
        raise UsageError(f"unknown kind of control {kind!r}: the kinds are {', '.join(ANNOTATORS)}")
    check_image(image)
    annotator = ANNOTATORS[kind]
    size = control_size(image.shape[0], image.shape[1], resolution)
    picture = resize_to_control(image, annotator.resolution or resolution)
    return to_rgb(resized_linear(annotator.draw(picture, run), size))


def find_pose(image: Image, run: Run) -> Pose:
    """Bodies at their scale, then the hands of each, in boxes beyond the wrists, at four scales.

    Args:
        image: RGB (H, W, 3), at the size that the points are wanted at.
        run: runs ``openpose-body`` and ``openpose-hand``.

    Raises:
        UsageError: the image or an output is not what it should be.
    """
    size = (image.shape[0], image.shape[1])
    scaled = scale_image(image, BODY_SCALE)
    heatmaps, fields = (
        maps_at_image(values, scaled, size, name)
        for name, values in _outputs(run, "openpose-body", scaled.array, "heatmap", "paf").items()
    )
    persons = pose.find_persons(heatmaps, fields)
    boxes = pose.hand_boxes(persons, size)
    return Pose(tuple(persons), tuple(_hand_in_box(image, box, run) for box in boxes))


def draw_pose(found: Pose, size: tuple[int, int]) -> Image:
    """Bodies, then hands over them, on black: RGB (H, W, 3) of ``size`` (height, width)."""
    canvas = np.zeros((*size, 3), dtype=np.uint8)
    for person in found.persons:
        draw_person(canvas, person)
    for points in found.hands:
        draw_hand(canvas, points)
    return canvas


def _hand_in_box(image: Image, box: pose.HandBox, run: Run) -> tuple[pose.Point | None, ...]:
    """The hand in the box, in pixels of the image: from the mean of its heatmaps over the scales."""
    crop = image[box.top : box.top + box.side, box.left : box.left + box.side]
    maps = []
    for scale in HAND_SCALES:
        scaled = scale_image(crop, scale)
        heatmap = _outputs(run, "openpose-hand", scaled.array, "heatmap")["heatmap"]
        maps.append(maps_at_image(heatmap, scaled, (box.side, box.side), "heatmap"))
    points = pose.find_hand(np.mean(maps, axis=0))
    return tuple(point and replace(point, x=point.x + box.left, y=point.y + box.top) for point in points)


def _outputs(run: Run, graph: str, array: Floats, *names: str) -> dict[str, NDArray[np.floating]]:
    """The graph's outputs, in the order of the names."""
    outputs = run(graph, array)
    missing = [name for name in names if name not in outputs]
    if missing:
        raise UsageError(f"{graph} gave {', '.join(outputs) or 'nothing'}; expected {', '.join(missing)} too")
    return {name: outputs[name] for name in names}


def _hed(image: Image, run: Run) -> Image:
    names = tuple(f"edge_{index + 1}" for index in range(maps.EDGE_MAPS))
    outputs = _outputs(run, "hed", planes(image), *names)
    return maps.hed_map(tuple(outputs.values()), (image.shape[0], image.shape[1]))


def _mlsd(image: Image, run: Run) -> Image:
    found = maps.decode_lines(_outputs(run, "mlsd-large", maps.mlsd_input(image), "lines")["lines"])
    return maps.line_map(found, (image.shape[0], image.shape[1]))


def _openpose(image: Image, run: Run) -> Image:
    return draw_pose(find_pose(image, run), (image.shape[0], image.shape[1]))


def _midas(image: Image, run: Run) -> NDArray[np.floating]:
    return _outputs(run, MIDAS, maps.midas_input(image), "depth")["depth"]


def _seg(image: Image, run: Run) -> Image:
    scores = _outputs(run, UNIFORMER, segmentation.seg_input(image), "scores")["scores"]
    return segmentation.seg_map(scores, (image.shape[0], image.shape[1]))


ANNOTATORS: Mapping[str, Annotator] = MappingProxyType(
    {
        "canny": Annotator((), lambda image, run: maps.canny_map(image)),
        "hed": Annotator(("hed",), _hed),
        "mlsd": Annotator(("mlsd-large",), _mlsd),
        "openpose": Annotator(("openpose-body", "openpose-hand"), _openpose),
        "depth": Annotator(
            (MIDAS,), lambda image, run: maps.depth_map(_midas(image, run)), maps.DEPTH_RESOLUTION
        ),
        "normal": Annotator(
            (MIDAS,), lambda image, run: maps.normal_map(_midas(image, run)), maps.DEPTH_RESOLUTION
        ),
        "seg": Annotator((UNIFORMER,), _seg),
        "scribble": Annotator(("hed",), lambda image, run: maps.scribble_map(_hed(image, run))),
        "scribble-drawing": Annotator((), lambda image, run: maps.drawing_map(image)),
    }
)
"""By kind of control."""
