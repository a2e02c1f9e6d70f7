"""Multiply-accumulates of one node from the shapes of its real tensors.

The conventions are those that docs/counting.md states; the formulas are derived here from what each operator
multiplies, and share nothing with the library's rules. Where a weight tensor holds every coefficient once,
its number of elements stands in place of a product of dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import onnx
from onnx import helper

from tests.oracle.single import Value

Shape = tuple[int, ...]
Shapes = Sequence[Shape]
Formula = Callable[[Mapping[str, Any], Shapes, Shapes], int]
"""From attributes, the inputs' shapes and the outputs'; an omitted tensor is ()."""

NO_PRODUCTS = {
    "com.microsoft": frozenset(
        {
            *(
                "BiasGelu",
                "BiasSoftmax",
                "FastGelu",
                "Gelu",
                "QuickGelu",
                "DequantizeLinear",
                "QuantizeLinear",
            ),
            *("EmbedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
            *("QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearSigmoid", "QLinearLeakyRelu"),
            *("QLinearSoftmax", "QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearReduceMean"),
            *("RotaryEmbedding", "GatherBlockQuantized", "Pad", "Range", "Trilu", "Unique", "CropAndResize"),
        }
    ),
}
"""Operators of other domains without a product; one that is in no table here is an error, never 0."""

UNFIT = frozenset({"LinearAttention", "CausalConvWithState", "FlexAttention", "Gradient"})


class NoFormula(NotImplementedError):
    """This table does not say what the operator multiplies."""


def macs_of(
    node: onnx.NodeProto, domain: str, inputs: Sequence[Value | None], outputs: Sequence[Value]
) -> int:
    """Of a node whose tensors are there."""
    formula = FORMULAS.get(domain, {}).get(node.op_type)
    if formula is None:
        if domain not in ("", "ai.onnx.ml") and node.op_type not in NO_PRODUCTS.get(domain, ()):
            raise NoFormula(f"{domain}::{node.op_type}")
        if not domain and node.op_type in UNFIT:
            raise NoFormula(node.op_type)
        return 0
    attributes = {at.name: helper.get_attribute_value(at) for at in node.attribute if at.type != at.GRAPH}
    shapes = [value.shape if value else () for value in inputs]
    return formula(attributes, shapes, [value.shape if value.is_here() else () for value in outputs])


def _convolution(weight: int) -> Formula:
    """Each output element sums over one filter, of which the weight (C_out, ...) holds C_out."""
    return lambda at, ins, outs: prod(outs[0]) * (prod(ins[weight]) // ins[weight][0])


def _transposed_convolution(weight: int) -> Formula:
    """Each input element meets the filters of its channel, of which the weight (C_in, ...) holds C_in."""
    return lambda at, ins, outs: prod(ins[0]) * (prod(ins[weight]) // ins[weight][0])


def _product(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    """Each output element sums over the last axis of A."""
    return prod(outs[0]) * ins[0][-1]


def _gemm(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    return prod(outs[0]) * ins[0][0 if at.get("transA") else 1]


def _fused_product(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    """A is (batch.., M, K), with transBatchA (M, batch.., K); transA exchanges what M and K are."""
    axis = -1
    if at.get("transA") and len(ins[0]) > 1:
        axis = 0 if at.get("transBatchA") else -2
    return prod(outs[0]) * ins[0][axis]


def _recurrent(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    """At each step each sequence meets all of W and R, whatever the layout of X and the number of gates."""
    return prod(ins[0][:2]) * (prod(ins[1]) + prod(ins[2]))


def _classical(*names: str) -> Formula:
    """Every row meets each coefficient of these attributes once."""

    def formula(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
        rows = ins[0][0] if len(ins[0]) > 1 else 1
        return rows * sum(len(at.get(name, ())) for name in names)

    return formula


def _einsum(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    """Operands join from left to right; what no later operand and not the output has is summed at once."""
    left, arrow, right = at["equation"].decode().replace(" ", "").partition("->")
    terms = [_labels(term, shape) for term, shape in zip(left.split(","), ins, strict=True)]
    sizes: dict[str, int] = {}
    for labels, shape in zip(terms, ins, strict=True):
        for label, size in zip(labels, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    flat = [label for labels in terms for label in labels]
    spread = {label for label in flat if label.startswith("*")}
    if arrow:
        kept = spread | set(right.replace("...", ""))
    else:
        kept = spread | {label for label in flat if flat.count(label) == 1}
    total, held = 0, _after(set(terms[0]), terms[1:], kept)
    for place, labels in enumerate(terms[1:], start=1):
        rest = terms[place + 1 :]
        joined = held | _after(set(labels), [*rest, list(held)], kept)
        total += prod(sizes[label] for label in joined)
        held = _after(joined, rest, kept)
    return total


def _labels(term: str, shape: Shape) -> list[str]:
    """A label for each axis; those of an ellipsis count from the right, which is how they broadcast."""
    before, dots, after = term.partition("...")
    spread = len(shape) - len(before) - len(after) if dots else 0
    return [*before, *(f"*{spread - at}" for at in range(spread)), *after]


def _after(labels: set[str], others: Sequence[Sequence[str]], kept: set[str]) -> set[str]:
    return {label for label in labels if label in kept or any(label in other for other in others)}


def _scores(batch: int, heads: int, queries: int, keys: int, widths: int) -> int:
    """Both products of attention: a score takes D_qk, and gives its part to D_v."""
    return batch * heads * queries * keys * widths


def _attention(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    """ONNX's: (B, H, S, D), or (B, S, H * D) with the heads as attributes; keys of a cache come first."""
    query, key, value = ins[:3]
    past = ins[4][2] if len(ins) > 4 and ins[4] else 0
    if len(query) == 4:
        return _scores(query[0], query[1], query[2], past + key[2], query[3] + value[3])
    heads, shared = at["q_num_heads"], at["kv_num_heads"]
    widths = query[2] // heads + value[2] // shared
    return _scores(query[0], heads, query[1], past + key[1], widths)


