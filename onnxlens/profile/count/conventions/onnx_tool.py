"""onnx-tool's convention: instructions, weighted by their cost on an x86 core, node by node.

Source of every weight and formula: onnx-tool 1.0.1, ``onnx_tool/node.py``. Constant-folded nodes count like
all others. onnx-tool stops at an operator type that it does not register: it cannot infer the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from onnxlens.profile.graph.node_view import NodeView, NotCountable

DIV, EXP, LOG, SQRT = 4, 32, 43, 24
SIN = COS = 39
TANH = EXP + 2 + DIV
ATAN = SQRT + 4 + DIV
"""The operators Tanh and Atan count twice that."""

NOTE = (
    "instructions weighted by their cost on an x86 core (add, multiply 1; divide 4; sqrt 24; exp, pow 32; "
    "log 43), one node at a time, nodes on weights included"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """How onnx-tool counts one operator type, and why that differs from our MACs."""

    formula: Callable[[NodeView], int]
    cause: str


def volume(shape: tuple[int, ...]) -> int:
    """The number of elements, which onnx-tool takes as 0 for a scalar."""
    return prod(shape) if shape else 0


def each(weight: int) -> Entry:
    """``weight`` per output element, whatever the number of inputs."""
    return Entry(lambda node: weight * volume(node.output_shape()), f"{weight} an element")


def each_read(weight: int) -> Entry:
    """``weight`` per element of the first input."""
    return Entry(lambda node: weight * volume(node.input_shape(0)), f"{weight} an input element")


def convolution(node: NodeView, weight: int = 1, bias: int = 2) -> int:
    """prod(output) * prod(weight[1:]) + prod(output) with a bias; the inputs at these indices."""
    taps = prod(node.input_shape(weight)[1:]) + node.has_input(bias)
    return volume(node.output_shape()) * taps


def gemm(node: NodeView) -> int:
    """prod(Y) * K + prod(Y) with C; K is a dimension of the second matrix."""
    second = node.input_shape(1)
    inner = second[-1] if node.attribute("transB", 0) else second[-2]
    return volume(node.output_shape()) * (inner + node.has_input(2))


def matmul(node: NodeView) -> int:
    """prod(Y) * B[-2]; raises NotCountable for a vector, as onnx-tool stops there."""
    first, second = node.input_shape(0), node.input_shape(1)
    if min(len(first), len(second)) < 2:
        raise NotCountable("it stops at a MatMul with a vector")
    return volume(node.output_shape()) * second[-2]


def quantized_matmul(node: NodeView) -> int:
    """prod(A) * B[-1]."""
    return volume(node.input_shape(0)) * node.input_shape(3)[-1]


def integer_convolution(node: NodeView) -> int:
    """prod(output) * prod(weight[1:])."""
    return volume(node.output_shape()) * prod(node.input_shape(1)[1:])


def einsum(node: NodeView) -> int:
    """The product of the sizes of all labels of both operands.

    Raises NotCountable where there is an ellipsis, or not two operands, as onnx-tool stops there.
    """
    left, _, _ = str(node.attribute("equation")).replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != 2 or "." in left or len(node.inputs) != 2:
        raise NotCountable("it reads an Einsum of two operands without ellipsis alone")
    sizes = {
        label: size
        for index, term in enumerate(terms)
        for label, size in zip(term, node.input_shape(index), strict=True)
    }
    return prod(sizes.values())


def layer_norm(node: NodeView) -> int:
    """7 per element, and 29 per row along the first normalized axis."""
    shape = node.input_shape(0)
    rows = volume(shape) // shape[node.attribute("axis", -1)] if shape else 0
    return 7 * volume(shape) + (1 + SQRT + DIV) * rows


def pool(node: NodeView) -> int:
    """The kernel's elements per output element; of a kernel over three axes only the first axis."""
    kernel: tuple[int, ...] = node.attribute("kernel_shape")
    return volume(node.output_shape()) * (prod(kernel) if len(kernel) == 2 else kernel[0])


def global_pool(node: NodeView) -> int:
    """1 an input element, 4 an output element."""
    return volume(node.input_shape(0)) + DIV * volume(node.output_shape())


def resize(node: NodeView) -> int:
    """0, 4 or 8 an output element: nearest, linear, cubic."""
    weights = {"nearest": 0, "linear": 4, "cubic": 8}
    return weights[node.attribute("mode", "nearest")] * volume(node.output_shape())


def local_norm(node: NodeView) -> int:
    """Per element a divide, a power, an add and ``size`` multiplies."""
    size: int = node.attribute("size")
    return volume(node.output_shape()) * (DIV + EXP + 1 + size)


def add_all(node: NodeView) -> int:
    """One add per element for each input after the first."""
    return volume(node.output_shape()) * (len(node.inputs) - 1)


