"""The table of all rules, and the way in."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from onnxlens.profile.count.rules import (
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
from onnxlens.profile.count.rules.microsoft import attention as microsoft_attention
from onnxlens.profile.count.rules.microsoft import (
    blockwise,
    channel_blocks,
    channels_last,
    fused,
    linear_attention,
    mixture,
    unlisted,
)
from onnxlens.profile.count.rules.microsoft import elementwise as microsoft_elementwise
from onnxlens.profile.count.rules.microsoft import movement as microsoft_movement
from onnxlens.profile.count.rules.microsoft import normalization as microsoft_normalization
from onnxlens.profile.count.rules.microsoft import quantized as microsoft_quantized
from onnxlens.profile.count.rules.work import Rule, Work
from onnxlens.profile.graph.node_view import NodeView, NotCountable

Operator = tuple[str, str]
"""A domain ("" for ONNX's own operators) and an operator's name in it."""

FAMILIES: Mapping[str, tuple[ModuleType, ...]] = {
    "": (
        matrix,
        einsum,
        attention,
        recurrent,
        quantized,
        elementwise,
        normalization,
        reduction_pooling,
        resizing,
        movement,
        state_attention,
        vision,
        signal,
        sampling,
        losses,
        text,
        unlisted,
    ),
    "ai.onnx.preview": (preview,),
    "ai.onnx.preview.training": (training,),
    "ai.onnx.ml": (ml_linear, ml_trees, ml_features),
    "com.microsoft": (
        fused,
        microsoft_attention,
        linear_attention,
        blockwise,
        mixture,
        microsoft_quantized,
        microsoft_normalization,
        microsoft_elementwise,
        microsoft_movement,
    ),
    "com.microsoft.nchwc": (channel_blocks,),
    "com.ms.internal.nhwc": (channels_last,),
}
"""The modules whose tables hold the rules of each domain."""

RULES: Mapping[Operator, Rule] = {
    (domain, op_type): rule
    for domain, families in FAMILIES.items()
    for family in families
    for op_type, rule in family.RULES.items()
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
