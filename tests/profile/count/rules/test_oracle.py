"""MACs against PyTorch's own counter, from real ONNX nodes whose shapes ONNX inferred."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from onnxlens.profile.count.rules import work_of
from onnxlens.profile.graph.node_view import NodeView, Shape, ValueView


@dataclass(frozen=True)
class Pair:
    """An ONNX operator and the PyTorch call that computes the same of the same shapes."""

    op_type: str
    shapes: tuple[Shape, ...]
    call: Callable[..., Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 18


PAIRS: dict[str, Pair] = {
    "convolution": Pair(
        "Conv", ((2, 4, 64, 64), (320, 4, 3, 3), (320,)),
        lambda x, w, b: functional.conv2d(x, w, b, padding=1), {"pads": [1, 1, 1, 1]},
    ),
    "strided convolution": Pair(
        "Conv", ((2, 320, 63, 65), (320, 320, 3, 3)),
        lambda x, w: functional.conv2d(x, w, stride=2, padding=1), {"pads": [1, 1, 1, 1], "strides": [2, 2]},
    ),
    "dilated convolution in groups": Pair(
        "Conv", ((3, 6, 20, 22), (9, 2, 3, 5)),
        lambda x, w: functional.conv2d(x, w, groups=3, dilation=2), {"group": 3, "dilations": [2, 2]},
    ),
    "depthwise convolution over a sequence": Pair(
        "Conv", ((2, 8, 77), (8, 1, 7)), lambda x, w: functional.conv1d(x, w, groups=8), {"group": 8},
    ),
    "transposed convolution": Pair(
        "ConvTranspose", ((2, 6, 5, 7), (6, 9, 4, 4)),
        lambda x, w: functional.conv_transpose2d(x, w, stride=2, padding=1),
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
    ),
    "transposed convolution in groups": Pair(
        "ConvTranspose", ((2, 6, 5), (6, 4, 3)),
        lambda x, w: functional.conv_transpose1d(x, w, groups=2), {"group": 2},
    ),
    "linear": Pair("Gemm", ((77, 768), (3072, 768), (3072,)), functional.linear, {"transB": 1}),
    "transposed product": Pair("Gemm", ((7, 3), (7, 5)), lambda a, b: a.T @ b, {"transA": 1}),
    "batched product": Pair("MatMul", ((2, 8, 3, 7), (2, 8, 7, 5)), torch.matmul),
    "broadcast product": Pair("MatMul", ((8, 3, 7), (2, 1, 7, 5)), torch.matmul),
    "einsum": Pair(
        "Einsum", ((2, 3, 4, 7), (2, 5, 4, 7)),
        lambda a, b: torch.einsum("bihd,bjhd->bhij", a, b), {"equation": "bihd,bjhd->bhij"},
    ),
    "einsum of three": Pair(
        "Einsum", ((3, 7), (7, 5), (5, 11)),
        lambda a, b, c: torch.einsum("ij,jk,kl->il", a, b, c), {"equation": "ij,jk,kl->il"},
    ),
    "einsum that sums first": Pair(
        "Einsum", ((3, 7), (7, 5)), lambda a, b: torch.einsum("ij,jk->k", a, b), {"equation": "ij,jk->k"},
    ),
    "self-attention": Pair(
        "Attention", ((2, 8, 1024, 40), (2, 8, 1024, 40), (2, 8, 1024, 40)),
        functional.scaled_dot_product_attention, opset=23,
    ),
    "cross-attention": Pair(
        "Attention", ((2, 8, 1024, 40), (2, 8, 77, 40), (2, 8, 77, 40)),
        functional.scaled_dot_product_attention, opset=23,
    ),
    "causal attention": Pair(
        "Attention", ((2, 12, 77, 64), (2, 12, 77, 64), (2, 12, 77, 64)),
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        {"is_causal": 1}, opset=23,
    ),
    "LSTM": Pair(
        "LSTM", ((7, 2, 5), (1, 12, 5), (1, 12, 3)),
        lambda x, w, r: torch.lstm(
            x, (x.new_empty(1, 2, 3),) * 2, (w[0], r[0]),
            has_biases=False, num_layers=1, dropout=0.0, train=False, bidirectional=False, batch_first=False,
        ),
        {"hidden_size": 3},
    ),
}  # fmt: skip


def inferred(pair: Pair) -> NodeView:
    """The node in a model of its own, its output's shape as ONNX infers it."""
    names = [f"x{index}" for index in range(len(pair.shapes))]
    onnx_node = helper.make_node(pair.op_type, names, ["y"], **pair.attributes)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(names, pair.shapes, strict=True)
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([onnx_node], "one_node", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", pair.opset)])
    made = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph.output[0]
    shape = tuple(dim.dim_value for dim in made.type.tensor_type.shape.dim)
    given = [ValueView(name, "float32", shape) for name, shape in zip(names, pair.shapes, strict=True)]
    result = ValueView("y", "float32", shape)
    return NodeView(pair.op_type, tuple(given), (result,), pair.attributes, version=pair.opset)


def counted_by_torch(pair: Pair) -> int:
    """FLOPs / 2, on the meta device: on a CPU the counter misses attention and recurrent layers."""
    arguments: list[Tensor] = [torch.empty(shape, device="meta") for shape in pair.shapes]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        pair.call(*arguments)
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize("what", PAIRS)
def test_macs_are_those_that_torch_counts(what: str) -> None:
    pair = PAIRS[what]
    macs = counted_by_torch(pair)
    assert macs > 0
    assert work_of(inferred(pair)).macs == macs
