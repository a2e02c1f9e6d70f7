"""What ONNX's operators say of dimensions: which of them are equal, and those of what they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from onnxlens.profile.graph.loading.dimensions.operation import Made, Operation, Rule, Shape, product, total
from onnxlens.profile.graph.loading.dimensions.polynomials import Size, quotient

CHANNELS = "channels of its input are those of its weight"
COLUMNS = "columns of its input are rows of its weight"
ROWS = "what is joined is alike along other axes"


def alike(op: Operation) -> Made:
    """As large as the first input."""
    return [op.shape(0)]


def broadcast(first: Shape | None, second: Shape | None) -> Shape | None:
    """Of two that are repeated to fit each other. Of two names nothing is said: one may be 1."""
    if first is None or second is None:
        return None
    rank = max(len(first), len(second))
    padded = [(1,) * (rank - len(shape)) + shape for shape in (first, second)]
    return tuple(_wider(one, other) for one, other in zip(*padded, strict=True))


def _wider(one: Size | None, other: Size | None) -> Size | None:
    if one == 1 or one == other:
        return other
    if other == 1 or (isinstance(one, int) and one > 1):
        return one
    return other if isinstance(other, int) and other > 1 else None


def elementwise(op: Operation) -> Made:
    """Of operands that are repeated to fit each other."""
    return [reduce(broadcast, op.shapes)]


def matmul(first: int, second: int) -> Rule:
    """(.., M, K) by (.., K, N)."""

    def rule(op: Operation) -> Made:
        left, right = op.shape(first), op.shape(second)
        if left is None or right is None or len(left) < 2 or len(right) < 2:
            return []
        op.equal(left[-1], right[-2], "columns of its first operand are rows of its second")
        outer = broadcast(left[:-2], right[:-2])
        return [] if outer is None else [(*outer, left[-2], right[-1])]

    return rule


def packed_matmul(op: Operation) -> Made:
    """MatMulNBits and its kin: K columns by a weight that says in attributes how large it is."""
    source = op.shape(0)
    if not source:
        return []
    op.equal(source[-1], op.attribute("K"), COLUMNS)
    return [(*source[:-1], op.attribute("N"))]


def gemm(op: Operation) -> Made:
    """(M, K) by (K, N), each as it is or transposed."""
    left, right = op.shape(0, 2), op.shape(1, 2)
    if left is None or right is None:
        return []
    left = left[::-1] if op.attribute("transA", 0) else left
    right = right[::-1] if op.attribute("transB", 0) else right
    op.equal(left[1], right[0], COLUMNS)
    return [(left[0], right[1])]


def convolution(weight_at: int) -> Rule:
    """(N, C, ..) by (C_out, C / groups, ..)."""

    def rule(op: Operation) -> Made:
        source, weight = op.shape(0), op.shape(weight_at)
        if source is None or weight is None or len(source) != len(weight) or len(source) < 3:
            return []
        op.equal(source[1], product([weight[1], op.attribute("group", 1)]), CHANNELS)
        return [(source[0], weight[0], *(None,) * (len(source) - 2))]

    return rule


def transposed_convolution(op: Operation) -> Made:
    """(N, C, ..) by (C, C_out / groups, ..)."""
    source, weight = op.shape(0), op.shape(1)
    if source is None or weight is None or len(source) != len(weight) or len(source) < 3:
        return []
    op.equal(source[1], weight[0], CHANNELS)
    return [(source[0], product([weight[1], op.attribute("group", 1)]), *(None,) * (len(source) - 2))]


def pooled(op: Operation) -> Made:
    """Images and channels stay."""
    source = op.shape(0)
    return [] if source is None else [(*source[:2], *(None,) * (len(source) - 2))]


def by_channel(op: Operation) -> Made:
    """Normalization with a scale for each channel."""
    source, scale = op.shape(0), op.shape(1, 1)
    if source is not None and scale is not None and len(source) > 1:
        op.equal(source[1], scale[0], CHANNELS)
    return [source]


def skipped(op: Operation) -> Made:
    """SkipLayerNormalization: the normalized sum, and the sum itself behind two of no use."""
    return [op.shape(0), None, None, op.shape(0)]


def recurrent(op: Operation) -> Made:
    """RNN, GRU, LSTM: (T, B, I) by (directions, gates * H, I)."""
    source, weight, recurrence = (op.shape(index, 3) for index in range(3))
    if source is None or weight is None or recurrence is None:
        return []
    op.equal(source[2], weight[2], COLUMNS)
    first, second = source[:2]
    batch_first = bool(op.attribute("layout", 0))
    batch, directions, hidden = first if batch_first else second, weight[0], recurrence[2]
    state: Shape = (batch, directions, hidden) if batch_first else (directions, batch, hidden)
    for index in (5, 6):
        op.alike(op.shape(index, 3), state, "its states are of its sequences and hidden units")
    steps = (batch, first if not batch_first else second, directions, hidden)
    return [steps if batch_first else (first, directions, second, hidden), state, state]


def concat(op: Operation) -> Made:
    """One behind the other; along other axes they are alike."""
    shapes = [shape for shape in op.shapes if shape is not None]
    if len(shapes) < len(op.shapes) or not shapes or len({len(shape) for shape in shapes}) > 1:
        return []
    axis = op.axis(len(shapes[0]), 1)
    made = list(shapes[0])
    for shape in shapes[1:]:
        op.alike((*shape[:axis], None, *shape[axis + 1 :]), shapes[0], ROWS)
        made = [one if one is not None else other for one, other in zip(made, shape, strict=True)]
    made[axis] = total(shape[axis] for shape in shapes)
    return [tuple(made)]


def split(op: Operation) -> Made:
    """Parts of given sizes, or equal ones."""
    source, count = op.shape(0), len(op.node.outputs)
    axis = -1 if source is None else op.axis(len(source))
    if source is None or axis < 0:
        return []
    held = op.attribute("split")
    sizes: Sequence[Size | None] | None = held if held is not None else op.vector(1)
    if sizes is None and not op.has(1):
        share = None if source[axis] is None else quotient(source[axis] or 0, count)
        sizes = [share] * count
    if sizes is None or len(sizes) != count:
        return [(*source[:axis], None, *source[axis + 1 :])] * count
    op.equal(total(sizes), source[axis], "its parts are the whole")
    return [(*source[:axis], size, *source[axis + 1 :]) for size in sizes]


def reshape(op: Operation) -> Made:
    """To a shape that is known: 0 is what stands there, -1 what is left."""
    source, target = op.shape(0), op.vector(1)
    if target is None:
        return []
    keeps = not op.attribute("allowzero", 0)
    kept = (*(source or ()), *(None,) * len(target))
    made = [kept[axis] if size == 0 and keeps else size for axis, size in enumerate(target)]
    left = made.index(-1) if -1 in made else len(made)
    before, others = list(source or (None,)), [*made[:left], *made[left + 1 :]]
    for size in list(before):
        if size is not None and size != 0 and size in others:  # it goes on as it is
            before.remove(size)
            others.remove(size)
    whole, rest = product(before), product(others)
    if left == len(made):
        op.equal(whole, rest, "it keeps the number of elements")
    else:
        made[left] = None if whole is None or not rest else quotient(whole, rest)
    return [tuple(made)]


def flatten(op: Operation) -> Made:
    """To two axes."""
    source = op.shape(0)
    if source is None:
        return []
    axis = op.attribute("axis", 1)
    return [(product(source[:axis]), product(source[axis:]))]


def transpose(op: Operation) -> Made:
    """With its axes in another order."""
    source = op.shape(0)
    if source is None:
        return []
    order = op.attribute("perm", range(len(source))[::-1])
    return [tuple(source[axis] for axis in order)] if len(order) == len(source) else []


def unsqueeze(op: Operation) -> Made:
    """With axes of 1."""
    source, axes = op.shape(0), op.axes()
    if source is None or axes is None:
        return []
    rank = len(source) + len(axes)
    added, rest = {axis % rank for axis in axes}, iter(source)
    return [tuple(1 if axis in added else next(rest) for axis in range(rank))]


def squeeze(op: Operation) -> Made:
    """Without axes of 1."""
    source, axes = op.shape(0), op.axes()
    if source is None or axes is None:
        return []
    gone = {axis % len(source) for axis in axes}
    for axis in gone:
        op.equal(source[axis], 1, "an axis that goes is 1")
    return [tuple(size for axis, size in enumerate(source) if axis not in gone)]


def expand(op: Operation) -> Made:
    """Repeated to a shape."""
    return [broadcast(op.shape(0), op.vector(1))]


def gather(op: Operation) -> Made:
    """Rows of a table, for each index."""
    table, indices = op.shape(0), op.shape(1)
    axis = -1 if table is None else op.axis(len(table))
    if table is None or indices is None or axis < 0:
        return []
    return [(*table[:axis], *indices, *table[axis + 1 :])]


def quantized_gather(op: Operation) -> Made:
    """Rows of a packed table: how wide they are hangs on how it is packed."""
    table, indices = op.shape(0), op.shape(1)
    if table is None or indices is None or op.attribute("gather_axis", 0) != 0:
        return []
    return [(*indices, *(None,) * (len(table) - 1))]


def sliced(op: Operation) -> Made:
    """A part of each axis, where the ends are numbers counted from the axis's own ends."""
    source = op.shape(0)
    held = [op.attribute(name) for name in ("starts", "ends", "axes")]
    starts, ends, axes = held if held[0] is not None else [op.vector(index) for index in (1, 2, 3)]
    if source is None:
        return []
    made = list(source)
    if starts is None or ends is None or (axes is None and op.has(3)):
        return [(None,) * len(source)]
    steps = op.vector(4) if op.has(4) else (1,) * len(starts)
    for index, axis in enumerate(axes if axes is not None else range(len(starts))):
        if not isinstance(axis, int):
            return [(None,) * len(source)]
        plain = steps is not None and steps[index] == 1
        made[axis] = _part(source[axis], starts[index], ends[index]) if plain else None
    return [tuple(made)]


