"""Tensors of which an operator moves only a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from onnxlens.profile.graph.node_view import NodeView

PartialBytes = Callable[[NodeView], Mapping[int, int]]
"""The bytes a node moves of the inputs, or outputs, that it does not move whole; by their index."""


def rows_of(node: NodeView, tables: Iterable[int], rows: int, axis: int = 0) -> Mapping[int, int]:
    """The bytes of ``rows`` rows along ``axis`` of each of the inputs ``tables`` that are given."""
    given = (index for index in tables if node.has_input(index))
    return {
        index: node.input(index).size_bytes * rows // max(node.input_shape(index)[axis], 1) for index in given
    }
