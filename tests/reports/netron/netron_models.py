"""A model small enough to say by hand what Netron draws of it."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

EDGES = ("1×3×8×8", "1×4×8×8", "1×4×8×8")
"""Into the convolution, from it, and out of the activation: a 3x3 with padding 1 keeps 8 x 8."""


def small(first: str = "picture") -> ModelProto:
    """A convolution of 3 to 4 channels and a Relu, with the weights in the file."""
    nodes = [
        helper.make_node("Conv", [first, "w"], ["h"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["h"], ["y"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(first, TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32), "w")],
        value_info=[helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 4, 8, 8])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
