"""The table of all rules, and the way in."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.node_view import NodeView, NotCountable
from onnxlens.profile.rules import (
    attention,
    einsum,
    elementwise,
    losses,
    matrix,
    ml_features,
    ml_linear,
    ml_trees,
    movement,
    normalization,
    preview,
    quantized,
    recurrent,
    reduction_pooling,
    resizing,
    sampling,
    signal,
    state_attention,
    text,
    training,
    vision,
)
from onnxlens.profile.rules.microsoft import attention as microsoft_attention
from onnxlens.profile.rules.microsoft import (
    blockwise,
    channel_blocks,
    channels_last,
    fused,
    linear_attention,
    mixture,
    unlisted,
)
from onnxlens.profile.rules.microsoft import elementwise as microsoft_elementwise
from onnxlens.profile.rules.microsoft import movement as microsoft_movement
from onnxlens.profile.rules.microsoft import normalization as microsoft_normalization
from onnxlens.profile.rules.microsoft import quantized as microsoft_quantized
from onnxlens.profile.rules.work import Rule, Work

Operator = tuple[str, str]
"""A domain ("" for ONNX's own operators) and an operator's name in it."""

FAMILIES: Mapping[str, tuple[Mapping[str, Rule], ...]] = {
    "": (
        matrix.RULES,
        einsum.RULES,
        attention.RULES,
        recurrent.RULES,
        quantized.RULES,
        elementwise.RULES,
        normalization.RULES,
        reduction_pooling.RULES,
        resizing.RULES,
        movement.RULES,
        state_attention.RULES,
        vision.RULES,
        signal.RULES,
        sampling.RULES,
        losses.RULES,
        text.RULES,
        unlisted.RULES,
    ),
    "ai.onnx.preview": (preview.RULES,),
    "ai.onnx.preview.training": (training.RULES,),
    "ai.onnx.ml": (ml_linear.RULES, ml_trees.RULES, ml_features.RULES),
    "com.microsoft": (
        fused.RULES,
        microsoft_attention.RULES,
        linear_attention.RULES,
        blockwise.RULES,
        mixture.RULES,
        microsoft_quantized.RULES,
        microsoft_normalization.RULES,
        microsoft_elementwise.RULES,
        microsoft_movement.RULES,
    ),
    "com.microsoft.nchwc": (channel_blocks.RULES,),
    "com.ms.internal.nhwc": (channels_last.RULES,),
}
"""The tables of each domain."""

RULES: Mapping[Operator, Rule] = {
    (domain, op_type): rule
    for domain, tables in FAMILIES.items()
    for table in tables
    for op_type, rule in table.items()
}


def work_of(node: NodeView) -> Work:
    """What one execution of the node computes.

    Raises:
        NotCountable: the operator has no rule, a shape is unknown, or the node does not fit its rule.
    """
    rule = RULES.get((node.domain, node.op_type))
    if rule is None:
        raise NotCountable(f"no rule for {node.domain or 'ai.onnx'}::{node.op_type}")
    try:
        return rule(node)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as cause:
        raise NotCountable(f"{node.op_type} {node.name!r} does not fit its rule: {cause!r}") from cause


def known_operators() -> frozenset[Operator]:
    """The operators that have a rule."""
    return frozenset(RULES)
