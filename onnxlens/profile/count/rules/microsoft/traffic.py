"""What ONNX Runtime's operators move of the tables whose rows they look up, and of caches that grow."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.microsoft.mixture import experts_in_use
from onnxlens.profile.count.rules.partial import PartialBytes, rows_of
from onnxlens.profile.graph.node_view import NodeView


def _what_it_writes(node: NodeView) -> Mapping[int, int]:
    """The elements that go out are those that are read of the first input."""
    return {0: node.output(0).size_bytes}


def _gathered_blocks(node: NodeView) -> Mapping[int, int]:
    """Of the data, its scales and its zero points, the rows at the indices."""
    axis = node.attribute("gather_axis", 0)
    return rows_of(node, tables=(0, 2, 3), rows=node.input(1).elements, axis=axis)


def _embedded_rows(node: NodeView) -> Mapping[int, int]:
    """Of each of two or three tables, a row for every token."""
    return rows_of(node, tables=(2, 3, 4), rows=prod(node.output_shape(0)[:-1]))


def _rotary_rows(node: NodeView) -> Mapping[int, int]:
    """Of the two caches a row for every position; one position is where the sequence starts."""
    positions = node.input_shape(1)
    rows = node.input_shape(0)[-2] if len(positions) == 1 else prod(positions)
    return rows_of(node, tables=(2, 3), rows=rows)


def rows_of_new_tokens(cosines: int, sines: int) -> PartialBytes:
    """Of cosines and sines a row for every token of the query."""

    def reads(node: NodeView) -> Mapping[int, int]:
        return rows_of(node, tables=(cosines, sines), rows=prod(node.input_shape(0)[:2]))

    return reads


def _chosen_experts(node: NodeView) -> Mapping[int, int]:
    """Of every tensor that holds a row for each expert, as many as the tokens can reach."""
    return rows_of(node, tables=range(2, 14), rows=experts_in_use(node))


def cache_rows(caches: Mapping[int, int]) -> PartialBytes:
    """The new rows of each cache, by output and by the input that holds its past.

    A cache that goes out as long as it came in is a buffer, and is written in place; a longer one is another
    tensor, and is written whole.
    """

    def writes(node: NodeView) -> Mapping[int, int]:
        in_place = (output for output, past in caches.items() if _is_buffer(node, output, past))
        new_rows = node.input_shape(0)[1]
        return {
            output: node.output(output).size_bytes * new_rows // node.output_shape(output)[-2]
            for output in in_place
        }

    return writes


def _is_buffer(node: NodeView, output: int, past: int) -> bool:
    both = node.has_output(output) and node.has_input(past)
    return both and 0 not in node.output_shape(output) and node.output(output).shape == node.input(past).shape


PARTIAL_READS: Mapping[str, PartialBytes] = {
    "GatherND": _what_it_writes,
    "TorchEmbedding": _what_it_writes,
    "GatherBlockQuantized": _gathered_blocks,
    "EmbedLayerNormalization": _embedded_rows,
    "QEmbedLayerNormalization": _embedded_rows,
    "RotaryEmbedding": _rotary_rows,
    "MRotaryEmbedding": _rotary_rows,
    "GroupQueryAttention": rows_of_new_tokens(7, 8),
    "SparseAttention": rows_of_new_tokens(9, 10),
    "MoE": _chosen_experts,
    "QMoE": _chosen_experts,
}
"""By the input's index, the bytes read of it."""

PARTIAL_WRITES: Mapping[str, PartialBytes] = {
    "Attention": cache_rows({1: 4}),
    "DecoderMaskedSelfAttention": cache_rows({1: 4}),
    "QAttention": cache_rows({1: 8}),
    "MultiHeadAttention": cache_rows({1: 6, 2: 7}),
    "DecoderMaskedMultiHeadAttention": cache_rows({1: 5, 2: 6}),
    "GroupQueryAttention": cache_rows({1: 3, 2: 4}),
    "SparseAttention": cache_rows({1: 3, 2: 4}),
}
"""By the output's index, the bytes written of it."""
