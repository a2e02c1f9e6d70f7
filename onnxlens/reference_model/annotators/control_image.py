"""From a picture to a control image; the caller passes in the function that runs the networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators import maps, pose, pose_images
from onnxlens.reference_model.annotators.images import (
    RESOLUTION,
    Floats,
    Image,
    check_image,
    control_size,
    planes,
    resize_to_control,
    resized_linear,
    to_rgb,
)
from onnxlens.reference_model.annotators.pose_images import (
    BODY_SCALE,
    HAND_SCALES,
    maps_at_image,
    scale_image,
)

MIDAS = "midas-dpt-hybrid"

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
        pose_images.draw_person(canvas, person)
    for points in found.hands:
        pose_images.draw_hand(canvas, points)
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
        "scribble": Annotator(("hed",), lambda image, run: maps.scribble_map(_hed(image, run))),
        "scribble-drawing": Annotator((), lambda image, run: maps.drawing_map(image)),
    }
)
"""By kind of control."""
