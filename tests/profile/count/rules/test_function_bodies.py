"""A composite operator, or a loss, costs what its ONNX function body costs, as the installed onnx has it."""

from __future__ import annotations

from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from onnxlens.profile.count.rules import Work, work_of
from tests.profile.count.rules.nodes import node
from tests.profile.models import ledger_of, save, value

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
    """The sum over its nodes, each over all elements; nodes of constants alone are constant-folded."""
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


SCORES, TARGETS, CLASSES = (3, 5, 6), (3, 6), (5,)
OPSET = 13
LOG_PROBABILITIES = value("X_Log", SCORES)
"""In the body of the softmax form it is reshaped to a shape that inference does not follow."""

FORMS = [
    pytest.param(
        op_type,
        weighted,
        {"reduction": reduction, **ignored},
        id=f"{op_type}-{weighted}-{reduction}-{ignored}",
    )
    for op_type, weighted, reduction, ignored in product(
        ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
        (False, True),
        ("none", "sum", "mean"),
        ({}, {"ignore_index": 1}),
    )
]


def tensors(weighted: bool) -> list[ValueInfoProto]:
    given = [value("scores", SCORES), value("targets", TARGETS, TensorProto.INT64), value("weights", CLASSES)]
    return given if weighted else given[:2]


def loss_body(loss: NodeProto, inputs: list[ValueInfoProto]) -> list[NodeProto]:
    """The nodes of the function body, over the names and the attributes that the node has."""
    schema = onnx.defs.get_schema(loss.op_type, OPSET)
    types = [given.type.SerializeToString() for given in inputs]
    function = onnx.FunctionProto()
    function.ParseFromString(schema.get_context_dependent_function(loss.SerializeToString(), types))
    attributes = {attribute.name: attribute for attribute in loss.attribute}
    names = dict(zip(function.input, loss.input, strict=False)) | dict(
        zip(function.output, loss.output, strict=False)
    )
    for step in function.node:
        step.input[:] = [names.get(name, name) for name in step.input]
        step.output[:] = [names.get(name, name) for name in step.output]
        referred = [attributes.get(own.ref_attr_name) if own.ref_attr_name else own for own in step.attribute]
        kept = [deepcopy(attribute) for attribute in referred if attribute is not None]
        del step.attribute[:]
        step.attribute.extend(kept)
    return list(function.node)


@pytest.mark.parametrize(("op_type", "weighted", "attributes"), FORMS)
def test_a_loss_costs_its_function_body(
    tmp_path: Path, op_type: str, weighted: bool, attributes: dict[str, Any]
) -> None:
    inputs = tensors(weighted)
    made = helper.make_node(op_type, [given.name for given in inputs], ["loss"], **attributes)
    loss = value("loss", TARGETS if attributes["reduction"] == "none" else ())
    works = []
    for nodes in ([made], loss_body(made, inputs)):
        _, ledger = ledger_of(
            save(tmp_path, nodes, inputs, [loss], between=[LOG_PROBABILITIES], opsets={"": OPSET})
        )
        assert ledger.totals.unknown_nodes == 0
        works.append(Work(ledger.totals.macs, ledger.totals.vector_ops, ledger.totals.special_ops))
    assert works[0] == works[1] != Work()
