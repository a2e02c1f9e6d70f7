"""Group normalizations over very many elements are split, and so come closer to the truth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from onnxlens.export import passes
from onnxlens.export.passes import KEPT_METADATA
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.manifest import ExportedGraph
from onnxlens.specs.tensor import TensorSpec
from tests.export.exports import export_spec
from tests.small_catalog import seeded_state

SIDE = 512
CHANNELS = 4
ROWS_OF_2_20 = 64
"""A group of 4 x 512 x 512 = 2^20 elements is summed in rows of 2^14."""


class Net(nn.Module):
    """A convolution, a norm over one long group, and one over four shorter ones."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, kernel_size=1)
        self.long = nn.GroupNorm(1, CHANNELS, eps=1e-3)
        self.pool = nn.AvgPool2d(4)
        self.short = nn.GroupNorm(4, CHANNELS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.long(self.conv(x))  # (1, 4, 512, 512): one group of 2^20 elements
        return x, self.short(self.pool(x))  # (1, 4, 128, 128): groups of 2^14


SPEC = GraphSpec(
    name="norms",
    family="user",
    factory=Net,
    inputs=(TensorSpec("x", "float32", (1, CHANNELS, SIDE, SIDE)),),
    outputs=(
        TensorSpec("y", "float32", (1, CHANNELS, SIDE, SIDE)),
        TensorSpec("z", "float32", (1, CHANNELS, SIDE // 4, SIDE // 4)),
    ),
    input_ranges={"x": (-1.0, 1.0)},
)
MACS = SIDE**2 * CHANNELS**2


def exported(folder: Path, opset: int) -> ExportedGraph:
    return export_spec(SPEC, folder, opset)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> ExportedGraph:
    return exported(tmp_path_factory.mktemp("split"), 18)


@pytest.fixture(scope="module")
def unsplit(tmp_path_factory: pytest.TempPathFactory) -> ExportedGraph:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "LONGEST_SUM", 2**40)
        return exported(tmp_path_factory.mktemp("unsplit"), 18)


def scope_of(node: onnx.NodeProto) -> str:
    return next(entry.value for entry in node.metadata_props if entry.key == KEPT_METADATA[0])


def operators(model: onnx.ModelProto, module: str) -> Counter[str]:
    """The operators that a module runs, by its scope."""
    return Counter(node.op_type for node in model.graph.node if f"'{module}'" in scope_of(node))


def error_of(graph: ExportedGraph) -> float:
    """Of the long norm's output, against PyTorch in float64; relative, in the L2 norm."""
    x = np.random.default_rng(0).standard_normal((1, CHANNELS, SIDE, SIDE)).astype(np.float32)
    module = Net()
    module.load_state_dict({name: torch.from_numpy(value) for name, value in seeded_state(SPEC).items()})
    with torch.inference_mode():
        reference = module.double()(torch.from_numpy(x).double())[0].numpy()
    session = ort.InferenceSession(graph.onnx_path, providers=["CPUExecutionProvider"])
    got = session.run(["y"], {"x": x})[0]
    return float(np.linalg.norm(got - reference) / np.linalg.norm(reference))


def test_the_long_norm_is_split_in_its_own_scope_and_the_short_one_is_kept(split: ExportedGraph) -> None:
    model = onnx.load(split.onnx_path, load_external_data=False)
    long = operators(model, "long")
    assert "InstanceNormalization" not in long
    # a mean is two reductions; mean, difference, square, mean, plus epsilon, root, quotient; scale and bias
    wanted = {"ReduceMean": 4, "Sub": 1, "Sqrt": 1, "Div": 1, "Mul": 2, "Add": 2}
    assert {name: long[name] for name in wanted} == wanted
    assert operators(model, "short")["InstanceNormalization"] == 1
    assert [node.name for node in model.graph.node if not scope_of(node)] == []


def test_split_and_unsplit_have_the_same_macs_and_params(
    split: ExportedGraph, unsplit: ExportedGraph
) -> None:
    ledgers = [build_ledger(load_graph(graph.onnx_path)) for graph in (split, unsplit)]
    assert [ledger.totals.macs for ledger in ledgers] == [MACS, MACS]
    assert [ledger.totals.params for ledger in ledgers] == [4 * 4 + 4 + 2 * (4 + 4)] * 2
    for ledger in ledgers:
        norm = next(module for module in ledger.modules if module.path == "long")
        assert (norm.class_name, norm.params) == ("GroupNorm", 4 + 4)


def test_split_is_closer_to_float64_than_unsplit(split: ExportedGraph, unsplit: ExportedGraph) -> None:
    assert operators(onnx.load(unsplit.onnx_path), "long")["InstanceNormalization"] == 1
    closer, further = error_of(split), error_of(unsplit)
    assert closer < 5e-6
    assert closer < further


def test_from_opset_21_on_group_normalization_stays_whole(tmp_path: Path) -> None:
    model = onnx.load(exported(tmp_path, 23).onnx_path, load_external_data=False)
    assert operators(model, "long") == Counter(GroupNormalization=1)
    assert operators(model, "short")["GroupNormalization"] == 1


def instance_norm(
    shape: tuple[int | str, ...], scale: list[float], bias: list[float], epsilon: float | None = None
) -> onnx.ModelProto:
    """One InstanceNormalization over ``x`` of that shape."""
    attributes: dict[str, Any] = {} if epsilon is None else {"epsilon": epsilon}
    node = helper.make_node("InstanceNormalization", ["x", "scale", "bias"], ["y"], name="norm", **attributes)
    node.metadata_props.add(key=KEPT_METADATA[0], value="['', 'here', 'call']")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    weights = [
        numpy_helper.from_array(np.array(values, np.float32), name)
        for name, values in (("scale", scale), ("bias", bias))
    ]
    graph = helper.make_graph([node], "norm", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def after_split(model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    """What is left when sums of over 16 elements are split into rows of at most 4."""
    monkeypatch.setattr(passes, "LONGEST_SUM", 16)
    monkeypatch.setattr(passes, "INNER_SUM", 4)
    changed = ir.from_proto(model)
    passes.split_long_normalizations(changed.graph)
    proto = ir.to_proto(changed)
    onnx.checker.check_model(proto, full_check=True)
    return proto


@pytest.mark.parametrize("epsilon", [None, 0.5])
@pytest.mark.parametrize(
    ("scale", "bias"), [([2.0, -3.0], [0.5, 7.0]), ([1.0, 1.0], [0.0, 1.0]), ([1.0, 1.0], [0.0, 0.0])]
)
def test_scale_bias_and_epsilon_are_applied(
    scale: list[float], bias: list[float], epsilon: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = after_split(instance_norm((3, 2, 4, 8), scale, bias, epsilon), monkeypatch)
    assert "InstanceNormalization" not in {node.op_type for node in model.graph.node}
    assert {scope_of(node) for node in model.graph.node} == {"['', 'here', 'call']"}
    x = np.random.default_rng(1).standard_normal((3, 2, 4, 8))
    mean, variance = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    expected = (x - mean) / np.sqrt(variance + (1e-5 if epsilon is None else epsilon))
    expected = expected * np.reshape(scale, (1, 2, 1, 1)) + np.reshape(bias, (1, 2, 1, 1))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x.astype(np.float32)})[0], expected, atol=1e-5)
    assert Counter(node.op_type for node in model.graph.node)["Mul"] == 1 + (scale != [1.0, 1.0])


@pytest.mark.parametrize(
    ("spatial", "rows"),
    [
        ((4, 4), None),  # 16: not over 16
        ((27,), None),  # odd: cannot be split
        ((18,), 2),  # 9 are odd
        ((4, 8), 8),  # 16, 8, 4
        ((2, 3, 4), 8),  # 12, 6, 3
        (("n", 64), None),  # of unknown length
    ],
)
def test_an_instance_is_halved_until_its_rows_are_short_or_odd(
    spatial: tuple[int | str, ...], rows: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = after_split(instance_norm((2, 1, *spatial), [1.0], [0.0]), monkeypatch)
    if rows is None:
        assert [node.op_type for node in model.graph.node] == ["InstanceNormalization"]
        return
    constants = {node.output[0]: node for node in model.graph.node if node.op_type == "Constant"}
    first = next(node for node in model.graph.node if node.op_type == "Reshape")
    target = numpy_helper.to_array(constants[first.input[1]].attribute[0].t)
    assert target.tolist() == [2, 1, rows, -1]


def test_the_limits_split_a_million_elements_into_rows_that_are_summed_alike(split: ExportedGraph) -> None:
    model = onnx.load(split.onnx_path, load_external_data=False)
    sizes = [numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer
             if tensor.data_type == TensorProto.INT64]  # fmt: skip
    assert [1, 1, ROWS_OF_2_20, -1] in sizes
    assert ROWS_OF_2_20 * 2**14 == CHANNELS * SIDE**2
