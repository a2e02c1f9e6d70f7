"""Constant folding: the values of shapes, axes and counts that a graph computes from what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import GraphProto, NodeProto

from onnxlens.profile.graph.loading.inference.surrogate_rules import is_surrogate
from onnxlens.profile.graph.loading.protobuf import (
    MAX_CONSTANT_ELEMENTS,
    RANDOM_OPERATORS,
    constant_reader,
    domain_of,
    prefix_of,
    subgraphs,
    tensor_reader,
    versions,
)
from onnxlens.profile.graph.loading.value_types import UNKNOWN, ValueType

SHAPE_OPERATORS = frozenset({"Shape", "Size"})
"""Operators that need the shape of their input and not its value."""

NOT_FOLDED = RANDOM_OPERATORS | {"Constant"}


def fold(model: onnx.ModelProto, types: Mapping[str, ValueType]) -> Mapping[str, np.ndarray]:
    """The value of every small constant, and of what ONNX's own operators compute from such, by unique name.

    Args:
        model: without weights.
        types: of values, by unique name: a Shape of what is fixed is a constant.
    """
    return _Folder(types, versions(model)).fold(model.graph, "", {})


class _Folder:
    def __init__(self, types: Mapping[str, ValueType], opsets: dict[str, int]) -> None:
        self._types = types
        self._opsets = opsets

    def fold(self, graph: GraphProto, prefix: str, outer: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What is known in a graph and in those inside it, given what is known around it."""
        known = {**outer, **dict(_held(graph))}
        found = {prefix + name: value for name, value in known.items() if name not in outer}
        for node in graph.node:
            for name, value in self._computed(node, prefix, known):
                known[name] = found[prefix + name] = value
            for attribute, inner in subgraphs(node):
                formals = {value.name for value in inner.input}
                seen = {name: value for name, value in known.items() if name not in formals}
                found.update(self.fold(inner, prefix_of(node, attribute, prefix), seen))
        return found

    def _computed(
        self, node: NodeProto, prefix: str, known: Mapping[str, np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray]]:
        if domain_of(node) or node.op_type in NOT_FOLDED or not node.input or any(subgraphs(node)):
            return
        if is_surrogate(node):
            return
        inputs = self._shape_only(node, prefix) if node.op_type in SHAPE_OPERATORS else _given(node, known)
        if inputs is None or not self._is_small(node, prefix):
            return
        from onnx.reference import ReferenceEvaluator  # as slow to import as all of onnx

        try:
            values = ReferenceEvaluator(node, opsets=self._opsets).run(None, inputs)
        except Exception:  # the reference knows no such type or form: the value stays unknown
            return
        for name, value in zip(node.output, values, strict=False):
            if name and isinstance(value, np.ndarray) and value.size <= MAX_CONSTANT_ELEMENTS:
                yield name, value

    def _shape_only(self, node: NodeProto, prefix: str) -> dict[str, np.ndarray] | None:
        """An array of the input's shape that takes no memory."""
        known = self._types.get(prefix + node.input[0], UNKNOWN)
        if known.shape is None or not known.is_fixed:
            return None
        return {node.input[0]: np.broadcast_to(np.float32(0), tuple(int(dim) for dim in known.shape))}

    def _is_small(self, node: NodeProto, prefix: str) -> bool:
        """Whether no output is known to be larger than a constant may be: an expanded mask, a table."""
        kinds = (self._types.get(prefix + name, UNKNOWN) for name in node.output)
        return all((kind.elements or 0) <= MAX_CONSTANT_ELEMENTS for kind in kinds)


def _given(node: NodeProto, known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The values of all inputs; None where one is not known."""
    names = [name for name in node.input if name]
    return {name: known[name] for name in names} if all(name in known for name in names) else None


def _held(graph: GraphProto) -> Iterator[tuple[str, np.ndarray]]:
    """The small constants that the graph holds itself."""
    readers = [(tensor.name, tensor_reader(tensor, None)) for tensor in graph.initializer]
    readers += [(node.output[0], constant_reader(node, None)) for node in graph.node if node.output]
    for name, read in readers:
        value = read() if read is not None else None
        if value is not None:
            yield name, value
