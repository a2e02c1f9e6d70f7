"""Older opsets: the same graph, or a refusal that names every operator in the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import onnxlens as api
from onnxlens.errors import ExportError
from onnxlens.export.lowering import OLDEST_OPSET, ONLY_EXTENDED, lower
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

X = "float[2,3,4,6] x"
VALUES = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)

NODES = {
    "Add": "y = Add(x, x)",
    "BatchNormalization": "y = BatchNormalization<epsilon = 0.01, training_mode = 0>(x, v, v, v, v)",
    "Clip": "y = Clip(x, half)",
    "Concat": "y = Concat<axis = -1>(x, x)",
    "Div": "y = Div(x, half)",
    "Erf": "y = Erf(x)",
    "Exp": "y = Exp(x)",
    "Expand": "y = Expand(half, sizes)",
    "Flatten": "y = Flatten<axis = 2>(x)",
    "Gather": "y = Gather<axis = 1>(x, indices)",
    "Gemm": "f = Flatten<axis = 2>(x) y = Gemm<transB = 1, alpha = 0.5>(f, f)",
    "Identity": "y = Identity(x)",
    "MatMul": "t = Transpose<perm = [0, 1, 3, 2]>(x) y = MatMul(x, t)",
    "Mul": "y = Mul(x, half)",
    "Pad": 'y = Pad<mode = "reflect">(x, pads)',
    "Relu": "y = Relu(x)",
    "Reshape": "y = Reshape<allowzero = 1>(x, rows)",
    "Resize": 'y = Resize<mode = "linear", antialias = 0>(x, none, scales)',
    "Shape": "s = Shape<start = 0>(x) z = Cast<to = 1>(s) y = Mul(z, half)",
    "Sigmoid": "y = Sigmoid(x)",
    "Slice": "y = Slice(x, indices, ends, indices)",
    "Split": "y, z = Split<axis = 3, num_outputs = 2>(x)",
    "Sqrt": "a = Mul(x, x) y = Sqrt(a)",
    "Sub": "y = Sub(x, half)",
    "Tanh": "y = Tanh(x)",
    "Transpose": "y = Transpose<perm = [3, 0, 1, 2]>(x)",
    "Where": "c = Less(x, half) y = Where(c, x, half)",
}
"""A node of every operator that the converter does not see, with attributes that only newer versions have."""

CONSTANTS = """
    float[3] v = {0.5, 1.5, 2.5}, float half = {0.5}, int64[4] sizes = {2, 3, 4, 6}, int64[2] rows = {6, 24},
    int64[1] indices = {1}, int64[1] ends = {3}, int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, float[0] none = {},
    float[4] scales = {1, 1, 2, 2}
