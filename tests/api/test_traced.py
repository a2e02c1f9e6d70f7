"""A target's module, traced for tools that convert from PyTorch: it computes what the file does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import onnxlens
from onnxlens import Settings
from onnxlens.api.opened import OpenedTarget
from onnxlens.api.traced import write_traced
from onnxlens.errors import UsageError
from onnxlens.profile.runtime.session import run
from tests import call_nets, small_unet


def outputs_of(path: Path, it: OpenedTarget) -> list[np.ndarray]:
    """What the traced program makes of the file's inputs."""
    module = torch.export.load(path).module()
    found = module(*map(torch.from_numpy, it.inputs.values()))
    return [each.numpy() for each in (found if isinstance(found, tuple | list) else (found,))]


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One module of a network: its own first convolution is the file's second."""
    folder = tmp_path_factory.mktemp("block")
    path = onnxlens.export_graph(small_unet.TARGET, folder / "whole").onnx_path
    onnxlens.extract_module(
        path, "input_blocks.1", folder / "block.onnx", Settings(factory=small_unet.TARGET)
    )
    return folder / "block.onnx"


@pytest.mark.parametrize("dtype", [None, "float16"])
def test_the_program_computes_what_the_file_does(tmp_path: Path, dtype: str | None) -> None:
    with OpenedTarget(call_nets.TARGET, Settings(dtype=dtype)) as it:
        labels = write_traced(it, tmp_path / "m.pt2")
        expected = run(it.session(), it.inputs)
        if dtype is None:
            found = outputs_of(tmp_path / "m.pt2", it)
            assert all(np.allclose(*each, atol=1e-5) for each in zip(found, expected.values(), strict=True))
        else:  # in float32
            held = torch.export.load(tmp_path / "m.pt2").state_dict.values()
            assert {each.dtype for each in held} == {torch.float32}
        named = {node.view.name: it.graph.module_of(i) for i, node in enumerate(it.graph.nodes)}
    assert named[labels["linear"]] == "twice"  # called twice: torch writes twice@1 for the second
    assert named[labels["linear_1"]] == "twice"
    assert named[labels["linear_2"]] == "joins.line"
    assert named[labels["exp"]] == "passes"


def test_an_operation_of_an_extracted_module_gets_no_other_modules_name(block: Path, tmp_path: Path) -> None:
    with OpenedTarget(block, Settings(factory=small_unet.TARGET)) as it:
        labels = write_traced(it, tmp_path / "m.pt2")
        found = outputs_of(tmp_path / "m.pt2", it)
        expected = run(it.session(), it.inputs)
        modules = {node.view.name: it.graph.module_of(i) for i, node in enumerate(it.graph.nodes)}
        paths = it.graph.hierarchy.paths
    assert all(np.allclose(*each, atol=1e-4) for each in zip(found, expected.values(), strict=True))
    # torch numbers the block's own convolutions from 0, the file those of the whole network
    assert modules.get(labels["conv2d"], labels["conv2d"]) == "input_blocks.1.0.in_layers.2"
    assert all(label in modules or label in paths for label in labels.values())


def test_a_file_from_elsewhere_has_no_module(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    path = tmp_path / "g.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    with OpenedTarget(path) as it, pytest.raises(UsageError, match="converts from PyTorch"):
        write_traced(it, tmp_path / "m.pt2")
