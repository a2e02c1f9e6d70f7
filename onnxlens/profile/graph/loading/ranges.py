"""The numbers that an operator's attributes may be: of those that are not, some count 0 and two cancel out.

ONNX's shape inference, and with it ONNX Runtime, refuses all of these, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnxlens.errors import GraphError
from onnxlens.profile.graph.loading.protobuf import FileGraph, FileNode
from onnxlens.profile.graph.loading.value_types import UNKNOWN, ValueType
from onnxlens.profile.graph.node_view import ManyValues
from onnxlens.specs.bounds import short

LEAST: Mapping[str, int] = {
    **dict.fromkeys(("kernel_shape", "strides", "dilations", "pooled_shape"), 1),
    **dict.fromkeys(("group", "num_groups", "offset_group", "num_outputs", "size"), 1),
    **dict.fromkeys(("num_heads", "q_num_heads", "kv_num_heads", "hidden_size"), 1),
    **dict.fromkeys(("blocksize", "block_size", "output_height", "output_width"), 1),
    **dict.fromkeys(("min_gram_length", "max_gram_length"), 1),
    **dict.fromkeys(("pads", "output_padding", "sampling_ratio", "max_skip_count"), 0),
}
"""The least value of an attribute, or of each of its numbers, by its name."""
LEAST_OF: Mapping[tuple[str, str], int | None] = {
    ("Pad", "pads"): None,  # below 0 it crops
    ("RotaryEmbedding", "num_heads"): 0,  # where all of the last axis is rotated
    ("MRotaryEmbedding", "num_heads"): 0,
    ("QuantizeLinear", "block_size"): 0,  # of no blocks
    ("DequantizeLinear", "block_size"): 0,
}
"""Where that of an operator is another one; None for any value."""
DOMAINS = ("", "com.microsoft")

AXES = ("axis", "axes")
BEYOND: Mapping[str, tuple[int, int]] = {"Flatten": (0, 1), "OneHot": (1, 1)}
"""How far before and behind the dimensions of its first input an operator's axis may be."""
OTHER_AXES = frozenset(
    {"Unsqueeze", "ConcatFromSequence", "Scan", "QuantizeLinear", "DequantizeLinear", "GroupNormalization"}
)
"""Operators whose axes are not those of their first input, or that may ignore them."""


def range_faults(node: FileNode) -> Iterator[str]:
    """What is wrong with the attributes of a node, whatever it reads."""
    for name, value in node.attributes.items():
        least = LEAST_OF.get((node.op_type, name), LEAST.get(name)) if node.domain in DOMAINS else None
        if least is not None and any(number < least for number in _numbers(value)):
            yield f"has {short(str(value))} as its attribute {name!r}, of which {least} is the least"


def check_axes(graph: FileGraph, types: Mapping[str, ValueType]) -> None:
    """Refuse nodes with an axis that their first input does not have.

    Raises:
        GraphError: says which node it is.
    """
    for inner in graph.all():
        for node in inner.nodes:
            if not node.attributes or node.domain or node.op_type in OTHER_AXES or not node.inputs:
                continue
            shape = types.get(inner.prefix + node.inputs[0], UNKNOWN).shape
            axes = [axis for name in AXES for axis in _numbers(node.attributes.get(name, ()))]
            if not axes or shape is None:
                continue
            rank = max(len(shape), 1)
            before, behind = BEYOND.get(node.op_type, (0, 0))
            for axis in axes:
                if not -rank - before <= axis < rank + behind:
                    raise GraphError(
                        f"the {node.op_type} {short(node.outputs[0])} has the axis {axis}, its input "
                        f"{short(node.inputs[0])} {len(shape)} dimensions; export it again"
                    )


def _numbers(value: object) -> tuple[int, ...]:
    held = value.held if isinstance(value, ManyValues) else value
    listed = held if isinstance(value, tuple | ManyValues) else (held,)
    return tuple(number for number in listed if isinstance(number, int))  # type: ignore[attr-defined]
