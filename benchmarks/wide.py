"""Files whose pictures are wide or long: thousands of tensors at one node, thousands of modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

MODULES, PIECES, LEVELS = 20_000, 3_000, 30
SIZE = 4

Parts = tuple[Sequence[NodeProto], Sequence[ValueInfoProto], Sequence[ValueInfoProto]]
"""Nodes, inputs and outputs."""


def write_wide(folder: Path, name: str) -> None:
    """Write one of ``WIDE``."""
    nodes, inputs, outputs = WIDE[name]()
    graph = helper.make_graph(nodes, name, inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / f"{name}.onnx")


def _value(name: str, pieces: int = 1) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, SIZE * pieces))


def _concat() -> Parts:
    names = [f"x{index}" for index in range(MODULES)]
    joined = helper.make_node("Concat", names, ["y"], axis=1)
    return [joined], [_value(name) for name in names], [_value("y", MODULES)]


def _split() -> Parts:
    names = [f"y{index}" for index in range(PIECES)]
    split = helper.make_node("Split", ["x"], names, axis=1, num_outputs=PIECES)
    return [split], [_value("x", PIECES)], [_value(name) for name in names]


def _star() -> Parts:
    """Modules side by side, into a Concat."""
    names = [f"r{index}" for index in range(MODULES)]
    nodes = [
        helper.make_node("Relu", ["x"], [name], f"/heads.{index}/Relu") for index, name in enumerate(names)
    ]
    joined = helper.make_node("Concat", names, ["y"], "/Concat", axis=1)
    return [*nodes, joined], [_value("x")], [_value("y", MODULES)]


def _row(modules: Iterator[str]) -> Parts:
    """The modules one after the other; every third is of another class."""
    nodes = [
        helper.make_node(op, [f"x{index}"], [f"x{index + 1}"], f"/{module}/{op}")
        for index, module in enumerate(modules)
        for op in ["Relu" if index % 3 else "Exp"]
    ]
    return nodes, [_value("x0")], [_value(f"x{len(nodes)}")]


def _chain() -> Parts:
    return _row(f"layers.{index}" for index in range(MODULES))


def _spine() -> Parts:
    """Levels in levels, each with as many modules of its own."""
    return _row(
        "/".join([*(f"deep{outer}" for outer in range(level)), f"c.{index}"])
        for level in range(LEVELS)
        for index in range(MODULES // LEVELS)
    )


def _tree() -> Parts:
    """Branches of ``LEVELS`` levels, with a module or several on each."""
    leaves = MODULES // (40 * LEVELS)
    return _row(
        "/".join([f"t{branch}", *(f"b{outer}" for outer in range(level)), f"leaf.{leaf}"])
        for branch in range(40)
        for level in range(LEVELS)
        for leaf in range(leaves)
    )


WIDE: Mapping[str, Callable[[], Parts]] = {
    "concat-20000": _concat,
    "split-3000": _split,
    "star-20000": _star,
    "modules-20000": _chain,
    "spine-30": _spine,
    "tree-30": _tree,
}
