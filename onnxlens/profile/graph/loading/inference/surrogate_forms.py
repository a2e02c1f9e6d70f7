"""The forms that surrogates take: few ways to say a node's shapes and types in ONNX's own operators.

Every function here gives a ``Surrogate``; those that take one alter what it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from onnx import NodeProto, TensorProto, defs, helper

from onnxlens.profile.graph.loading.value_types import SURROGATE_MARK, ValueType

TO_FIRST, TO_LAST = "n...c->nc...", "nc...->n...c"
"""Einsum's equations for moving the channels, whatever the number of spatial axes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node's own record does not say of it.

    Attributes:
        held: the types of weights and constants, by name.
        channels: how many channels a blocked convolution reads of a value, by the value's name.
    """

    held: Mapping[str, ValueType] = field(default_factory=dict)
    channels: Mapping[str, int] = field(default_factory=dict)


Surrogate = Callable[[NodeProto, Surroundings], Sequence[NodeProto] | None]
"""From a node to nodes with its outputs' names, shapes and types; None where it has a form that none fits."""


def is_surrogate(node: NodeProto) -> bool:
    """Whether the node stands for another: its values are not those of the file."""
    return node.doc_string == SURROGATE_MARK


def make(op_type: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> NodeProto:
    """A node of ONNX's own that is known for a surrogate."""
    return helper.make_node(op_type, inputs, outputs, doc_string=SURROGATE_MARK, **attributes)


def inner_name(node: NodeProto, what: str) -> str:
    """A name for a value between the nodes that stand for ``node``."""
    return f"{next(filter(None, node.output), node.name)}{SURROGATE_MARK}{what}"


def given(node: NodeProto, index: int) -> str:
    """The name of an input; empty where it is left out."""
    return node.input[index] if index < len(node.input) else ""


def asked(node: NodeProto) -> dict[int, str]:
    """The names of the outputs that are asked for, by index."""
    return {index: name for index, name in enumerate(node.output) if name}


def setting(node: NodeProto, name: str, default: Any) -> Any:
    """An attribute's value."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def copies(sources: Mapping[int, int]) -> Surrogate:
    """Outputs with the shape and type of an input: the input's index, by the output's."""

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        outputs = asked(node)
        if any(index not in sources or not given(node, sources[index]) for index in outputs):
            return None
        return [make("Identity", [given(node, sources[index])], [name]) for index, name in outputs.items()]

    return surrogate


def form(op_type: str, *indices: int, **attributes: Any) -> Surrogate:
    """One operator of ONNX on those inputs, with such of the node's attributes as it has, and more.

    All outputs stay as they are: the operator has them in the same order.
    """

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto]:
        inputs = [given(node, index) for index in indices]
        while inputs and not inputs[-1]:
            inputs.pop()
        made = make(op_type, inputs, node.output, **attributes)
        names = _attribute_names(op_type) - set(attributes)
        made.attribute.extend(attribute for attribute in node.attribute if attribute.name in names)
        return [made]

    return surrogate


@cache
def _attribute_names(op_type: str) -> frozenset[str]:
    """Those of every version: ONNX's inference reads an attribute where a version has it."""
    return frozenset(
        name
        for schema in defs.get_all_schemas_with_history()
        if schema.domain == "" and schema.name == op_type
        for name in schema.attributes
    )


def channels_last(inner: Surrogate) -> Surrogate:
    """What ``inner`` makes of the first input with its channels in front; the first output has them last."""

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        moved = NodeProto()
        moved.CopyFrom(node)
        moved.input[0], moved.output[0] = inner_name(node, "first"), inner_name(node, "made")
        nodes = inner(moved, around) if asked(node).keys() == {0} else None
        if nodes is None:
            return None
        return [
            make("Einsum", [node.input[0]], [moved.input[0]], equation=TO_FIRST),
            *nodes,
            make("Einsum", [moved.output[0]], [node.output[0]], equation=TO_LAST),
        ]

    return surrogate


def by_layout(inner: Surrogate) -> Surrogate:
    """For operators that take both layouts, as their attribute ``channels_last`` says."""
    last = channels_last(inner)

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        return (last if setting(node, "channels_last", 0) else inner)(node, around)

    return surrogate


def _followed(inner: Surrogate, behind: Callable[[NodeProto, str], Sequence[NodeProto]]) -> Surrogate:
    """What ``inner`` makes, and nodes that are given its name and make the first output of it."""

    def surrogate(node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
        before = NodeProto()
        before.CopyFrom(node)
        before.output[0] = inner_name(node, "untyped")
        nodes = inner(before, around)
        return None if nodes is None else [*nodes, *behind(node, before.output[0])]

    return surrogate


def cast(inner: Surrogate, dtype: int) -> Surrogate:
    """The shape of what ``inner`` makes, in that element type."""
    return _followed(inner, lambda node, made: [make("Cast", [made], node.output[:1], to=dtype)])


def scaled(inner: Surrogate, scale: int) -> Surrogate:
    """The shape of what ``inner`` makes, in the type of that input: a product has its first factor's."""

    def behind(node: NodeProto, made: str) -> Sequence[NodeProto]:
        scalar = inner_name(node, "scale")
        return [
            make("ReduceMax", [given(node, scale)], [scalar], keepdims=0),
            make("Mul", [scalar, made], node.output[:1]),
        ]

    return _followed(inner, behind)


def quantized(inner: Surrogate, scale: int, zero_point: int) -> Surrogate:
    """The shape of what ``inner`` makes, in the type of that zero point."""

    def behind(node: NodeProto, made: str) -> Sequence[NodeProto]:
        inputs = [made, given(node, scale), given(node, zero_point)]
        return [make("QuantizeLinear", inputs, node.output[:1])]

    return _followed(inner, behind)


def integers(name: str, values: Sequence[int]) -> NodeProto:
    """A Constant of int64."""
    tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
    return make("Constant", [], [name], value=tensor)
