"""Resize and Upsample: movement when they pick the nearest element, arithmetic when they interpolate."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.node_view import NodeView, NotCountable
from onnxlens.profile.rules.work import NOTHING, VECTOR, Rule, Work

TAPS_PER_AXIS: Mapping[str, int] = {"nearest": 1, "linear": 2, "bilinear": 2, "cubic": 4}
"""Input elements that are mixed into an output element, along each resized axis."""


def resize(node: NodeView) -> Work:
    """Per output element ``taps`` multiplies and ``taps - 1`` adds; taps = (2 or 4) ** (axes it resizes).

    One tap is a copy: nearest, or no axis that changes. The coefficients are few and are not counted.

    Raises:
        NotCountable: it shrinks an axis with ``antialias``, which widens the filter.
    """
    before, after = node.input_shape(0), node.output_shape(0)
    shrinks = any(new < old for old, new in zip(before, after, strict=True))
    if shrinks and node.attribute("antialias", 0):
        raise NotCountable(f"{node.op_type} with antialias has no rule where it shrinks {before} to {after}")
    resized_axes = sum(old != new for old, new in zip(before, after, strict=True))
    return mixed(node.attribute("mode", "nearest"), resized_axes) * prod(after)


def mixed(mode: str, axes: int) -> Work:
    """Per output element: ``taps`` multiplies and ``taps - 1`` adds, or nothing where one tap is copied."""
    taps = TAPS_PER_AXIS[mode] ** axes
    return NOTHING if taps == 1 else (2 * taps - 1) * VECTOR


RULES: Mapping[str, Rule] = {
    "Resize": resize,
    "Upsample": resize,
}
