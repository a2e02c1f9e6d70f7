"""Networks with open dimensions, as text that onnx's parser reads: what formulas are held to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import prod
from pathlib import Path

import onnx
from onnx import TensorProto, helper

Weights = Mapping[str, tuple[int, ...]]

NETS: Mapping[str, tuple[str, str, Weights]] = {
    "attention": (
        "float[batch, length, 8] x",
        """
        shape = Shape (x)
        zero = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        batch = Gather (shape, zero)
        length = Gather (shape, one)
        heads = Constant <value_ints = [2, 4]> ()
        target = Concat <axis = 0> (batch, length, heads)
        h = MatMul (x, w)
        split = Reshape (h, target)
        q = Transpose <perm = [0, 2, 1, 3]> (split)
        k = Transpose <perm = [0, 2, 3, 1]> (split)
        s = MatMul (q, k)
        p = Softmax (s)
        y = MatMul (p, q)
        """,
        {"w": (8, 8)},
    ),
    "cache": (
        "float[batch, 2, new, 4] x, float[batch, 2, past, 4] cache",
        """
        keys = Concat <axis = 2> (cache, x)
        turned = Transpose <perm = [0, 1, 3, 2]> (keys)
        s = MatMul (x, turned)
        p = Softmax (s)
        y = MatMul (p, keys)
        """,
        {},
    ),
    "odd sizes": (
        "float[batch, 3, height, width] x",
        """
        a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
        b = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (a, w)
        c = Relu (b)
        d = MaxPool <kernel_shape = [3, 3], strides = [3, 2], ceil_mode = 1> (c)
        y = GlobalAveragePool (d)
        """,
        {"w": (3, 3, 3, 3)},
    ),
    "blocks of eight": (
        "float[batch, length, 4] x",
        """
        blocks = Constant <value_ints = [0, -1, 8, 4]> ()
        cut = Reshape (x, blocks)
        y = Softmax <axis = 2> (cut)
        """,
        {},
    ),
    "a table of positions": (
        "float[batch, length, 8] x",
        """
        n = Shape <start = 1, end = 2> (x)
        zero = Constant <value_ints = [0]> ()
        rows = Slice (table, zero, n, zero)
        placed = Add (x, rows)
        y = MatMul (placed, w)
        """,
        {"table": (77, 8), "w": (8, 8)},
    ),
    "a loop as long as its input": (
        "float[b, m] x",
        """
        n = Shape <start = 1, end = 2> (x)
        flat = Squeeze (n)
        yes = Constant <value = bool {1}> ()
        last = Loop (flat, yes, x) <body = rounds (int64 i, bool c, float[b, m] v) => (bool d, float[b, m] o)
            { d = Identity (c) o = Exp (v) }>
        y = Relu (last)
        """,
        {},
    ),
}


def saved(folder: Path, inputs: str, nodes: str, weights: Weights) -> Path:
    """The file of a network, with zeros for weights; its shapes are left to inference."""
    model = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : 18]> net ({inputs}) => (float[?] y) {{ {nodes} }}'
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    for name, shape in weights.items():
        zeros = [0.0] * prod(shape)
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, shape, zeros))
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def random_net(seed: int) -> tuple[str, str, Weights]:
    """A chain of convolutions, poolings, resizings and attentions over all positions, some joined again."""
    draw = random.Random(seed)
    lines, weights, channels = [], dict[str, tuple[int, ...]](), 4
    for index in range(draw.randint(4, 9)):
        source, made = f"v{index}", f"v{index + 1}"
        kernel, stride = draw.choice([1, 2, 3, 5]), draw.choice([1, 1, 2, 3])
        window = f"strides = [{stride}, {draw.choice([1, stride])}], pads = {[kernel // 2] * 4}"
        kind = draw.choice(["conv", "conv", "pool", "resize", "gate", "mix"])
        if kind == "conv":
            weights[f"w{index}"] = (8, channels, kernel, kernel)
            lines.append(f"{made} = Conv <{window}> ({source}, w{index})")
            channels = 8
        elif kind == "pool":
            ceil = draw.choice([0, 1])
            window = (
                f"kernel_shape = [{kernel}, {kernel}], strides = [{stride}, {stride}], ceil_mode = {ceil}"
            )
            lines.append(f"{made} = {draw.choice(['MaxPool', 'AveragePool'])} <{window}> ({source})")
        elif kind == "resize":
            lines.append(f"s{index} = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()")
            lines.append(f'{made} = Resize <mode = "nearest"> ({source}, , s{index})')
        elif kind == "gate":
            lines.append(f"g{index} = Sigmoid ({source})")
            lines.append(f"{made} = Mul ({source}, g{index})")
        else:
            lines.append(f"f{index} = Flatten <axis = 2> ({source})")
            lines.append(f"t{index} = Transpose <perm = [1, 0]> (f{index})")
            lines.append(f"m{index} = MatMul (f{index}, t{index})")
            lines.append(f"{made} = Relu ({source})")
    lines.append(f"y = GlobalMaxPool (v{len([line for line in lines if line.startswith('v')])})")
    return "float[batch, 4, height, width] v0", "\n".join(lines), weights
