"""Surrogates that one operator needs: those whose nodes hang on an attribute, or are several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import NodeProto, TensorProto, helper

from onnxlens.profile.graph.loading.inference.surrogate_forms import (
    Surrogate,
    Surroundings,
    asked,
    cast,
    channels_last,
    form,
    given,
    inner_name,
    integers,
    make,
    quantized,
    scaled,
    setting,
)
from onnxlens.profile.graph.loading.value_types import UNKNOWN


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
                make("ConstantOfShape", [size], [unpacked]),
                make("MatMul", [node.input[0], unpacked], [output]),
            ]
        return nodes

    return surrogate


def forward_projection(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """MatMulBnb4 as it stands in a forward pass; without ``transB`` it is a backward one's."""
    return projections({0: "N"})(node, around) if setting(node, "transB", 1) else None


def convolution_with_kernel(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """NhwcConv: its schema has the weight's kernel last, the tool that writes it has it in the middle."""
    return channels_last(form("Conv", 0, 1, 2))(node, around) if setting(node, "kernel_shape", ()) else None


def quantized_gemm(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """QGemm: quantised where it has a scale for its output, else float32."""
    inner = form("Gemm", 0, 3)
    return (quantized(inner, 7, 8) if given(node, 8) else scaled(inner, 1))(node, around)


def float8_gemm(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """GemmFloat8: its type is an attribute, as Cast's."""
    return cast(form("Gemm", 0, 1), setting(node, "dtype", TensorProto.FLOAT))(node, around)


def concatenation(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """QLinearConcat: behind the output's scale and zero point every third input is a tensor."""
    return quantized(form("Concat", *range(2, len(node.input), 3)), 0, 1)(node, around)


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
        make("ConstantOfShape", [node.input[2]], [unpacked]),
        make("MatMul", [node.input[0], unpacked], node.output),
    ]


def quantized_embedding(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """QEmbedLayerNormalization: as EmbedLayerNormalization, in the type of the words' scale."""
    return scaled(embedding, 8)(node, around)


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


def linear_attention(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    """LinearAttention: as large as its values, once for each query head where those are more."""
    queries, values = int(setting(node, "q_num_heads", 0)), int(setting(node, "kv_num_heads", 0))
    shares = max(queries // values, 1)
    made = [make("Concat", [given(node, 2)] * shares, node.output[:1], axis=-1)]
    if 1 not in asked(node):
        return made
    return [*made, make("Identity", [given(node, 3)], node.output[1:2])] if given(node, 3) else None


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
    """Axis 1 with so many channels, whatever it had.

    Raises:
        ValueError: they are more than any network's.
    """
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
