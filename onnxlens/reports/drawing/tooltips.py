"""What a picture says to who points at a part of it: full names and exact figures."""

from __future__ import annotations

from collections.abc import Iterable

from onnxlens.reports.drawing.frames import Frame
from onnxlens.reports.drawing.links import Tag
from onnxlens.specs.flow import FlowNode
from onnxlens.specs.tensor import TensorSpec


def box_tooltip(node: FlowNode, lane: int = 0) -> str:
    """Class, path, lane, and every known cost."""
    lines = [f"{node.order} {node.title}", *([node.path] if node.path else [])]
    if lane:
        lines.append(f"lane {lane}")
    if node.repeats > 1:
        lines.append(f"{node.repeats} equal blocks; figures of one")
    return "\n".join([*lines, *(f"{name}: {_exact(figure)}" for name, figure in node.costs.items())])


def end_tooltip(node: FlowNode) -> str:
    """Whether it is an input or an output, and its name."""
    return f"{node.kind} {node.title}"


def frame_tooltip(frame: Frame) -> str:
    """Class and path."""
    return "\n".join(filter(None, (frame.class_name, frame.path)))


def tag_tooltip(tag: Tag) -> str:
    """What is at the far end, and the tensors."""
    return f"{tag.words}\n{tensors_tooltip(tag.tensors)}"


def tensors_tooltip(tensors: Iterable[TensorSpec]) -> str:
    """Name, shape, type and size of every tensor, a line each."""
    return "\n".join(_tensor(tensor) for tensor in tensors)


def _tensor(tensor: TensorSpec) -> str:
    size = "" if tensor.size_bytes is None else f", {_exact(tensor.size_bytes)} bytes"
    return f"{tensor.name}: {tensor.shape_text()} {tensor.dtype}{size}"


def _exact(figure: int | float) -> str:
    """An integer with its thousands apart, a measured figure with all its digits."""
    return f"{figure:,}" if isinstance(figure, int) else repr(figure)