"""


def model(nodes: str, opset: int = 18) -> onnx.ModelProto:
    text = (
        f'<ir_version: 10, opset_import: ["" : {opset}]> g ({X}) => (float[] y) <{CONSTANTS}> {{ {nodes} }}'
    )
    made = onnx.parser.parse_model(text)
    del made.graph.output[0].type.tensor_type.shape.dim[:]
    made.graph.output[0].type.tensor_type.ClearField("shape")
    for index, node in enumerate(made.graph.node):
        node.name = f"n{index}"
        node.metadata_props.add(key="scope", value=str(index))
    return onnx.shape_inference.infer_shapes(made)


def result(made: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(made, full_check=True)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": VALUES})[0])


def test_each_operator_that_is_kept_has_a_node_here() -> None:
    assert {*NODES} == ONLY_EXTENDED


@pytest.mark.parametrize("opset", [17, 13])
@pytest.mark.parametrize("operator", NODES)
def test_a_kept_operator_computes_the_same_in_an_older_opset(operator: str, opset: int) -> None:
    newer = model(NODES[operator])
    older = ir.to_proto(lower(ir.from_proto(newer), opset))
    assert [(entry.domain, entry.version) for entry in older.opset_import] == [("", opset)]
    assert older.ir_version == onnx.helper.find_min_ir_version_for(older.opset_import)
    assert [(node.op_type, node.domain) for node in older.graph.node] == [
        (node.op_type, "") for node in newer.graph.node
    ]
    assert [node.metadata_props[0].value for node in older.graph.node] == [
        str(index) for index in range(len(newer.graph.node))
    ]
    np.testing.assert_array_equal(result(older), result(newer))


def test_axes_become_an_attribute_and_what_says_nothing_goes() -> None:
    newer = model("y = ReduceMean<keepdims = 0, noop_with_empty_axes = 0>(x, indices)")
    older = ir.to_proto(lower(ir.from_proto(newer), 13))
    [node] = older.graph.node
    assert {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute} == {
        "axes": [1],
        "keepdims": 0,
    }
    np.testing.assert_array_equal(result(older), result(newer))


@pytest.mark.parametrize(
    ("nodes", "opset", "named"),
    [
        ("y, z = Split<axis = 1, num_outputs = 2>(x)", 17, "Split"),
        ("y = Pad(x, rows, , indices)", 17, "Pad"),
        ("a = Resize<antialias = 1>(x, , scales) y = LayerNormalization(a, half)", 13,
         "LayerNormalization, Resize"),
        ("y = Resize(x, , scales)", 11, "Resize"),
        ("y = Reshape<allowzero = 1>(x, indices)", 17, None),
    ],
)  # fmt: skip
def test_all_operators_in_the_way_are_named(nodes: str, opset: int, named: str | None) -> None:
    newer = ir.from_proto(model(nodes))
    if named is None:
        assert lower(newer, opset).opset_imports[""] == opset
        return
    with pytest.raises(ExportError, match=rf"^g: opset {opset} has no exact form of {named}; choose a newer"):
        lower(newer, opset)


class Layers(nn.Module):
    """What convolutional networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.norm = nn.GroupNorm(2, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(self.stem(x), (1, 1, 1, 1), mode="reflect")  # (N, 8, 10, 10)
        a, b = self.norm(x).chunk(2, dim=1)  # (N, 4, 10, 10) each
        x = torch.cat((a * b.sigmoid(), F.gelu(a)), dim=1)  # (N, 8, 10, 10)
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")  # (N, 8, 20, 20)
        return self.head(x.mean(dim=(2, 3))).softmax(dim=-1)  # (N, 4)


def layers() -> GraphSpec:
    """The network, for the target below."""
    return GraphSpec(
        name="layers",
        family="user",
        factory=Layers,
        inputs=(TensorSpec("x", "float32", (1, 3, 8, 8)),),
        outputs=(TensorSpec("y", "float32", (1, 4)),),
        input_ranges={"x": (-1.0, 1.0)},
    )


@pytest.mark.parametrize("opset", [OLDEST_OPSET, 13, 17])
def test_a_network_in_an_older_opset_agrees_with_pytorch(opset: int, tmp_path: Path) -> None:
    target = "tests.export.test_lowering:layers"
    if opset < 13:
        with pytest.raises(ExportError, match=rf"opset {opset} has no exact form of .*Resize"):
            api.export_graph(target, tmp_path, api.Settings(opset=opset))
        return
    exported = api.export_graph(target, tmp_path, api.Settings(opset=opset))
    assert exported.manifest.opset == opset
    assert api.check_graph(target, api.Settings(opset=opset)).passed
    now = api.profile_graph(target)
    then = api.profile_graph(exported.onnx_path)
    assert [(row.path, row.macs, row.params) for row in then.modules] == [
        (row.path, row.macs, row.params) for row in now.modules
    ]


@pytest.mark.slow
@pytest.mark.parametrize("graph", api.list_graphs(), ids=lambda graph: graph.name)
def test_every_graph_of_the_catalog_is_written_at_opset_17(graph: GraphSpec) -> None:
    settings = {"height": 128, "width": 128} if graph.family != "clip" else {}
    assert api.profile_graph(graph.name, api.Settings("none", 17, **settings)).totals.macs == (
        api.profile_graph(graph.name, api.Settings("none", 18, **settings)).totals.macs
    )
