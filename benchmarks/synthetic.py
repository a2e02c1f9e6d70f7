"""Graphs of any number of nodes: residual blocks of convolutions and products, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

CHANNELS, SIDE = 4, 8
SHAPE = (1, CHANNELS, SIDE, SIDE)
NODES_PER_BLOCK = 10

WEIGHTS = {
    "conv": (CHANNELS, CHANNELS, 3, 3),
    "point": (CHANNELS, CHANNELS, 1, 1),
    "product": (SIDE, SIDE),
    "bias": (SIDE,),
}
"""The weights that every block has for itself, by the end of their names."""


def write_chain(path: Path, nodes: int, with_shapes: bool) -> Path:
    """A graph of ``nodes`` nodes, a multiple of 10; all of its shapes are in the file, or none."""
    blocks, rest = divmod(nodes, NODES_PER_BLOCK)
    if rest:
        raise ValueError(f"{nodes} nodes are no whole blocks; give a multiple of {NODES_PER_BLOCK}")
    made = [node for block in range(blocks) for node in _block(block)]
    between = [_value(node.output[0]) for node in made[:-1]] if with_shapes else []
    graph = helper.make_graph(
        made,
        path.stem,
        [_value("x0")],
        [_value(f"x{blocks}")],
        [weight for block in range(blocks) for weight in _weights(block)],
        value_info=between,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def _block(block: int) -> Iterator[NodeProto]:
    """Two convolutions with their sum, and a gated product with its own: ten nodes."""
    x, y = f"x{block}", f"x{block + 1}"
    steps: tuple[tuple[str, str, str, dict[str, list[int]]], ...] = (
        ("Conv", f"{x} conv", "a", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("Relu", "a", "b", {}),
        ("Conv", "b point", "c", {"kernel_shape": [1, 1]}),
        ("Add", f"{x} c", "d", {}),
        ("Relu", "d", "e", {}),
        ("MatMul", "e product", "f", {}),
        ("Add", "f bias", "g", {}),
        ("Sigmoid", "g", "h", {}),
        ("Mul", "g h", "i", {}),
        ("Add", "e i", y, {}),
    )
    for index, (operator, inputs, output, attributes) in enumerate(steps):
        names = [_name(block, name) for name in inputs.split()]
        yield helper.make_node(
            operator, names, [_name(block, output)], name=f"block{block}_{index}_{operator}", **attributes
        )


def _name(block: int, name: str) -> str:
    """The name in the whole graph; tensors between blocks have it already."""
    return name if name.startswith("x") else f"block{block}.{name}"


def _weights(block: int) -> Iterator[TensorProto]:
    for name, shape in WEIGHTS.items():
        yield numpy_helper.from_array(np.full(shape, 0.1, np.float32), _name(block, name))


def _value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE)