def lstm(node: NodeView) -> int:
    """Products; per step and hidden element biases, 4 adds, 3 sigmoids, 2 tanh and 4 for the update."""
    return _recurrent(node, per_hidden=4 + 3 * EXP + 2 * TANH + 4, gates=4)


def gru(node: NodeView) -> int:
    """Products; per step and hidden element biases, 3 adds, 2 sigmoids, a tanh and 5 for the update."""
    return _recurrent(node, per_hidden=3 + 2 * EXP + TANH + 5, gates=3)


def _recurrent(node: NodeView, per_hidden: int, gates: int) -> int:
    """Products and biases of all directions; the elementwise part of one direction only.

    Raises NotCountable where there is no bias, as onnx-tool stops there.
    """
    if not node.has_input(3):
        raise NotCountable(f"it stops at {node.op_type} without a bias")
    steps, batch = node.input_shape(0)[:2]
    weights = sum(prod(node.input_shape(index)) for index in (1, 2, 3))
    return steps * batch * (weights + per_hidden * (node.input_shape(1)[1] // gates))


UNCOUNTED = Entry(lambda node: 0, "registered without a count")

ENTRIES: Mapping[str, Entry] = {
    "Conv": Entry(convolution, "bias adds"),
    "ConvTranspose": Entry(convolution, "products over the output, not the input, of all groups"),
    "Gemm": Entry(gemm, "bias adds"),
    "MatMul": Entry(matmul, ""),
    "MatMulInteger": Entry(matmul, "a zero point adds"),
    "ConvInteger": Entry(integer_convolution, ""),
    "QLinearConv": Entry(lambda node: convolution(node, weight=3, bias=8), "bias adds"),
    "QLinearMatMul": Entry(quantized_matmul, ""),
    "Einsum": Entry(einsum, "all labels multiplied"),
    "LSTM": Entry(lstm, "bias adds, activations and the update"),
    "GRU": Entry(gru, "bias adds, activations and the update"),
    "LayerNormalization": Entry(layer_norm, "7 an element, 29 a row"),
    "LRN": Entry(local_norm, "37 + size an element"),
    **dict.fromkeys(("MaxPool", "AveragePool"), Entry(pool, "1 an element of the kernel")),
    "GlobalAveragePool": Entry(global_pool, "1 an input element, 4 an output element"),
    **dict.fromkeys(("Resize", "Upsample"), Entry(resize, "4 (linear) or 8 (cubic) an element")),
    "Sum": Entry(add_all, "1 an element and addition"),
    **{name: each(1) for name in (
        "Abs", "Add", "And", "Ceil", "CumSum", "Equal", "Floor", "Greater", "GreaterOrEqual", "Hardmax",
        "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "Or", "Relu", "Round",
        "Sign", "Sub", "Xor",
    )},
    **{name: each(2) for name in ("Clip", "DequantizeLinear", "LeakyRelu", "PRelu", "QuantizeLinear")},
    "Div": each(DIV), "Reciprocal": each(DIV), "HardSigmoid": each(4), "HardSwish": each(5),
    "InstanceNormalization": each(7), "BatchNormalization": each(3 + SQRT + DIV),
    "Exp": each(EXP), "Pow": each(EXP), "Sigmoid": each(EXP), "Log": each(LOG), "Sqrt": each(SQRT),
    "Sin": each(SIN), "Cos": each(COS), "Tanh": each(2 * TANH), "Atan": each(2 * ATAN),
    "Elu": each(EXP + 3), "Gelu": each(EXP + 2), "LpNormalization": each(EXP + 1),
    "Softmax": each(EXP + DIV), "LogSoftmax": each(EXP + DIV + 1 + LOG), "Softplus": each(EXP + 1 + LOG),
    **{name: each_read(1) for name in ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum")},
    "ReduceL2": each_read(1 + SQRT),
    **dict.fromkeys((
        "ArgMax", "Cast", "Compress", "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "Dropout",
        "Erf", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "GridSample", "Identity",
        "NonMaxSuppression", "OneHot", "Pad", "RandomNormalLike", "RandomUniformLike", "Range", "Reshape",
        "RoiAlign", "Scan", "ScatterElements", "ScatterND", "Shape", "Slice", "Split", "Squeeze", "Tile",
        "TopK", "Transpose", "Trilu", "Unsqueeze", "Where",
    ), UNCOUNTED),
}  # fmt: skip
"""By operator type; onnx-tool ignores the domain."""


def entry_of(node: NodeView) -> Entry:
    """How onnx-tool counts the node; raises NotCountable where it does not know the type, and stops."""
    if node.op_type not in ENTRIES:
        raise NotCountable(f"it stops at {node.op_type}, which it cannot infer the shape of")
    return ENTRIES[node.op_type]
