"""Operators on probation (``ai.onnx.preview``): attention whose scores a graph of its own may change."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.count.rules.attention import attention
from onnxlens.profile.count.rules.work import Rule, Work
from onnxlens.profile.graph.node_view import NodeView, NotCountable


def flex_attention(node: NodeView) -> Work:
    """As Attention without a mask: both products, the scale on Q and K, and the softmax.

    Raises:
        NotCountable: a graph of its own changes the scores or the probabilities.
    """
    for modifier in ("score_mod", "prob_mod"):
        if node.attribute(modifier) is not None:
            raise NotCountable(f"{node.op_type}: what the graph in its {modifier} computes is not counted")
    return attention(node)


RULES: Mapping[str, Rule] = {"FlexAttention": flex_attention}
