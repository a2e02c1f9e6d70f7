"""The operators that one node is replaced with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import numpy as np
import onnx_ir as ir

Rule = Callable[[ir.Node, "Parts"], Sequence[ir.Value] | None]
"""Appends operators and returns what replaces the node's outputs; None leaves the node as it is."""

SOURCE_KEY = "onnxlens.source"
"""Of a node's metadata: the name of the node of the original file that it is a part of."""


class Parts:
    """Collects the operators that replace one node."""

    def __init__(self, node: ir.Node, opset: int, constants: Set[ir.Value | None]) -> None:
        """Nothing is collected yet; ``constants`` are the values that are made of weights alone."""
        self.constants = constants
        self._node = node
        self._tape = ir.tape.Tape()
        self.opset = opset

    @property
    def nodes(self) -> Sequence[ir.Node]:
        """What was collected, in order."""
        return self._tape.nodes

    def clear(self) -> None:
        """Forget what was collected."""
        self._tape = ir.tape.Tape()

    def op(
        self, op_type: str, *inputs: ir.Value | None, **attributes: int | float | str | list[int]
    ) -> ir.Value:
        """One more operator; its output."""
        return self._tape.op(op_type, inputs, attributes)

    def several(
        self, op_type: str, inputs: Sequence[ir.Value | None], count: int, **attributes: int
    ) -> Sequence[ir.Value]:
        """One more operator of several outputs."""
        return self._tape.op_multi_out(op_type, inputs, attributes, num_outputs=count)

    def copied(
        self, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, ir.Attr], count: int
    ) -> Sequence[ir.Value]:
        """One more operator with attributes that are there already."""
        return self._tape.op_multi_out(op_type, inputs, attributes, num_outputs=count)

    def ints(self, values: Iterable[int]) -> ir.Value:
        """A constant list of whole numbers."""
        return self._constant(np.array(list(values), np.int64))

    def number(self, value: float, like: ir.Value) -> ir.Value:
        """A constant scalar of the type of ``like``."""
        dtype = like.dtype or ir.DataType.FLOAT
        return self._constant(np.array(value, np.float64).astype(dtype.numpy()))

    def reduce(self, op_type: str, x: ir.Value, axes: Sequence[int], *, keepdims: int = 1) -> ir.Value:
        """A ReduceMean or ReduceSum over these axes, whose form is another before opsets 18 and 13."""
        if self.opset >= (13 if op_type == "ReduceSum" else 18):
            return self.op(op_type, x, self.ints(axes), keepdims=keepdims)
        return self.op(op_type, x, axes=list(axes), keepdims=keepdims)

    def reshape(self, x: ir.Value, shape: Iterable[int]) -> ir.Value:
        """A Reshape to a known shape."""
        return self.op("Reshape", x, self.ints(shape))

    def _constant(self, value: np.ndarray) -> ir.Value:
        return self._tape.op("Constant", [], {"value": ir.tensor(value)})


def sizes(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of a value; None where it is not known to the last dimension."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(int(size) for size in value.shape.numpy())


def rank(value: ir.Value | None) -> int | None:
    """The number of dimensions of a value; None where it is not known."""
    return None if value is None or value.shape is None else len(value.shape)


def given(node: ir.Node, index: int) -> ir.Value | None:
    """An input that may be left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def is_used(node: ir.Node, index: int) -> bool:
    """Whether an output that may be left out is there and read."""
    if index >= len(node.outputs):
        return False
    value = node.outputs[index]
    return bool(value.name) and (bool(value.uses()) or value.is_graph_output())
