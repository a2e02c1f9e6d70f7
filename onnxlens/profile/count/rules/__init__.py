"""What each operator computes and moves: one pure rule per operator, over a NodeView; see docs/counting.md.

``work`` holds the unit of account. A file per family of operators holds the rules: ``matrix``, ``einsum``,
``attention``, ``state_attention``, ``recurrent``, ``quantized``, ``elementwise``, ``normalization``,
``reduction_pooling``, ``resizing``, ``vision``, ``signal``, ``sampling``, ``losses``, ``movement``,
``text``; in domains of their own ``preview``, ``training``, ``ml_linear``, ``ml_trees``,
``ml_features``; the package ``microsoft`` holds those of ONNX Runtime's operators. ``lookup`` joins them into
one table, and ``traffic`` counts bytes.
"""

from onnxlens.profile.count.rules.lookup import known_operators, work_of
from onnxlens.profile.count.rules.traffic import Traffic, is_view, traffic_of, viewed_inputs
from onnxlens.profile.count.rules.work import NOTHING, Work

__all__ = [
    "NOTHING",
    "Traffic",
    "Work",
    "is_view",
    "known_operators",
    "traffic_of",
    "viewed_inputs",
    "work_of",
]
