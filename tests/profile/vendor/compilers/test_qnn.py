"""Why QNN refuses nodes, as the log of onnxruntime-qnn 2.7.0 says it."""

from __future__ import annotations

from onnxlens.profile.vendor.compilers.qnn import COMPILER, reasons

LOG = """\
x [V:onnxruntime:, qnn_execution_provider.cc:1713 LogNodeSupport] Validation PASSED for 1 nodes in OrtNodeUnit (Add) :
	Operator type: Add Node name: sum Node index: 3

x [V:onnxruntime:, qnn_execution_provider.cc:1713 LogNodeSupport] Validation FAILED for 1 nodes in OrtNodeUnit (Erf) :
	Operator type: Erf Node name: /block 1/erf Node index: 4
	REASON : Operators of type `Erf` are not supported by QNN EP.Erf node `/block 1/erf` will not be assigned to QNN EP.

x [V:onnxruntime:, qnn_execution_provider.cc:1713 LogNodeSupport] Validation FAILED for 2 nodes in OrtNodeUnit (Conv) :
	Operator type: DequantizeLinear Node name: d Node index: 5
	Operator type: Conv Node name: c Node index: 6
	REASON : value out of range
"""  # noqa: E501


def test_the_log_says_why_nodes_are_refused() -> None:
    assert reasons(LOG) == {
        "/block 1/erf": "Operators of type `Erf` are not supported by QNN EP.",
        "d": "value out of range",
        "c": "value out of range",
    }
    assert reasons("") == {}


def test_every_version_of_the_htp_can_be_quantized_for() -> None:
    assert COMPILER.chip("") == "v75"
    assert COMPILER.chip("v68@int8") == "v68@int8"
