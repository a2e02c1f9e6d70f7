"""Elementwise operators, reductions, scans and pooling, and operators that only move data.

An elementwise operator has a cost per output element, in primitives of its ONNX function body. A reduction is
one elementwise op per element that is reduced: for n elements n - 1 adds and the divide of a mean, or n
compares with a running maximum. A pooling window is a reduction over its kernel, padded positions included.
``traffic`` counts the bytes that operators move.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.work import (
    NOTHING,
    SPECIAL,
    VECTOR,
    Rule,
    RuleTable,
    Work,
    each_input,
    each_output,
    no_work,
)
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.bounds import MOST_ELEMENTS

SILU = VECTOR + SPECIAL  # sigmoid, mul

PER_ELEMENT: Mapping[str, Work] = {
    **dict.fromkeys((
        # arithmetic
        "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Sign", "Reciprocal", "Floor", "Ceil", "Round",
        # comparison, logic, bits
        "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf", "And", "Or", "Xor",
        "Not", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "Where",
    ), VECTOR),
    # a power is one transcendental op whatever its exponent
    **dict.fromkeys((
        "Exp", "Log", "Sqrt", "Pow", "Erf", "Sigmoid", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh",
        "Cosh", "Tanh", "Asinh", "Acosh", "Atanh",
    ), SPECIAL),
    # activations, by function body
    "Relu": VECTOR,  # max(x, 0)
    "ThresholdedRelu": 2 * VECTOR,  # less, where
    "LeakyRelu": 3 * VECTOR,  # less, mul, where
    "PRelu": 3 * VECTOR,  # less, mul, where
    "Softsign": 3 * VECTOR,  # abs, add, div
    "HardSigmoid": 4 * VECTOR,  # mul, add, min, max
    "HardSwish": 5 * VECTOR,  # HardSigmoid, mul
    "Shrink": 6 * VECTOR,  # less, less, add, sub, where, where
    "Elu": 4 * VECTOR + SPECIAL,  # less, exp, sub, mul, where
    "Celu": 6 * VECTOR + SPECIAL,  # div, Elu, mul
    "Selu": 6 * VECTOR + SPECIAL,  # exp, mul, sub, mul, mul, less, where
    "Softplus": VECTOR + 2 * SPECIAL,  # exp, add, log
    "Mish": 2 * VECTOR + 3 * SPECIAL,  # Softplus, tanh, mul
    "Swish": VECTOR + SILU,  # mul by alpha
    "SwiGLU": 2 * VECTOR + SILU,  # Swish, mul
}  # fmt: skip
"""The cost of each operator per output element, whatever its inputs and attributes."""

GELU_ERF = 4 * VECTOR + SPECIAL  # div, erf, add, mul, mul
GELU_TANH = 6 * VECTOR + 2 * SPECIAL  # pow, mul, add, mul, tanh, add, mul, mul
BOUND = 2 * VECTOR  # less, where


def gelu(node: NodeView) -> Work:
    """Per element x / sqrt(2), erf, + 1, * x / 2: 4 and 1 transcendental; the tanh approximation 6 and 2.

    Hendrycks and Gimpel (2016). The square roots of constants are constant-folded.
    """
    approximate = node.attribute("approximate", "none") == "tanh"
    return (GELU_TANH if approximate else GELU_ERF) * prod(node.output_shape(0))


def clip(node: NodeView) -> Work:
    """2 elementwise ops (compare, select) per element and bound: an input, before opset 11 an attribute."""
    bounds = sum(node.has_input(index) for index in (1, 2))
    bounds += sum(node.attribute(name) is not None for name in ("min", "max"))
    return BOUND * (bounds * prod(node.output_shape(0)))


def fold(node: NodeView) -> Work:
    """(inputs - 1) * elements: Sum, Max and Min combine their inputs pairwise."""
    return VECTOR * ((len(node.inputs) - 1) * prod(node.output_shape(0)))


def mean(node: NodeView) -> Work:
    """Inputs * elements: the sum of the inputs and one divide."""
    return VECTOR * (len(node.inputs) * prod(node.output_shape(0)))


def reduction(before: Work = NOTHING, after: Work = NOTHING) -> Rule:
    """The rule ``(before + 1) * input elements + after * output elements``.

    ``before`` is applied to every element (the square of ReduceL2), ``after`` to every result (its root).
    """

    def rule(node: NodeView) -> Work:
        per_input = before if _reduces_nothing(node) else before + VECTOR
        work = per_input * prod(node.input_shape(0))
        return work if after == NOTHING else work + after * prod(node.output_shape(0))

    return rule


def _reduces_nothing(node: NodeView) -> bool:
    """Whether ``noop_with_empty_axes`` is set and there are no axes."""
    if not node.attribute("noop_with_empty_axes", 0):
        return False
    has_axes = node.has_input(1) and node.input(1).elements > 0
    return not has_axes and not node.attribute("axes")


def lp_norm(node: NodeView) -> tuple[Work, Work]:
    """The cost of the norm of degree ``p`` per element, the sum included, and per result.

    p = 1 takes absolute values, p = 2 squares and a root, any other p absolute values, powers and a root.
    """
    degree = node.attribute("p", 2)
    if degree == 1:
        return 2 * VECTOR, NOTHING
    return (2 * VECTOR if degree == 2 else 2 * VECTOR + SPECIAL), SPECIAL


def lp_pooling(node: NodeView) -> Work:
    """The norm of each window: prod(kernel) * output elements, and a root per output element."""
    per_input, per_output = lp_norm(node)
    kernel: int = prod(node.attribute("kernel_shape"))
    return (per_input * kernel + per_output) * prod(node.output_shape(0))


def global_lp_pooling(node: NodeView) -> Work:
    """The norm of each channel: one window as large as the image."""
    per_input, per_output = lp_norm(node)
    shape = node.input_shape(0)
    return per_input * prod(shape) + per_output * prod(shape[:2])


def pooling(node: NodeView) -> Work:
    """prod(kernel) * output elements."""
    kernel: int = prod(node.attribute("kernel_shape"))
    if kernel > MOST_ELEMENTS:
        raise NotCountable(f"{node.op_type}: its window has more than 2**63 - 1 elements")
    return VECTOR * (kernel * prod(node.output_shape(0)))


def scatter(node: NodeView) -> Work:
    """One elementwise op per element of the updates where a ``reduction`` combines them with the data."""
    combines = node.attribute("reduction", "none") != "none"
    return VECTOR * node.input(2).elements if combines else NOTHING


VIEWS = (
    "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "BitCast", "SequenceConstruct",
    "SequenceInsert", "SequenceErase", "SequenceAt", "Optional", "OptionalGetElement",
)  # fmt: skip
"""The output shares the memory of an input; sequences and optionals refer to tensors."""
FACTS = ("Shape", "Size", "SequenceLength", "OptionalHasElement")
NEW_VALUES = ("Constant", "SequenceEmpty", "ConstantOfShape", "EyeLike", "OneHot")
COPIES = (
    "Cast", "CastLike", "Concat", "ConcatFromSequence", "Split", "SplitToSequence", "Slice", "Pad",
    "CenterCropPad", "Expand", "Tile", "Transpose", "Trilu", "DepthToSpace", "SpaceToDepth",
    "ReverseSequence",
)  # fmt: skip
"""The same values at other positions, or in another type."""
INDEXED = ("Gather", "GatherElements", "GatherND", "Compress", "MaxUnpool", "Scatter", "TensorScatter")
CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")
"""The nodes of their bodies are counted, as often as ``profile/count/repeats.py`` says."""

RULES: RuleTable = {
    "": {
        **{op_type: each_output(cost) for op_type, cost in PER_ELEMENT.items()},
        "Gelu": gelu,
        "Clip": clip,
        **dict.fromkeys(("Sum", "Max", "Min"), fold),
        "Mean": mean,
        **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"), reduction()),
        "ReduceL1": reduction(before=VECTOR),  # abs
        "ReduceL2": reduction(before=VECTOR, after=SPECIAL),  # square; sqrt
        "ReduceSumSquare": reduction(before=VECTOR),  # square
        "ReduceLogSum": reduction(after=SPECIAL),  # log
        "ReduceLogSumExp": reduction(before=SPECIAL, after=SPECIAL),  # exp; log
        **dict.fromkeys(("ArgMax", "ArgMin", "TopK", "NonZero", "Unique"), each_input(VECTOR)),
        **dict.fromkeys(("CumSum", "CumProd", "GlobalMaxPool", "GlobalAveragePool"), each_input(VECTOR)),
        **dict.fromkeys(("MaxPool", "AveragePool"), pooling),
        "LpPool": lp_pooling,
        "GlobalLpPool": global_lp_pooling,
        **dict.fromkeys((*VIEWS, *FACTS, *NEW_VALUES, *COPIES, *INDEXED, *CONTROL_FLOW), no_work),
        "Range": each_output(VECTOR),
        **dict.fromkeys(("ScatterElements", "ScatterND"), scatter),
    },
}
