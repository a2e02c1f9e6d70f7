"""Source nodes that compute the same from the same: a runtime computes one of them for all."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import ValueView

SMALL = 64
"""Constants of up to so many elements are compared by what they hold: a file repeats shapes and axes."""


def twins_of(graph: Graph) -> Sequence[Sequence[int]]:
    """The nodes of the same operator, attributes and inputs, where there are several, by index."""
    twins: dict[Hashable, list[int]] = {}
    same: dict[str, str] = {}
    for index, node in enumerate(graph.nodes):
        if node.constant_folded or node.bodies:
            continue
        view = node.view
        inputs = tuple(_identity(value, same) for value in view.inputs)
        attributes = tuple(sorted((name, repr(value)) for name, value in view.attributes.items()))
        alike = twins.setdefault((view.domain, view.op_type, attributes, inputs, node.within), [])
        alike.append(index)
        for ours, first in zip(view.outputs, graph.nodes[alike[0]].view.outputs, strict=False):
            if ours is not None and first is not None:
                same[ours.name] = first.name
    return [alike for alike in twins.values() if len(alike) > 1]


def _identity(value: ValueView | None, same: Mapping[str, str]) -> Hashable:
    """What two inputs have in common if and only if they are the same value."""
    if value is None:
        return None
    held = _small_constant(value)
    if held is not None:
        return held.dtype.str, held.shape, held.tobytes()
    return same.get(value.name, value.name)


def _small_constant(value: ValueView) -> np.ndarray | None:
    if value.read_constant is None or value.shape is None or not all(isinstance(d, int) for d in value.shape):
        return None
    return value.read_constant() if value.elements <= SMALL else None