def _part(size: Size | None, start: Size | None, end: Size | None) -> Size | None:
    if isinstance(size, int) and isinstance(start, int) and isinstance(end, int):
        return len(range(size)[start:end])
    if size is None or not isinstance(start, int) or start < 0 or end is None:
        return None
    if isinstance(end, int):
        if end < 0:
            return size + end - start
        return size - start if end >= 2**31 - 1 else None
    return size - start if end == size else None


def shape(op: Operation) -> Made:
    """As many numbers as it has axes."""
    source = op.shape(0)
    return [] if source is None else [(len(source[op.attribute("start", 0) : op.attribute("end")]),)]


def counted(op: Operation) -> Made:
    """Range: the numbers from one to another."""
    ends = [(op.vector(index) or (None,))[0] for index in range(3)]
    first, last, step = ends
    return [(None if first is None or last is None or step != 1 else last - first,)]


def filled(op: Operation) -> Made:
    """ConstantOfShape."""
    return [op.vector(0)]


def reduced(op: Operation) -> Made:
    """Over the axes that are given, which stay as 1 or go."""
    source, axes = op.shape(0), op.axes()
    if source is None or (axes is None and op.has(1)):
        return []
    kept = op.attribute("keepdims", 1)
    if axes is None:
        empty = op.attribute("noop_with_empty_axes", 0)
        return [source if empty else (1,) * len(source) if kept else ()]
    gone = {axis % len(source) for axis in axes}
    made = (1 if axis in gone else size for axis, size in enumerate(source) if kept or axis not in gone)
    return [tuple(made)]


