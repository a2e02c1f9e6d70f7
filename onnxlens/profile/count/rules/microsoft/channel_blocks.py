"""The domain com.microsoft.nchwc: ONNX's operators over channels in blocks of a vector register's width.

A layout changes where an element stands, not what is computed; but the channels that fill the last block up
are computed, stand in the shapes, and count.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.count.rules import reduction_pooling, resizing
from onnxlens.profile.count.rules.microsoft import fused
from onnxlens.profile.count.rules.work import Rule, no_work

RULES: Mapping[str, Rule] = {
    "Conv": fused.RULES["FusedConv"],
    "MaxPool": reduction_pooling.RULES["MaxPool"],
    "AveragePool": reduction_pooling.RULES["AveragePool"],
    "GlobalMaxPool": reduction_pooling.RULES["GlobalMaxPool"],
    "GlobalAveragePool": reduction_pooling.RULES["GlobalAveragePool"],
    "Upsample": resizing.RULES["Upsample"],
    "ReorderInput": no_work,
    "ReorderOutput": no_work,
}
