"""Resize and Upsample: movement when they pick the nearest element, arithmetic when they interpolate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod

from onnxlens.profile.count.rules.work import NOTHING, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView

TAPS_PER_AXIS: Mapping[str, int] = {"nearest": 1, "linear": 2, "bilinear": 2, "cubic": 4}
"""Input elements that are mixed into an output element, along each resized axis."""

SCALES_INPUT = 2


def mixed(taps: int) -> Work:
    """Per output element: ``taps`` multiplies and ``taps - 1`` adds, or nothing where one tap is copied."""
    return NOTHING if taps == 1 else (2 * taps - 1) * VECTOR


def resize(node: NodeView) -> Work:
    """Per output element ``taps`` multiplies and ``taps - 1`` adds; taps = (2 or 4) ** (axes it resizes).

    One tap is a copy: nearest, or no axis that changes. The coefficients are few and are not counted. With
    ``antialias`` an axis that shrinks by the factor s has a wider filter: 2 or 4 taps become 2 * ceil(s), or
    2 * ceil(2 * s).
    """
    return mixed(prod(_taps_by_axis(node))) * prod(node.output_shape(0))


def _taps_by_axis(node: NodeView) -> Sequence[int]:
    """The elements mixed along each axis; 1 where the axis keeps its size."""
    taps = TAPS_PER_AXIS[node.attribute("mode", "nearest")]
    filtered = taps > 1 and bool(node.attribute("antialias", 0))
    sizes = zip(node.input_shape(0), node.output_shape(0), _shrinkings(node), strict=True)
    return [
        1 if old == new else 2 * ceil(taps // 2 * max(shrinking, 1)) if filtered else taps
        for old, new, shrinking in sizes
    ]


def _shrinkings(node: NodeView) -> Sequence[float]:
    """By what each axis shrinks: the inverse of the scales where the file holds them, else old / new size."""
    before, after = node.input_shape(0), node.output_shape(0)
    by_size = [old / max(new, 1) for old, new in zip(before, after, strict=True)]
    scales = node.input(SCALES_INPUT) if node.has_input(SCALES_INPUT) else None
    values = scales.read_constant() if scales is not None and scales.read_constant is not None else None
    if values is None or not values.size:
        return by_size
    axes = node.attribute("axes") or range(len(before))
    by_scale = {axis % len(before): float(1 / value) for axis, value in zip(axes, values, strict=True)}
    return [by_scale.get(axis, by_size[axis]) for axis in range(len(before))]


RULES: Mapping[str, Rule] = {
    "Resize": resize,
    "Upsample": resize,
}
