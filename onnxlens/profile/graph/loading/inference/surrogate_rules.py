"""How surrogates say a node's shapes and types in ONNX's own operators.

First the forms that many share: each function gives a ``Surrogate``, and those that take one alter what it
makes. Then the rules that one operator needs: those whose nodes hang on an attribute, or are several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from onnx import NodeProto, TensorProto, defs, helper

from onnxlens.profile.graph.loading.inference.facts import NUMBERS
from onnxlens.profile.graph.loading.value_types import SURROGATE_MARK, UNKNOWN, ValueType

TO_FIRST, TO_LAST = "n...c->nc...", "nc...->n...c"
"""Einsum's equations for moving the channels, whatever the number of spatial axes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node's own record does not say of it.

    Attributes:
        held: the types of weights and constants, by name.
        channels: how many channels a blocked convolution reads of a value, by the value's name.
    """

    held: Mapping[str, ValueType] = field(default_factory=dict)
    channels: Mapping[str, int] = field(default_factory=dict)


Surrogate = Callable[[NodeProto, Surroundings], Sequence[NodeProto] | None]
"""From a node to nodes with its outputs' names, shapes and types; None where it has a form that none fits."""


def make(op_type: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> NodeProto:
    """A node of ONNX's own."""
    return helper.make_node(op_type, inputs, outputs, **attributes)


def inner_name(node: NodeProto, what: str) -> str:
    """A name for a value between the nodes that stand for ``node``."""
    return f"{next(filter(None, node.output), node.name)}{SURROGATE_MARK}{what}"


def given(node: NodeProto, index: int) -> str:
    """The name of an input; empty where it is left out."""
    return node.input[index] if index < len(node.input) else ""


def asked(node: NodeProto) -> dict[int, str]:
    """The names of the outputs that are asked for, by index."""
    return {index: name for index, name in enumerate(node.output) if name}


def setting(node: NodeProto, name: str, default: Any) -> Any:
    """An attribute's value."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def copies(sources: Mapping[int, int]) -> Surrogate:
    """Outputs with the shape and type of an input: the input's index, by the output's."""

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        outputs = asked(node)
        if any(index not in sources or not given(node, sources[index]) for index in outputs):
            return None
        return [make("Identity", [given(node, sources[index])], [name]) for index, name in outputs.items()]

    return surrogate


def form(op_type: str, *indices: int, **attributes: Any) -> Surrogate:
    """One operator of ONNX on those inputs, with such of the node's attributes as it has, and more.

    All outputs stay as they are: the operator has them in the same order.
    """

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
        inputs = [given(node, index) for index in indices]
        while inputs and not inputs[-1]:
            inputs.pop()
        made = make(op_type, inputs, node.output, **attributes)
        names = _attribute_names(op_type) - set(attributes)
        made.attribute.extend(attribute for attribute in node.attribute if attribute.name in names)
        return [made]

    return surrogate


@cache
def _attribute_names(op_type: str) -> frozenset[str]:
    """Those of every version: ONNX's inference reads an attribute where a version has it."""
    return frozenset(
        name
        for schema in defs.get_all_schemas_with_history()
        if schema.domain == "" and schema.name == op_type
        for name in schema.attributes
    )


def channels_last(inner: Surrogate) -> Surrogate:
    """What ``inner`` makes of the first input with its channels in front; the first output has them last."""

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        moved = NodeProto()
        moved.CopyFrom(node)
        moved.input[0], moved.output[0] = inner_name(node, "first"), inner_name(node, "made")
        nodes = inner(moved, around) if asked(node).keys() == {0} else None
        if nodes is None:
            return None
        return [
            make("Einsum", [node.input[0]], [moved.input[0]], equation=TO_FIRST),
            *nodes,
            make("Einsum", [moved.output[0]], [node.output[0]], equation=TO_LAST),
        ]

    return surrogate


def by_layout(inner: Surrogate) -> Surrogate:
    """For operators that take both layouts, as their attribute ``channels_last`` says."""
    last = channels_last(inner)

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        return (last if setting(node, "channels_last", 0) else inner)(node, around)

    return surrogate


def _followed(inner: Surrogate, behind: Callable[[NodeProto, str], Sequence[NodeProto]]) -> Surrogate:
    """What ``inner`` makes, and nodes that are given its name and make the first output of it."""

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        before = NodeProto()
        before.CopyFrom(node)
        before.output[0] = inner_name(node, "untyped")
        nodes = inner(before, around)
        return None if nodes is None else [*nodes, *behind(node, before.output[0])]

    return surrogate


def cast(inner: Surrogate, dtype: int) -> Surrogate:
    """The shape of what ``inner`` makes, in that element type."""
    return _followed(inner, lambda node, made: [make("Cast", [made], node.output[:1], to=dtype)])


def scaled(inner: Surrogate, scale: int) -> Surrogate:
    """The shape of what ``inner`` makes, in the type of that input: a product has its first factor's."""

    def behind(node: NodeProto, made: str) -> Sequence[NodeProto]:
        scalar = inner_name(node, "scale")
        return [
            make("ReduceMax", [given(node, scale)], [scalar], keepdims=0),
            make("Mul", [scalar, made], node.output[:1]),
        ]

    return _followed(inner, behind)


def integers(name: str, values: Sequence[int]) -> NodeProto:
    """A Constant of int64."""
    tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
    return make("Constant", [], [name], value=tensor)


def product(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """FusedMatMul: a MatMul of operands whose last two axes are turned, or the first put behind the batch."""
    nodes: list[NodeProto] = []
    operands = []
    for index, side in enumerate("AB"):
        name = given(node, index)
        equation = TURNED[bool(setting(node, f"transBatch{side}", 0)), bool(setting(node, f"trans{side}", 0))]
        if equation:
            turned = inner_name(node, side)
            nodes.append(make("Einsum", [name], [turned], equation=equation))
            name = turned
        operands.append(name)
    return [*nodes, make("MatMul", operands, [node.output[0]])]


TURNED = {
    (False, False): "",
    (False, True): "...ij->...ji",
    (True, False): "i...j->...ij",
    (True, True): "i...j->...ji",
}
"""Einsum's equation for an operand, by whether its batch axes and its last two are transposed."""


def projections(widths: Mapping[int, str], copied: int | None = None) -> Surrogate:
    """Products with weights that are packed: (..., K) gives (..., N), where attributes say K and N.

    Args:
        widths: the attribute with N, by output.
        copied: the output that has the first input's type, if any.
    """

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        nodes: list[NodeProto] = []
        for index, output in asked(node).items():
            if index == copied:
                nodes.append(make("Identity", [node.input[0]], [output]))
                continue
            size, unpacked = inner_name(node, f"size_{index}"), inner_name(node, f"weight_{index}")
            nodes += [
                integers(size, [setting(node, "K", 0), setting(node, widths[index], 0)]),
                _zeros(size, unpacked, around.held.get(node.input[0], UNKNOWN)),
                make("MatMul", [node.input[0], unpacked], [output]),
            ]
        return nodes

    return surrogate


def _zeros(size: str, name: str, factor: ValueType) -> NodeProto:
    """A factor in the type of the other one, if that is known: node by node, types have to fit."""
    dtype = NUMBERS.get(factor.dtype or "", TensorProto.FLOAT)
    return make("ConstantOfShape", [size], [name], value=helper.make_tensor("", dtype, [1], [0]))


def forward_projection(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """MatMulBnb4 as it stands in a forward pass; without ``transB`` it is a backward one's."""
    return projections({0: "N"})(node, around) if setting(node, "transB", 1) else None


def convolution_with_kernel(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """NhwcConv: its schema has the weight's kernel last, the tool that writes it has it in the middle."""
    return channels_last(form("Conv", 0, 1, 2))(node, around) if setting(node, "kernel_shape", ()) else None


def quantized_gemm(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """QGemm: quantised where it has a scale for its output, else float32."""
    inner = form("Gemm", 0, 3)
    return scaled(inner, 8 if given(node, 8) else 1)(node, around)


def float8_gemm(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """GemmFloat8: its type is an attribute, as Cast's."""
    return cast(form("Gemm", 0, 1), setting(node, "dtype", TensorProto.FLOAT))(node, around)


def concatenation(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """QLinearConcat: behind the output's scale and zero point every third input is a tensor."""
    return scaled(form("Concat", *range(2, len(node.input), 3)), 1)(node, around)


def hashes(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """MurmurHash3: 32 bits for every element."""
    dtype = TensorProto.UINT32 if setting(node, "positive", 1) else TensorProto.INT32
    return [make("Cast", [node.input[0]], [node.output[0]], to=dtype)]


def halves(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """BiasSplitGelu: the last axis is halved."""
    outputs = [node.output[0], inner_name(node, "gate")]
    return [make("Split", [node.input[0]], outputs, axis=-1, num_outputs=2)]


def embedding(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """EmbedLayerNormalization: (B, S) ids take rows of a table; a mask index has one number for each of B."""
    ids, words = node.input[0], node.input[2]
    made = {
        0: make("Gather", [words, ids], [node.output[0]]),
        1: make("Einsum", [ids], list(node.output[1:2]), equation="bs->b"),
        2: make("Identity", [node.output[0]], list(node.output[2:3])),
    }
    return [made[index] for index in asked(node)]


def packed_rows(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """GatherBlockQuantized: a Gather in the scales' type; a byte holds 8 / bits values of the last axis."""
    data = around.held.get(node.input[0], UNKNOWN)
    if data.dtype is None:
        return None
    packed = 8 // int(setting(node, "bits", 4)) if data.dtype == "uint8" else 1

    def unpacked(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
        rows = inner_name(node, "rows")
        return [
            make("Gather", node.input[:2], [rows], axis=setting(node, "gather_axis", 0)),
            make("Concat", [rows] * packed, node.output, axis=-1),
        ]

    return scaled(unpacked, 2)(node, around)


def by_shape(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """MatMulFpQ4: the third input holds the weight's shape."""
    unpacked = inner_name(node, "weight")
    return [
        _zeros(node.input[2], unpacked, around.held.get(node.input[0], UNKNOWN)),
        make("MatMul", [node.input[0], unpacked], node.output),
    ]


def attention(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """QAttention: (B, S, I) by (I, 3 H) gives (B, S, H); the state is (2, B, heads, past + S, H / heads)."""
    output, past = node.output[0], given(node, 8)
    thirds = [inner_name(node, f"weight_{part}") for part in "qkv"]
    mixed = inner_name(node, "mixed")
    nodes = [
        make("Split", [node.input[1]], thirds, axis=1, num_outputs=3),
        make("MatMul", [node.input[0], thirds[0]], [mixed]),
        make("Mul", [node.input[3], mixed], [output]),
    ]
    if 1 not in asked(node):
        return nodes
    present = node.output[1]
    if past and setting(node, "past_present_share_buffer", 0):
        return [*nodes, make("Identity", [past], [present])]
    parts, heads, pair, state = (inner_name(node, what) for what in ("parts", "heads", "pair", "state"))
    nodes += [
        integers(parts, [0, 0, setting(node, "num_heads", 0), -1]),
        make("Reshape", [output, parts], [heads]),
        make("Constant", [], [pair], value=helper.make_tensor(pair, TensorProto.FLOAT, [2], [0.0, 0.0])),
        make("Einsum", [heads, pair], [state if past else present], equation="bshd,n->nbhsd"),
    ]
    return [*nodes, make("Concat", [past, state], [present], axis=3)] if past else nodes


def to_blocks(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """ReorderInput: to (N, C, H, W), the channels padded to whole blocks, as many as the convolution reads.

    The size of a block is the machine's; the weights behind were padded to it when the file was written.
    """
    source, blocked = node.input[0], node.output[0]
    nodes = []
    if setting(node, "channels_last", 0):
        source = inner_name(node, "first")
        nodes.append(make("Transpose", [node.input[0]], [source], perm=[0, 3, 1, 2]))
    if blocked not in around.channels:  # a pool's, which takes none that would have to be padded
        return [*nodes, make("Identity", [source], [blocked])]
    return [*nodes, *_channels(node, source, around.channels[blocked], blocked)]


def from_blocks(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """ReorderOutput: the ``channels`` that are no padding, last where it says so."""
    last, channels = setting(node, "channels_last", 0), setting(node, "channels", 0)
    taken = inner_name(node, "taken") if last else node.output[0]
    nodes = _channels(node, node.input[0], channels, taken)
    return [*nodes, make("Transpose", [taken], [node.output[0]], perm=[0, 2, 3, 1])] if last else nodes


def _channels(node: NodeProto, source: str, channels: int, output: str) -> Sequence[NodeProto]:
    """Axis 1 with so many channels, whatever it had."""
    if not 0 < channels <= MOST_CHANNELS:
        raise ValueError(f"{channels} channels")
    indices = inner_name(node, "channels")
    return [integers(indices, range(channels)), make("Gather", [source, indices], [output], axis=1)]


MOST_CHANNELS = 65_536
"""Beyond these no list of channels is written out."""


def repetition(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
    """A blocked Upsample: its scales are whole numbers, so it is as large as a Tile."""
    repeats = inner_name(node, "repeats")
    return [
        integers(repeats, setting(node, "scales", ())),
        make("Tile", [node.input[0], repeats], node.output),
    ]