def einsum(op: Operation) -> Made:
    """Of equal letters the dimensions are equal."""
    left, arrow, right = op.attribute("equation", "").replace(" ", "").partition("->")
    known: dict[str, Size | None] = {}
    terms = left.split(",")
    if not arrow or "." in left or len(terms) != len(op.shapes):
        return []
    for letters, operand in zip(terms, op.shapes, strict=True):
        for letter, size in zip(letters, operand or (), strict=False):
            op.equal(known.setdefault(letter, size), size, f"{letter!r} is one size")
    return [tuple(known.get(letter) for letter in right)]


ALIKE = """
    Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Bernoulli BlackmanWindow Cast Ceil Celu Clip Cos Cosh
    CumSum DequantizeLinear Dropout Elu Erf Exp Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax
    Identity IsInf IsNaN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization LRN Mish Neg Not
    QuantizeLinear RMSNormalization Reciprocal Relu Round ScatterElements ScatterND Selu Shrink Sigmoid Sign
    SimplifiedLayerNormalization Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu
""".split()
ELEMENTWISE = """
    Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max
    Mean Min Mod Mul Or PRelu Pow Sub Sum Where Xor
""".split()
REDUCED = "ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare".split()
MICROSOFT_ALIKE = """
    BiasGelu FastGelu MRotaryEmbedding MoE QMoE QuickGelu QuantizeLinear DequantizeLinear
""".split()
MICROSOFT = "com.microsoft"

RULES: Mapping[tuple[str, str], Rule] = {
    **{("", name): alike for name in ALIKE},
    **{(MICROSOFT, name): alike for name in MICROSOFT_ALIKE},
    **{("", name): elementwise for name in ELEMENTWISE},
    **{("", name): reduced for name in REDUCED},
    **{("", name): pooled for name in ("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool")},
    **{("", name): by_channel for name in ("BatchNormalization", "InstanceNormalization")},
    **{("", name): recurrent for name in ("RNN", "GRU", "LSTM")},
    **{(MICROSOFT, name): packed_matmul for name in ("MatMulNBits", "MatMulBnb4", "MatMulFpQ4")},
    **{(MICROSOFT, name): skipped for name in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")},
    ("", "MatMul"): matmul(0, 1),
    ("", "MatMulInteger"): matmul(0, 1),
    ("", "QLinearMatMul"): matmul(0, 3),
    ("", "Gemm"): gemm,
    ("", "Conv"): convolution(1),
    ("", "ConvInteger"): convolution(1),
    ("", "QLinearConv"): convolution(3),
    (MICROSOFT, "FusedConv"): convolution(1),
    ("", "ConvTranspose"): transposed_convolution,
    ("", "Concat"): concat,
    ("", "Split"): split,
    ("", "Reshape"): reshape,
    ("", "Flatten"): flatten,
    ("", "Transpose"): transpose,
    ("", "Unsqueeze"): unsqueeze,
    ("", "Squeeze"): squeeze,
    ("", "Expand"): expand,
    ("", "Gather"): gather,
    (MICROSOFT, "GatherBlockQuantized"): quantized_gather,
    ("", "Slice"): sliced,
    ("", "Shape"): shape,
    ("", "Size"): lambda op: [()],
    ("", "Range"): counted,
    ("", "ConstantOfShape"): filled,
    ("", "Einsum"): einsum,
}
"""By domain and operator."""
