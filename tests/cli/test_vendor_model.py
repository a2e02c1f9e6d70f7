"""``--model vendor``: the cycles of the vendor's own tool as columns beside the bound."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.calls import done, onnxlens


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A 3x3 convolution of 64 channels at 32 x 32, and one dilated by 5, which Rockchip's law leaves out."""
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in {"x": (1, 64, 32, 32), "y": (1, 64, 32, 32), "z": (1, 8, 32, 32)}.items()
    }
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, bytes(4 * shape[0] * shape[1] * 9), raw=True)
        for name, shape in {"a.weight": (64, 64, 3, 3), "b.weight": (8, 64, 3, 3)}.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "a.weight"], ["y"], "a", pads=[1] * 4),
        helper.make_node("Conv", ["y", "b.weight"], ["z"], "b", pads=[5] * 4, dilations=[5, 5]),
    ]
    graph = helper.make_graph(nodes, "two", [values["x"]], [values["z"]], weights)
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def rows(*arguments: str) -> list[dict[str, object]]:
    options = ("--as-dtype", "int8", "--by", "node", "--format", "json")
    return list(json.loads(done("profile", *arguments, *options))["rows"])


def test_cycles_stand_beside_the_bound(network: Path) -> None:
    columns = "node,fit_bound_s,vendor_cycles,vendor_macs"
    found = rows(str(network), "--hardware", "rk3588", "--model", "vendor", "--columns", columns)
    # 2 x 2 channel steps, 9 taps, 1,024 pixels; how the toolkit splits the dilated layer is not described
    assert [row.get("vendor_cycles") for row in found] == [2 * 2 * 9 * 1024, None]
    assert [row.get("vendor_macs") for row in found] == [64 * 64 * 9 * 1024, None]
    assert found[0]["fit_bound_s"] == pytest.approx(2 * 2 * 9 * 1024 / 3e9)


def test_each_chip_has_the_law_of_its_vendor(network: Path) -> None:
    columns = "node,vendor_cycles,vendor_cycles@ethos-u55-256"
    chips = "rk3588,ethos-u55-256"
    found = rows(str(network), "--hardware", chips, "--model", "vendor", "--columns", columns)
    assert found[0]["vendor_cycles@ethos-u55-256"] == 150_084  # what Vela prints for this layer
    assert "vendor_cycles@ethos-u55-256" in found[1]  # Vela fills the dilated kernel with zeros


def test_a_model_needs_a_chip(network: Path) -> None:
    result = onnxlens("profile", str(network), "--model", "vendor")
    assert result.code == 2
    assert "add --hardware CHIP" in result.err
