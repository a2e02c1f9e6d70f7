"""Operators of ONNX Runtime that move data; what they move is in ``traffic``."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.work import VECTOR, Rule, Work, each_output, no_work
from onnxlens.profile.graph.node_view import NodeView


def gather_block_quantized(node: NodeView) -> Work:
    """Per gathered element a subtract and a multiply; no subtract where its type is a float."""
    per_element = 1 if str(node.input(0).dtype).startswith("float") else 2
    return per_element * VECTOR * prod(node.output_shape(0))


RULES: Mapping[str, Rule] = {
    "ExpandDims": no_work,
    "GatherND": no_work,
    "Pad": no_work,
    "Trilu": no_work,
    "UnfoldTensor": no_work,
    "TorchEmbedding": no_work,
    "RemovePadding": no_work,
    "RestorePadding": no_work,
    "RelativePositionBias": no_work,
    "Range": each_output(VECTOR),
    "GatherBlockQuantized": gather_block_quantized,
}
