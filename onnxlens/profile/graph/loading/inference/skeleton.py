"""A model without its weights: what shape inference needs of it, and what it finds written into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from onnxlens.profile.graph.loading.protobuf import (
    MAX_CONSTANT_ELEMENTS,
    FileGraph,
    all_graphs,
    constant_reader,
)
from onnxlens.profile.graph.loading.value_types import LEFT_OUT
from onnxlens.profile.graph.node_view import ManyValues


def without_weights(model: onnx.ModelProto, read: FileGraph) -> onnx.ModelProto:
    """A copy whose larger constants are inputs: inference needs their types, not their bytes.

    Surrogate operators replace ONNX Runtime's. Where there is nothing to change, it is the model itself.
    """
    source = model.graph
    constants = any(any(inner.constants()) for inner in read.all())
    surrogates = any(node.domain or node.op_type in LEFT_OUT for inner in read.all() for node in inner.nodes)
    weights = (tensor for inner in read.all() for tensor in inner.proto.initializer)
    small = all(map(_is_small, weights)) and not source.sparse_initializer
    if small and source.name and not constants and not surrogates:
        return model
    copy = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = copy.graph
    graph.name = source.name or "graph"
    graph.input.extend(source.input)
    graph.output.extend(source.output)
    graph.value_info.extend(source.value_info)
    declared = {value.name for value in source.input}
    for tensor in source.initializer:
        if _is_small(tensor):
            graph.initializer.append(tensor)
        elif tensor.name not in declared:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    _add_nodes(graph, read)
    for prefix, inner in list(all_graphs(graph))[1:]:
        graph.input.extend(_moved_out(prefix, inner))
    if constants:
        for _, inner in all_graphs(graph):
            for node in inner.node:
                _write_as_tensor(node)
    if surrogates:
        from onnxlens.profile.graph.loading.inference.surrogates import put_surrogates

        put_surrogates(copy)
    return copy


def _add_nodes(graph: onnx.GraphProto, read: FileGraph) -> None:
    """The nodes of the model's graph, those of larger constants as inputs; without large attributes."""
    heavy = {id(node.proto) for node in read.nodes if any(map(_is_heavy, node.attributes.values()))}
    if not heavy and not any(map(_large_constant, read.constants())):
        graph.node.extend(read.proto.node)
        return
    for known in read.nodes:
        node = known.proto
        constant = _large_constant(node)
        if id(node) in heavy:
            kept = [each for each in node.attribute if not _is_heavy(known.attributes[each.name])]
            copy = NodeProto(op_type=node.op_type, domain=node.domain, name=node.name, attribute=kept)
            copy.input.extend(node.input)
            copy.output.extend(node.output)
            graph.node.append(copy)
        elif constant is None:
            graph.node.append(node)
        else:
            value = helper.make_tensor_value_info(node.output[0], constant.data_type, constant.dims)
            graph.input.append(value)


def _moved_out(prefix: str, body: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    """The larger constants of a body, which gets them from outside, as inputs of the model."""
    large = [tensor for tensor in body.initializer if not _is_small(tensor)]
    named = {tensor.name: tensor for tensor in large}
    for tensor in large:
        body.initializer.remove(tensor)
        body.node.insert(0, NodeProto(op_type="Identity", output=[tensor.name]))
    for node in body.node:
        constant = _large_constant(node)
        if constant is not None:
            node.CopyFrom(NodeProto(op_type="Identity", output=node.output))
            named[node.output[0]] = constant
        if not node.input and node.op_type == "Identity":
            name = node.output[0]
            outside = f"{prefix}{name} outside"
            node.input.append(outside)
            yield helper.make_tensor_value_info(outside, named[name].data_type, named[name].dims)


def _is_heavy(attribute: object) -> bool:
    """Whether an attribute holds the weights of a classical model: no type depends on them."""
    return isinstance(attribute, ManyValues)


def _is_small(tensor: TensorProto) -> bool:
    return prod(tensor.dims) <= MAX_CONSTANT_ELEMENTS and tensor.data_location != TensorProto.EXTERNAL


def _large_constant(node: NodeProto) -> TensorProto | None:
    if node.op_type != "Constant":
        return None
    return next((a.t for a in node.attribute if a.name == "value" and not _is_small(a.t)), None)


def _write_as_tensor(node: NodeProto) -> None:
    """A Constant's list of numbers as a tensor: ONNX Runtime's inference knows no other form."""
    if node.op_type == "Constant" and node.attribute and node.attribute[0].name != "value":
        read = constant_reader(node, None)
        array = read() if read is not None else None
        if array is not None:
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(array)))


def with_constants(model: onnx.ModelProto, constants: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """A copy in which a node whose output is known is a Constant, and a decided If has its branch twice."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for prefix, graph in list(all_graphs(copy.graph)):
        for node in graph.node:
            if node.op_type == "If" and prefix + node.input[0] in constants:
                _settle(node, taken=bool(constants[prefix + node.input[0]].all()))
            known = constants.get(prefix + node.output[0]) if len(node.output) == 1 else None
            if known is not None and node.op_type != "Constant":
                tensor = numpy_helper.from_array(known)
                node.CopyFrom(helper.make_node("Constant", [], node.output, node.name, value=tensor))
    return copy


def _settle(node: NodeProto, *, taken: bool) -> None:
    """Let both branches of an If be the one that runs: its outputs then have that one's types."""
    branches = {attribute.name: attribute.g for attribute in node.attribute}
    runs, other = (branches[name] for name in ("then_branch", "else_branch")[:: 1 if taken else -1])
    other.CopyFrom(runs)
