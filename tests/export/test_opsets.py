"""The requested opset is the one that is written, with the module's own constants in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnxlens as api
from onnxlens.errors import ExportError
from onnxlens.export import tracing
from tests.export.tiny import TARGET
from tests.small_catalog import weightless

COUNTED = (
    "LayerNormalization",
    "GroupNormalization",
    "Attention",
    "Softmax",
    "Sigmoid",
    "Gelu",
    "Erf",
    "Tanh",
)


@pytest.mark.parametrize("opset", range(18, 26))
def test_the_requested_opset_is_written(opset: int, tmp_path: Path) -> None:
    exported = api.export_graph(TARGET, tmp_path, api.Settings("none", opset))
    model = onnx.load(exported.onnx_path, load_external_data=False)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    assert exported.manifest.opset == opset
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["Conv"] == 1
    # whole from their opset on, taken apart before
    assert operators["GroupNormalization"] == (1 if opset >= 21 else 0)
    assert operators["Attention"] == (1 if opset >= 23 else 0)
    assert operators["Softmax"] == (1 if opset < 23 else 0)


@pytest.mark.parametrize("opset", [10, 26, 0, -1])
def test_an_opset_that_is_not_written_faithfully_is_refused(opset: int, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=rf"^opset {opset} is not written faithfully .*choose 11 to 25$"):
        api.export_graph(TARGET, tmp_path / "out", api.Settings("none", opset))
    assert not (tmp_path / "out").exists()


def nodes_of(graph: str, opset: int, folder: Path) -> list[onnx.NodeProto]:
    exported = api.export_graph(graph, folder, weightless(opset))
    return list(onnx.load(exported.onnx_path, load_external_data=False).graph.node)


def attributes(nodes: list[onnx.NodeProto], op_type: str, name: str) -> Iterator[Any]:
    """The attribute of every node of a type; None where it is left at its default."""
    for node in nodes:
        if node.op_type == op_type:
            values = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
            yield values.get(name)


@pytest.mark.parametrize("opset", [18, 23])
def test_clip_keeps_its_epsilons_and_its_quick_gelu(opset: int, tmp_path: Path) -> None:
    nodes = nodes_of("clip-text", opset, tmp_path)
    operators = Counter(node.op_type for node in nodes)
    fused = opset >= 23
    # 12 layers: two layer norms, one attention and one sigmoid in each; and a last layer norm
    assert {name: operators[name] for name in COUNTED} == {
        "LayerNormalization": 12 * 2 + 1,
        "GroupNormalization": 0,
        "Attention": 12 if fused else 0,
        "Softmax": 0 if fused else 12,
        "Sigmoid": 12,
        "Gelu": 0,
        "Erf": 0,
        "Tanh": 0,
    }
    epsilons = list(attributes(nodes, "LayerNormalization", "epsilon"))
    assert epsilons == [pytest.approx(1e-5)] * 25
    assert set(attributes(nodes, "LayerNormalization", "axis")) == {-1}


@pytest.mark.parametrize("opset", [18, 23])
def test_hed_is_convolutions_relus_and_four_poolings(opset: int, tmp_path: Path) -> None:
    nodes = nodes_of("hed", opset, tmp_path)
    # five blocks of 2, 2, 3, 3 and 3 convolutions, an edge map read off each; all but the first pool
    assert Counter(node.op_type for node in nodes) == {"Sub": 1, "Conv": 13 + 5, "Relu": 13, "MaxPool": 4}
    kernels = Counter(
        (tuple(kernel), tuple(pads))
        for kernel, pads in zip(
            attributes(nodes, "Conv", "kernel_shape"), attributes(nodes, "Conv", "pads"), strict=True
        )
    )
    assert kernels == {((3, 3), (1, 1, 1, 1)): 13, ((1, 1), (0, 0, 0, 0)): 5}
    assert list(attributes(nodes, "MaxPool", "strides")) == [[2, 2]] * 4
    assert set(attributes(nodes, "MaxPool", "ceil_mode")) <= {0, None}


@pytest.mark.slow
def test_the_unet_keeps_both_of_its_epsilons(tmp_path: Path) -> None:
    nodes = nodes_of("sd-unet", 23, tmp_path)
    epsilons = Counter(f"{value:.0e}" for value in attributes(nodes, "GroupNormalization", "epsilon"))
    # 8 residual blocks on the way down, 2 in the middle, 12 on the way up, two norms in each, and the
    # output's; 6 + 1 + 9 transformers, one norm before each
    assert epsilons == {"1e-05": (8 + 2 + 12) * 2 + 1, "1e-06": 6 + 1 + 9}
    # three layer norms in each transformer
    assert list(attributes(nodes, "LayerNormalization", "epsilon")) == [pytest.approx(1e-5)] * (16 * 3)
    assert set(attributes(nodes, "GroupNormalization", "num_groups")) == {32}
    # two attentions in each transformer
    assert len(list(attributes(nodes, "Attention", "scale"))) == 16 * 2


def test_the_exporters_operators_are_read_once_for_an_opset_and_kept_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    reads: list[int] = []
    read = ONNXRegistry.from_torchlib

    def recorded(opset_version: int) -> ONNXRegistry:
        reads.append(opset_version)
        return read(opset_version)

    monkeypatch.setattr(tracing, "_REGISTRIES", {})
    monkeypatch.setattr(ONNXRegistry, "from_torchlib", staticmethod(recorded))
    for _ in range(2):
        with tracing._operators_read_once():
            registry = ONNXRegistry.from_torchlib(opset_version=18)
        assert "aten::add.Tensor" in registry.functions
        registry.functions["aten::add.Tensor"].clear()
        registry.functions.clear()
    with tracing._operators_read_once():
        assert ONNXRegistry.from_torchlib(opset_version=20).opset_version == 20
        assert ONNXRegistry.from_torchlib(opset_version=18).functions["aten::add.Tensor"]
    assert reads == [18, 20]
    assert ONNXRegistry.from_torchlib is recorded
