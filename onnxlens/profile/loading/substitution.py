"""Putting stand-ins in the place of ONNX Runtime's operators, in a skeleton."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import onnx
from onnx import GraphProto, NodeProto, defs

from onnxlens.profile.loading.stand_in_forms import Surroundings, setting
from onnxlens.profile.loading.stand_ins import BLOCKED, STAND_INS
from onnxlens.profile.loading.value_types import (
    UNKNOWN,
    ValueType,
    all_graphs,
    domain_of,
    subgraphs,
    tensor_type,
    value_type,
)

EINSUM_OPSET = 12
"""Since which there is an Einsum; it only adds to the one before."""


def put_stand_ins(model: onnx.ModelProto) -> None:
    """Replace, in place, every node that has a stand-in: one whose operators exist at the model's opset."""
    opset = next((opset for opset in model.opset_import if opset.domain in ("", "ai.onnx")), None)
    graphs = [graph for _, graph in all_graphs(model.graph)]
    if opset is None or not any(_key(node) in STAND_INS for graph in graphs for node in graph.node):
        return
    if opset.version == EINSUM_OPSET - 1:
        opset.version = EINSUM_OPSET
    _replace(model.graph, Surroundings(), opset.version)


def _key(node: NodeProto) -> tuple[str, str]:
    return domain_of(node), node.op_type


def _replace(graph: GraphProto, outer: Surroundings, version: int) -> None:
    around = _surroundings(graph, outer)
    nodes: list[NodeProto] = []
    for node in graph.node:
        for _, inner in subgraphs(node):
            _replace(inner, around, version)
        nodes += _stand_in(node, around, version) or [node]
    del graph.node[:]
    graph.node.extend(nodes)


def _stand_in(node: NodeProto, around: Surroundings, version: int) -> Sequence[NodeProto] | None:
    rule = STAND_INS.get(_key(node))
    if rule is None or (not domain_of(node) and _exists(node.op_type, version)):
        return None
    nodes = rule(node, around)
    return nodes if nodes and all(_exists(made.op_type, version) for made in nodes) else None


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
        if _key(node) == (BLOCKED, "Conv")
        for weight in [held.get(node.input[1], UNKNOWN)]
        if weight.shape is not None
    }
    return Surroundings(held, channels)


def _held(graph: GraphProto) -> Iterator[tuple[str, ValueType]]:
    for tensor in graph.initializer:
        yield tensor.name, tensor_type(tensor)
    for value in graph.input:
        yield value.name, value_type(value.type)
