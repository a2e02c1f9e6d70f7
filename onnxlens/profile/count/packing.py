"""How many numbers a packed weight stands for: those of the matrix that the operator multiplies by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from onnxlens.profile.graph.node_view import NodeView, NotCountable, ValueView

Logical = Callable[[NodeView, ValueView], int]


def _attributes(*names: str) -> Logical:
    """The product of attributes, K and N."""
    return lambda node, weight: prod(int(node.attribute(name)) for name in names)


def _by_result(node: NodeView, weight: ValueView) -> int:
    """K of the first input, N of the result."""
    return node.input_shape(0)[-1] * node.output_shape(0)[-1]


def _by_bits(name: str, other: str = "") -> Logical:
    """As many as fit into the bytes, in numbers of so many bits; other types hold one number each."""

    def logical(node: NodeView, weight: ValueView) -> int:
        bits = int(node.attribute(name) or node.attribute(other) or 4)
        return weight.elements * 8 // bits if weight.dtype == "uint8" else weight.elements

    return logical


PACKED: Mapping[str, Mapping[int, Logical]] = {
    "MatMulNBits": {1: _attributes("K", "N")},
    "MatMulNBitsMlp": dict.fromkeys((3, 6), _attributes("K", "N")),
    "MatMulNBitsQkv": {
        3: _attributes("K", "Nq"), 6: _attributes("K", "Nkv"), 9: _attributes("K", "Nkv"),
    },
    "MatMulBnb4": {1: _attributes("K", "N")},
    "MatMulFpQ4": {1: _by_result},
    "MatMulBlockQuantizedFp4Weight": {1: _by_result},
    "GatherBlockQuantized": {0: _by_bits("bits")},
    "QMoE": {
        index: _by_bits(f"fc{number}_expert_weight_bits", "expert_weight_bits")
        for number, index in enumerate((2, 5, 8), 1)
    },
}  # fmt: skip
"""By operator of ONNX Runtime's, and by the weight's input."""


Packing = tuple[int, int]
"""Numbers that a tensor stands for, and elements that hold them."""

UNPACKED: Packing = (1, 1)


def packing(node: NodeView, index: int) -> Packing:
    """That of the weight at that input."""
    rule = PACKED.get(node.op_type, {}).get(index)
    if rule is None or node.domain != "com.microsoft" or not node.has_input(index):
        return UNPACKED
    weight = node.input(index)
    try:
        return rule(node, weight), weight.elements or 1
    except (NotCountable, ArithmeticError, LookupError, TypeError, ValueError):
        return UNPACKED  # a node that lacks what its schema asks for
