"""Counting rules: one pure function per operator, from a NodeView to the Work that it computes.

Public as ``onnxlens.rules``. docs/counting.md lists what is counted, and shows how to register a rule:

    from onnxlens import rules

    def fused_block(node: rules.NodeView) -> rules.Work:
        weight = node.input_shape(1)  # (C_out, C_in)
        return rules.Work(macs=prod(node.output_shape(0)) * weight[1])

    rules.register("acme.npu", "FusedBlock", fused_block)

``work`` holds the unit of account, a file per family of operators the rules (``microsoft``: those of ONNX
Runtime's), ``traffic`` counts bytes, and ``lookup`` joins all rules and finds that of an operator.
"""

from onnxlens.profile.count.rules.lookup import (
    key_of,
    known_operators,
    register,
    registered_notes,
    traffic_of,
    work_of,
)
from onnxlens.profile.count.rules.traffic import Traffic, is_view, viewed_inputs
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Work
from onnxlens.profile.graph.node_view import NodeView, NotCountable, ValueView

__all__ = [
    "NOTHING",
    "SPECIAL",
    "VECTOR",
    "NodeView",
    "NotCountable",
    "Traffic",
    "ValueView",
    "Work",
    "is_view",
    "key_of",
    "known_operators",
    "register",
    "registered_notes",
    "traffic_of",
    "viewed_inputs",
    "work_of",
]
