"""Opsets older than torch's exporter writes with module metadata, by onnx's version converter.

The converter drops metadata, has no way down for operators whose newer version only takes on more, and leaves
attributes behind that the older version does not have. So such attributes are dropped first where they make
no difference, nodes that mean the same in the older opset as they stand are kept from it, and the metadata
are given back by the nodes' names. What it still cannot convert is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir
from onnx import defs, helper, version_converter

from onnxlens.errors import ExportError

OLDEST_OPSET = 11
"""The oldest opset that is written."""

KEPT_DOMAIN = "onnxlens.kept"
"""Where a node stands that the converter must not see."""

ONLY_EXTENDED = frozenset(
    "Add BatchNormalization Clip Concat Div Erf Exp Expand Flatten Gather Gemm Identity MatMul Mul Pad Relu "
    "Reshape Resize Shape Sigmoid Slice Split Sqrt Sub Tanh Transpose Where".split()
)
"""Operators whose versions from opset 11 to 18 take all that the one before took, and mean the same."""


def lower(model: ir.Model, opset: int) -> ir.Model:
    """The same graph in an older opset; nodes keep their names and metadata.

    Args:
        model: in a newer opset, its weights external; it is changed.
        opset: to write, from ``OLDEST_OPSET`` on.

    Raises:
        ExportError: operators have no exact form in that opset; all of them are named.
    """
    for written in model.graph.all_nodes():
        _drop_needless_attributes(written, model.opset_imports[""], opset)
    proto = ir.to_proto(model)
    metadata = {node.name: node.metadata_props for node in _nodes(proto.graph)}
    for node in _nodes(proto.graph):
        if node.op_type in ONLY_EXTENDED and _fits(node, opset):
            node.domain = KEPT_DOMAIN
    try:
        lowered = _converted(proto, opset)
    except RuntimeError as error:
        raise ExportError(
            f"{proto.graph.name}: opset {opset} has no exact form of {', '.join(_in_the_way(proto, opset))}; "
            "choose a newer --opset"
        ) from error
    for node in _nodes(lowered.graph):
        node.metadata_props.extend(metadata.get(node.name, ()))
    return ir.from_proto(lowered)


def _drop_needless_attributes(node: ir.Node, newer: int, older: int) -> None:
    """Drop what the older version of the operator does not have, where it says what is so without it."""
    if node.domain or not defs.has(node.op_type, older):
        return
    known = defs.get_schema(node.op_type, older).attributes
    schema = defs.get_schema(node.op_type, newer).attributes
    for name in [name for name in node.attributes if name not in known]:
        default = schema[name].default_value
        if (
            default.type and helper.get_attribute_value(default) == node.attributes[name].value
        ) or _needless_here(node, name):
            del node.attributes[name]


def _needless_here(node: ir.Node, attribute: str) -> bool:
    """Whether an attribute makes no difference for this node.

    A Split into equal parts is what older versions do by themselves; a Reshape to a shape without zeros need
    not say what a zero means.
    """
    if (node.op_type, attribute) == ("Split", "num_outputs"):
        data = node.inputs[0]
        size = data.shape[node.attributes.get_int("axis", 0)] if data is not None and data.shape else None
        return isinstance(size, int) and size % len(node.outputs) == 0
    if (node.op_type, attribute) == ("Reshape", "allowzero"):
        shape = ir.convenience.get_const_tensor(node.inputs[1]) if node.inputs[1] is not None else None
        return shape is not None and bool(shape.numpy().all())
    return False


def _fits(node: onnx.NodeProto, opset: int) -> bool:
    """Whether the operator of that opset takes the node's inputs and attributes."""
    schema = defs.get_schema(node.op_type, opset)
    required = (formal.option == defs.OpSchema.FormalParameterOption.Single for formal in schema.inputs)
    return (
        len(node.input) <= schema.max_input
        and all(name or not needed for name, needed in zip(node.input, required, strict=False))
        and {given.name for given in node.attribute} <= {*schema.attributes}
    )


def _converted(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """What the converter makes of it, with the kept nodes back among the others.

    Raises:
        RuntimeError: it has no way for an operator.
    """
    request = onnx.ModelProto()
    request.CopyFrom(proto)
    request.opset_import.append(helper.make_opsetid(KEPT_DOMAIN, 1))
    lowered = version_converter.convert_version(request, opset)
    for node in _nodes(lowered.graph):
        node.domain = node.domain.removeprefix(KEPT_DOMAIN)
    imports = [entry for entry in lowered.opset_import if entry.domain != KEPT_DOMAIN]
    del lowered.opset_import[:]
    lowered.opset_import.extend(imports)
    lowered.ir_version = helper.find_min_ir_version_for(imports)
    return lowered


def _in_the_way(proto: onnx.ModelProto, opset: int) -> list[str]:
    """The operators that the converter refuses, found by showing it one at a time."""
    refused = []
    for operator in sorted({node.op_type for node in _nodes(proto.graph) if not node.domain}):
        alone = onnx.ModelProto()
        alone.CopyFrom(proto)
        for node in _nodes(alone.graph):
            node.domain = node.domain if node.op_type == operator else KEPT_DOMAIN
        try:
            _converted(alone, opset)
        except RuntimeError:
            refused.append(operator)
    return refused


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes of a graph and of the graphs within it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body)
