"""Operators that ONNX itself defines by others: each is written as its definition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
import onnx_ir as ir
from onnx import AttributeProto, FunctionProto, NodeProto, defs

from onnxlens.export.dialects.parts import Parts


def by_definition(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """The nodes of ONNX's definition of the operator; None where it has none, or one with graphs inside."""
    function = _definition(node, parts.opset)
    if function is None or any(
        attribute.type == AttributeProto.GRAPH for each in function.node for attribute in each.attribute
    ):
        return None
    values: dict[str, ir.Value | None] = {"": None}
    values |= dict(zip(function.input, (*node.inputs, *[None] * len(function.input)), strict=False))
    given = {attribute.name: attribute for attribute in map(ir.to_proto, node.attributes.values())}
    given = {default.name: default for default in _defaults(node, parts.opset)} | given
    for each in function.node:
        attributes = {name: ir.from_proto(attribute) for name, attribute in _resolved(each, given)}
        made = parts.copied(each.op_type, [values[name] for name in each.input], attributes, len(each.output))
        values |= dict(zip(each.output, made, strict=True))
    results = [values.get(name) for name in function.output[: len(node.outputs)]]
    return [result for result in results if result is not None] if None not in results else None


def _definition(node: ir.Node, opset: int) -> FunctionProto | None:
    if node.domain or not defs.has(node.op_type, opset):
        return None
    schema: Any = defs.get_schema(node.op_type, opset)  # onnx's stubs leave these out
    if schema.has_function:
        body: FunctionProto = schema.function_body
        return body
    if not schema.has_context_dependent_function:
        return None
    types = [_type_of(value) for value in node.inputs]
    text = schema.get_context_dependent_function(ir.to_proto(node).SerializeToString(), types)
    function = FunctionProto()
    function.ParseFromString(text)
    return function if function.node else None


def _type_of(value: ir.Value | None) -> bytes:
    if value is None or value.type is None:
        return onnx.TypeProto().SerializeToString()
    shape = None if value.shape is None else [dim if isinstance(dim, int) else None for dim in value.shape]
    return onnx.helper.make_tensor_type_proto(int(value.type.dtype), shape).SerializeToString()


def _defaults(node: ir.Node, opset: int) -> Iterator[AttributeProto]:
    for attribute in defs.get_schema(node.op_type, opset).attributes.values():
        if attribute.default_value.name:
            yield attribute.default_value


def _resolved(node: NodeProto, given: dict[str, AttributeProto]) -> Iterator[tuple[str, AttributeProto]]:
    """The attributes of a node of the definition, those that refer to the call's with its values."""
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            yield attribute.name, attribute
        elif attribute.ref_attr_name in given:
            value = AttributeProto()
            value.CopyFrom(given[attribute.ref_attr_name])
            value.name = attribute.name
            yield attribute.name, value
