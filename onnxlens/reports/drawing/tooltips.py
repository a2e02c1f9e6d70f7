"""What a picture says to who points at a part of it: full names and exact figures."""

from __future__ import annotations

from collections.abc import Iterable

from onnxlens.reports.drawing.frames import Frame
from onnxlens.reports.drawing.links import Tag
from onnxlens.specs.flow import FlowNode
from onnxlens.specs.tensor import TensorSpec


def box_tooltip(node: FlowNode) -> str:
    """Class, path, and every known cost."""
    names = [f"{node.order} {node.title}", *([node.path] if node.path else [])]
    if node.repeats > 1:
        names.append(f"{node.repeats} equal blocks; figures of one")
    return "\n".join([*names, *(f"{name}: {exact(figure)}" for name, figure in node.costs.items())])


def frame_tooltip(frame: Frame) -> str:
    """Class and path."""
    return "\n".join(filter(None, (frame.class_name, frame.path)))


def line_tooltip(tensors: Iterable[TensorSpec]) -> str:
    """Name, shape, type and size of every tensor."""
    return "\n".join(_tensor(tensor) for tensor in tensors)


def skip_tooltip(tag: Tag) -> str:
    """Which skip connection, and its tensors."""
    return f"{tag.words}\n{line_tooltip(tag.tensors)}"


def exact(figure: int | float) -> str:
    """An integer with its thousands apart, a measured figure with all its digits."""
    return f"{figure:,}" if isinstance(figure, int) else repr(figure)


def _tensor(tensor: TensorSpec) -> str:
    size = "" if tensor.size_bytes is None else f", {exact(tensor.size_bytes)} bytes"
    return f"{tensor.name}: {tensor.shape_text()} {tensor.dtype}{size}"
