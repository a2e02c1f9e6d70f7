"""A file read once gives the graph at other sizes that a new reading gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlens.errors import UsageError
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import LoadedFile, load_graph, loader


def saved(tmp_path: Path, nodes: Sequence[str], inputs: str, weights: Mapping[str, tuple[int, ...]]) -> Path:
    """A file of nodes as onnx's parser writes them, with zeros for weights."""
    body = "\n".join(nodes)
    model = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : 18]> net ({inputs}) => (float[?] y) {{ {body} }}'
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    for name, shape in weights.items():
        count = 1
        for size in shape:
            count *= size
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, shape, [0.0] * count))
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    return path


SPLIT_HEADS = (
    "shape = Shape (x)",
    "zero = Constant <value_ints = [0]> ()",
    "one = Constant <value_ints = [1]> ()",
    "batch = Gather (shape, zero)",
    "length = Gather (shape, one)",
    "heads = Constant <value_ints = [2, 4]> ()",
    "target = Concat <axis = 0> (batch, length, heads)",
    "h = MatMul (x, w)",
    "split = Reshape (h, target)",
    "t = Transpose <perm = [0, 2, 1, 3]> (split)",
    "k = Transpose <perm = [0, 2, 3, 1]> (split)",
    "s = MatMul (t, k)",
    "y = Softmax (s)",
)
"""Heads of attention, their shape computed from that of the input, as exporters write it."""

CONVOLUTIONS = (
    "a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)",
    "b = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (a, w)",
    "c = Relu (b)",
    "y = GlobalAveragePool (c)",
)

NESTED = (
    "n = Shape <start = 1, end = 2> (x)",
    "flat = Squeeze (n)",
    "yes = Constant <value = bool {1}> ()",
    "sum = Loop (flat, yes, x) <body = rounds (int64 i, bool c, float[b, m] v) => (bool d, float[b, m] o) "
    "{ d = Identity (c) o = Exp (v) }>",
    "y = Relu (sum)",
)


def alike(found: Graph, expected: Graph) -> bool:
    """Whether two graphs have the same nodes, with the same shapes and costs."""

    def told(graph: Graph) -> Sequence[object]:
        return [
            (node.view, node.constant_folded, node.bodies, node.within, node.module, node.observed)
            for node in graph.nodes
        ]

    return (
        told(found) == told(expected)
        and (found.inputs, found.outputs) == (expected.inputs, expected.outputs)
        and count_nodes(found) == count_nodes(expected)
    )


@pytest.mark.parametrize(
    ("nodes", "inputs", "weights", "names"),
    [
        (SPLIT_HEADS, "float[batch, length, 8] x", {"w": (8, 8)}, ("batch", "length")),
        (CONVOLUTIONS, "float[batch, 3, height, 9] x", {"w": (3, 3, 3, 3)}, ("batch", "height")),
        (NESTED, "float[b, m] x", {}, ("b", "m")),
    ],
    ids=["computed shapes", "convolutions", "a loop as long as its input"],
)
def test_other_sizes_are_those_of_a_new_reading(
    tmp_path: Path,
    nodes: Sequence[str],
    inputs: str,
    weights: Mapping[str, tuple[int, ...]],
    names: tuple[str, str],
) -> None:
    path = saved(tmp_path, nodes, inputs, weights)
    file = LoadedFile(path)
    for sizes in [(2, 7), (1, 1), (3, 8), (2, 7), (5, 13)]:
        dims = dict(zip(names, sizes, strict=True))
        assert alike(file.at(dims=dims), load_graph(path, dims=dims))


def test_libraries_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    whole = loader.complete_types

    def counted(*args: object, **options: object) -> object:
        asked.append(args)
        return whole(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loader, "complete_types", counted)
    file = LoadedFile(saved(tmp_path, SPLIT_HEADS, "float[batch, length, 8] x", {"w": (8, 8)}))
    shapes = [
        file.at(dims={"batch": batch, "length": length}).nodes[-1].view.output_shape()
        for batch, length in [(1, 2), (3, 5), (4, 6)]
    ]
    assert shapes == [(1, 2, 2, 2), (3, 2, 5, 5), (4, 2, 6, 6)]  # (batch, heads, length, length)
    assert len(asked) == 1


def test_a_dimension_stays_open_where_it_is_not_given(tmp_path: Path) -> None:
    file = LoadedFile(saved(tmp_path, CONVOLUTIONS, "float[batch, 3, height, 9] x", {"w": (3, 3, 3, 3)}))
    file.at(dims={"batch": 2, "height": 9})
    assert file.at(dims={"height": 5}).inputs[0].shape == ("batch", 3, 5, 9)
    with pytest.raises(UsageError, match="no dimension 'depth'"):
        file.at(dims={"depth": 2})
