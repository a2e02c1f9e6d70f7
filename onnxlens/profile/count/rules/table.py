"""The table of all rules that onnxlens has of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

from onnxlens.profile.count.rules import (
    attention,
    elementwise,
    matrix,
    ml,
    movement,
    normalization,
    preprocessing,
    quantized,
    recurrent,
    reduction_pooling,
    training,
    vision,
)
from onnxlens.profile.count.rules.microsoft import attention as microsoft_attention
from onnxlens.profile.count.rules.microsoft import elementwise as microsoft_elementwise
from onnxlens.profile.count.rules.microsoft import fused, layouts, linear_attention, packed_weights
from onnxlens.profile.count.rules.microsoft import normalization as microsoft_normalization
from onnxlens.profile.count.rules.microsoft import quantized as microsoft_quantized
from onnxlens.profile.count.rules.traffic import Operator
from onnxlens.profile.count.rules.work import Rule

FAMILIES: Sequence[ModuleType] = (
    matrix,
    attention,
    recurrent,
    quantized,
    elementwise,
    normalization,
    reduction_pooling,
    vision,
    preprocessing,
    training,
    movement,
    ml,
    fused,
    microsoft_attention,
    linear_attention,
    packed_weights,
    microsoft_quantized,
    microsoft_normalization,
    microsoft_elementwise,
    layouts,
)
"""The modules of rules, one per family of operators; each has a table ``RULES``."""

RULES: Mapping[Operator, Rule] = {
    (domain, op_type): rule
    for family in FAMILIES
    for domain, rules in family.RULES.items()
    for op_type, rule in rules.items()
}
