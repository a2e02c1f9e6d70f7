"""What a stretch of nodes computes, apart from where it stands and which weights it has."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from onnxlens.profile.flow.boxes import Box
from onnxlens.profile.graph.graph import GraphNode
from onnxlens.profile.graph.node_view import ValueView

Places = Mapping[str, int]
"""The tensors made in the stretch, numbered as they are made."""


def structure_of(box: Box) -> Hashable:
    """Equal for two stretches that run the same operators on the same shapes, wired alike inside."""
    places: dict[str, int] = {}
    described: list[Hashable] = []
    for node in box.nodes:
        described.append(_described(node, places))
        for value in node.view.outputs:
            if value is not None:
                places[value.name] = len(places)
    return tuple(described)


def _described(node: GraphNode, places: Places) -> Hashable:
    view = node.view
    attributes = tuple((name, _plain(view.attributes[name])) for name in sorted(view.attributes))
    reads = tuple(_read(value, places) for value in view.inputs)
    makes = tuple(value and (value.dtype, value.shape) for value in view.outputs)
    return view.domain, view.op_type, attributes, reads, makes


def _read(value: ValueView | None, places: Places) -> Hashable:
    """Which tensor of the stretch, or what kind of tensor from outside it."""
    if value is None:
        return None
    return places.get(value.name, (value.dtype, value.shape, value.is_weight))


def _plain(attribute: object) -> Hashable:
    """Arrays as their bytes."""
    tobytes = getattr(attribute, "tobytes", None)
    return tobytes() if callable(tobytes) else repr(attribute)
