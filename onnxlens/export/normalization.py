"""Group normalizations over very many elements, written so that float32 runtimes compute them right.

Before opset 21, torch writes a group normalization as a reshape, InstanceNormalization, and a reshape back.
Runtimes sum such an instance in float32 one element after the other: over the million elements of a group of
the VAE at 512 x 512 pixels, ONNX Runtime's result is off by 1e-5 of its size, and after a row of such layers
by more. Sums of partial sums are ten times closer. docs/decisions/0004 has the figures.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

LONGEST_SUM = 2**17
"""Instances of more elements than this are averaged in two steps; up to it the error stays under 2e-6."""

INNER_SUM = 2**14
"""At most so many elements are summed in the first step."""

HALF_TYPES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
"""Squares and sums of these are taken in float32, as a runtime's own InstanceNormalization takes them."""


def split_long_normalizations(graph: ir.Graph) -> None:
    """Replace each InstanceNormalization over more than ``LONGEST_SUM`` elements by means in two steps."""
    for node in list(graph):
        if node.op_type == "InstanceNormalization" and (rows := _rows(node)) > 1:
            _replace(graph, node, rows)


def _rows(node: ir.Node) -> int:
    """Into how many equal parts an instance is cut: 1 where it is short, or cannot be cut."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None or not shape.is_static():
        return 1
    elements = prod(int(size) for size in shape.numpy()[2:])
    if elements <= LONGEST_SUM:
        return 1
    rows = 1
    while elements // rows > INNER_SUM and elements % (2 * rows) == 0:
        rows *= 2
    return rows


def _replace(graph: ir.Graph, node: ir.Node, rows: int) -> None:
    """(x - mean) / sqrt(mean((x - mean)^2) + epsilon), over (N, C, rows, rest), then scale and bias."""
    x, scale, bias = node.inputs
    if x is None or x.shape is None:
        return
    sizes = [int(size) for size in x.shape.numpy()]
    tape = ir.tape.Tape()
    half = x.dtype if x.dtype in HALF_TYPES else None
    wide = x if half is None else tape.op("Cast", [x], {"to": ir.DataType.FLOAT})
    cut = tape.op("Reshape", [wide, _ints(tape, [sizes[0], sizes[1], rows, -1])])
    centered = tape.op("Sub", [cut, _mean(tape, cut)])
    variance = _mean(tape, tape.op("Mul", [centered, centered]))
    epsilon = np.array(node.attributes.get_float("epsilon", 1e-5), np.float32)
    deviation = tape.op("Sqrt", [tape.op("Add", [variance, _constant(tape, epsilon)])])
    result = tape.op("Reshape", [tape.op("Div", [centered, deviation]), _ints(tape, sizes)])
    if half is not None:
        result = tape.op("Cast", [result], {"to": half})
    per_channel = [1, sizes[1], *[1] * (len(sizes) - 2)]
    for operator, value, neutral in (("Mul", scale, 1.0), ("Add", bias, 0.0)):
        if not _is_filled_with(value, neutral):
            result = tape.op(operator, [result, tape.op("Reshape", [value, _ints(tape, per_channel)])])
    for step in tape.nodes:
        step.metadata_props.update(node.metadata_props)
    result.shape = node.outputs[0].shape
    ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, node.outputs, [result])


def _mean(tape: ir.tape.Tape, value: ir.Value) -> ir.Value:
    """The mean over the last two axes, the last one first."""
    inner = tape.op("ReduceMean", [value, _ints(tape, [3])], {"keepdims": 1})
    return tape.op("ReduceMean", [inner, _ints(tape, [2])], {"keepdims": 1})


def _ints(tape: ir.tape.Tape, values: list[int]) -> ir.Value:
    return _constant(tape, np.array(values, np.int64))


def _constant(tape: ir.tape.Tape, value: np.ndarray) -> ir.Value:
    return tape.op("Constant", [], {"value": ir.tensor(value)})


def _is_filled_with(value: ir.Value | None, number: float) -> bool:
    constant = ir.convenience.get_const_tensor(value) if value is not None else None
    return constant is not None and bool((constant.numpy() == number).all())
