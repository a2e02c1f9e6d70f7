"""A composite operator costs what its ONNX function body costs, as the installed onnx has it."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlens.profile.count.rules import Work, work_of
from tests.profile.count.rules.nodes import node

ELEMENTS = (10,)
COMPOSITES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Relu", {}),
    ("ThresholdedRelu", {}),
    ("LeakyRelu", {}),
    ("PRelu", {}),
    ("Softsign", {}),
    ("HardSigmoid", {}),
    ("HardSwish", {}),
    ("Shrink", {}),
    ("Elu", {}),
    ("Celu", {}),
    ("Selu", {}),
    ("Softplus", {}),
    ("Mish", {}),
    ("Swish", {}),
    ("SwiGLU", {}),
    ("Gelu", {}),
    ("Gelu", {"approximate": "tanh"}),
    ("Softmax", {}),
    ("Clip", {}),
    ("Bernoulli", {}),
)


def function_body(op_type: str, attributes: dict[str, Any]) -> onnx.FunctionProto:
    """The reference decomposition, over inputs named as the schema names them."""
    schema = onnx.defs.get_schema(op_type)
    if schema.has_function:
        return schema.function_body
    names = [parameter.name for parameter in schema.inputs]
    whole = helper.make_node(op_type, names, ["y"], **attributes).SerializeToString()
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, ELEMENTS).SerializeToString()
    body = onnx.FunctionProto()
    body.ParseFromString(schema.get_context_dependent_function(whole, [kind] * len(names)))
    return body


def cost_of_body(body: onnx.FunctionProto) -> Work:
    """The sum over its nodes, each over all elements; what is computed from constants alone is offline."""
    total, online = Work(), set(body.input)
    for step in body.node:
        data = step.input[:1] if step.op_type == "CastLike" else step.input  # the other lends its type
        if online.intersection(data):
            online.update(step.output)
            total += work_of(node(step.op_type, [ELEMENTS] * len(step.input), [ELEMENTS]))
    return total


@pytest.mark.parametrize(("op_type", "attributes"), COMPOSITES)
def test_composite_costs_its_function_body(op_type: str, attributes: dict[str, Any]) -> None:
    body = function_body(op_type, attributes)
    whole = node(op_type, [ELEMENTS] * len(body.input), [ELEMENTS], **attributes)
    assert len(body.node) > 1
    assert work_of(whole) == cost_of_body(body)