def _projecting_attention(past: int) -> Formula:
    """ONNX Runtime's Attention and QAttention: one projection to Q, K and V, then both products."""

    def formula(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
        batch, queries, _ = ins[0]
        columns = ins[1][1]
        q_size, _, v_size = at.get("qkv_hidden_sizes", [columns // 3] * 3)
        heads = at["num_heads"]
        keys = queries + (ins[past][3] if len(ins) > past and ins[past] else 0)
        widths = q_size // heads + v_size // heads
        return prod(ins[0]) * columns + _scores(batch, heads, queries, keys, widths)

    return formula


def _multi_head_attention(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    """Q alone may hold all three (B, S, N, 3, H), or K both of its (B, S, N, 2, H); else V has its own."""
    query, heads = ins[0], at["num_heads"]
    key = ins[1] if len(ins) > 1 else ()
    value = ins[2] if len(ins) > 2 else ()
    batch, queries = query[:2]
    past = ins[6][2] if len(ins) > 6 and ins[6] else 0
    if not key:
        return _scores(batch, heads, queries, past + queries, 2 * query[4])
    width = query[2] // heads
    if not value:
        return _scores(batch, heads, queries, past + key[1], 2 * width)
    keys, v_width = (key[2], value[3]) if len(key) == 4 else (key[1], value[2] // heads)
    return _scores(batch, heads, queries, past + keys, width + v_width)


def _grouped_attention(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    """The present keys are all that is attended to, a buffer of fixed length in full."""
    heads, shared = at["num_heads"], at["kv_num_heads"]
    batch, queries, columns = ins[0]
    packed = not ins[1]
    width = columns // (heads + 2 * shared) if packed else columns // heads
    past = ins[3][2] if len(ins) > 3 and ins[3] else 0
    keys = outs[1][2] if len(outs) > 1 and outs[1] else past + queries
    return _scores(batch, heads, queries, keys, 2 * width)


def _packed_weight(at: Mapping[str, Any], ins: Shapes, outs: Shapes) -> int:
    return prod(outs[0]) * int(at["K"])


ONNX: Mapping[str, Formula] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "DeformConv": _convolution(1),
    "ConvTranspose": _transposed_convolution(1),
    "Gemm": _gemm,
    "MatMul": _product,
    "MatMulInteger": _product,
    "QLinearMatMul": _product,
    "Einsum": _einsum,
    "RNN": _recurrent,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "Attention": _attention,
    # every position (k coordinates and a 1) meets the matrix (k, k + 1) of its image
    "AffineGrid": lambda at, ins, outs: prod(outs[0]) * (outs[0][-1] + 1),
}

MICROSOFT: Mapping[str, Formula] = {
    "FusedConv": _convolution(1),
    "NhwcFusedConv": _convolution(1),
    "NhwcConv": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTransposeWithDynamicPads": _transposed_convolution(1),
    "FusedGemm": _gemm,
    "GemmFloat8": _gemm,
    "QGemm": _gemm,
    "FusedMatMul": _fused_product,
    "TransposeMatMul": _fused_product,
    "FusedMatMulActivation": _fused_product,
    "GemmFastGelu": _product,
    "MatMulInteger16": _product,
    "MatMulIntegerToFloat": _product,
    "DynamicQuantizeMatMul": _product,
    "QLinearMatMul": _product,
    "MatMulNBits": _packed_weight,
    "MatMulBnb4": _packed_weight,
    "DynamicQuantizeLSTM": _recurrent,
    "Attention": _projecting_attention(4),
    "QAttention": _projecting_attention(8),
    "MultiHeadAttention": _multi_head_attention,
    "GroupQueryAttention": _grouped_attention,
}

CLASSICAL: Mapping[str, Formula] = {
    "LinearRegressor": _classical("coefficients"),
    "LinearClassifier": _classical("coefficients"),
    # the kernel multiplies a row with each support vector, the decision each value with its coefficients
    "SVMRegressor": _classical("support_vectors", "coefficients"),
    "SVMClassifier": _classical("support_vectors", "coefficients"),
}

FORMULAS: Mapping[str, Mapping[str, Formula]] = {
    "": ONNX,
    "com.microsoft": MICROSOFT,
    "ai.onnx.ml": CLASSICAL,
}
