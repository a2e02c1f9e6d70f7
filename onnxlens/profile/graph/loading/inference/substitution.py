"""Putting surrogates in the place of ONNX Runtime's operators, in a skeleton."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import onnx
from onnx import GraphProto, NodeProto, defs

from onnxlens.profile.graph.loading.inference.surrogate_forms import Surrogate, Surroundings, setting
from onnxlens.profile.graph.loading.inference.surrogates import BLOCKED, SURROGATES
from onnxlens.profile.graph.loading.protobuf import all_graphs, domain_of, subgraphs
from onnxlens.profile.graph.loading.value_types import UNKNOWN, ValueType, tensor_type, value_type

EINSUM_OPSET = 12
"""Since which there is an Einsum; it only adds to the one before."""


def put_surrogates(model: onnx.ModelProto) -> None:
    """Replace, in place, every node that has a surrogate: one whose operators exist at the model's opset."""
    opset = next((opset for opset in model.opset_import if opset.domain in ("", "ai.onnx")), None)
    if opset is None or not any(
        _rule(node, opset.version) for _, graph in all_graphs(model.graph) for node in graph.node
    ):
        return
    if opset.version == EINSUM_OPSET - 1:
        opset.version = EINSUM_OPSET
    _replace(model.graph, Surroundings(), opset.version)


def _replace(graph: GraphProto, outer: Surroundings, version: int) -> None:
    around = _surroundings(graph, outer)
    nodes: list[NodeProto] = []
    for node in graph.node:
        for _, inner in subgraphs(node):
            _replace(inner, around, version)
        nodes += _surrogate(node, around, version) or [node]
    del graph.node[:]
    graph.node.extend(nodes)


def _surrogate(node: NodeProto, around: Surroundings, version: int) -> Sequence[NodeProto] | None:
    rule = _rule(node, version)
    try:
        nodes = rule(node, around) if rule is not None else None
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None  # a node that lacks what its schema asks for, or has it in another form, stays
    return nodes if nodes and all(_exists(made.op_type, version) for made in nodes) else None


def _rule(node: NodeProto, version: int) -> Surrogate | None:
    domain = domain_of(node)
    at_home = domain == "" and _exists(node.op_type, version)
    return None if at_home else SURROGATES.get((domain, node.op_type))


@cache
def _exists(op_type: str, version: int) -> bool:
    """Whether ONNX itself has the operator at that opset."""
    try:
        defs.get_schema(op_type, version, "")
    except defs.SchemaError:
        return False
    return True


def _surroundings(graph: GraphProto, outer: Surroundings) -> Surroundings:
    held = {**outer.held, **dict(_held(graph))}
    channels = {
        node.input[0]: int(weight.shape[1]) * int(setting(node, "group", 1))
        for node in graph.node
        if (node.domain, node.op_type) == (BLOCKED, "Conv") and len(node.input) > 1
        for weight in [held.get(node.input[1], UNKNOWN)]
        if weight.shape is not None and weight.is_fixed and len(weight.shape) > 1
    }
    return Surroundings(held, channels)


def _held(graph: GraphProto) -> Iterator[tuple[str, ValueType]]:
    for tensor in graph.initializer:
        yield tensor.name, tensor_type(tensor)
    for value in graph.input:
        yield value.name, value_type(value.type)
