"""Which tensors of PyTorch are found in the file, and which are said not to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

import onnxlens as api
from onnxlens.errors import ParityError
from onnxlens.profile.parity.layers.deviations import ALL_ZEROS
from onnxlens.profile.parity.layers.observing import Place, capture, observe
from onnxlens.specs.layers import LayerReport
from tests.faults import of_module, plant
from tests.profile.parity.layers.nets import WIDTH, Odd

INPUTS = {"x": np.linspace(-1, 1, 2 * 5 * WIDTH, dtype=np.float32).reshape(2, 5, WIDTH)}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph("tests.profile.parity.layers.nets:odd", tmp_path_factory.mktemp("odd")).onnx_path


@pytest.fixture(scope="module")
def report(odd: Path) -> LayerReport:
    return api.check_layers(odd)


def test_every_call_of_a_module_has_a_row_of_its_own(report: LayerReport) -> None:
    rows = [layer for layer in report.layers if layer.path in ("shared", "active")]
    assert [(row.path, row.call) for row in rows] == [
        ("shared", 1), ("active", 1), ("shared", 2), ("active", 2), ("shared", 3), ("active", 3),
    ]  # fmt: skip
    assert len({row.tensors for row in rows}) == 6
    assert all(row.verdict == "agrees" and row.introduced is not None for row in rows)


def test_two_tensors_of_one_shape_are_not_taken_for_each_other(report: LayerReport) -> None:
    (row,) = (layer for layer in report.layers if layer.path == "halves")
    assert row.verdict == "not comparable"
    assert row.reason == (
        "PyTorch hands on float32(2, 5, 8), float32(2, 5, 8), the file float32(2, 5, 8), float32(2, 5, 8): "
        "not one to one by shape"
    )
    assert report.passed  # what else there is agrees


def test_a_tensor_that_nobody_reads_does_not_hinder_the_others(report: LayerReport) -> None:
    (row,) = (layer for layer in report.layers if layer.path == "named")
    assert row.verdict == "agrees"
    assert len(row.tensors) == 2


def test_what_could_not_be_matched_is_compared_with_what_reads_it(report: LayerReport) -> None:
    made = [layer for layer in report.layers if layer.kind == "operators" and "Sin" in layer.operators]
    assert {layer.path for layer in made} == {""}  # it takes Halves and Named to make them
    assert all(layer.introduced is not None for layer in made)


def test_zeros_prove_nothing(report: LayerReport) -> None:
    (row,) = (layer for layer in report.layers if layer.path == "dead")
    assert (row.verdict, row.reason, row.output) == ("not comparable", ALL_ZEROS, None)


def test_a_module_without_nodes_has_no_row(report: LayerReport) -> None:
    assert "nothing" not in {layer.path for layer in report.layers}


def test_the_call_that_errs_is_named(odd: Path, tmp_path: Path) -> None:
    for path in odd.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())

    def second_call(graph: onnx.GraphProto, module: str) -> None:
        node = [node for node in of_module(graph, module) if node.op_type in ("MatMul", "Gemm")][1]
        graph.initializer.append(numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "planted"))
        node.input[1] = "planted"

    plant(tmp_path / odd.name, second_call, "shared")
    guilty = api.check_layers(tmp_path / odd.name).guilty
    assert guilty is not None
    assert (guilty.path, guilty.call) == ("shared", 2)


def test_calls_are_observed_in_order_and_each_tensor_once() -> None:
    kinds, calls = observe(Odd(), INPUTS, ["", "shared", "halves", "named"])
    whole = ("float32", (2, 5, WIDTH))
    found = {(call.path, call.call): (call.inputs, call.outputs) for call in calls}
    assert list(found) == [("", 0), ("shared", 0), ("shared", 1), ("shared", 2), ("halves", 0), ("named", 0)]
    assert found["shared", 1] == ((whole,), (whole,))
    assert found["named", 0] == ((whole, whole), (whole, ("float32", (2, WIDTH)), ("float32", (2, 1, WIDTH))))
    assert next(iter(kinds)) == Place("", 0, "in", 0)


def test_a_tensor_is_captured_as_it_passes_and_not_as_the_next_module_leaves_it() -> None:
    module = Odd()
    wanted = {Place("shared", 0, "out", 0): "before", Place("active", 0, "out", 0): "after"}
    values = capture(module, INPUTS, wanted)
    assert list(values) == ["before", "after"]
    assert values["before"].min() < 0
    assert np.array_equal(values["after"], np.maximum(values["before"], 0))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_the_run_ends_at_the_last_tensor_that_is_wanted() -> None:
    class Fails(nn.Module):
        def forward(self, x: object) -> None:
            raise AssertionError("it was run")

    module = Odd()
    module.halves = Fails()  # type: ignore[assignment]
    assert list(capture(module, INPUTS, {Place("active", 2, "out", 0): "last"})) == ["last"]
    assert capture(module, INPUTS, {}) == {}


def test_a_place_that_is_not_passed_is_an_error() -> None:
    with pytest.raises(ParityError, match="a second run of PyTorch did not pass .*is it random"):
        capture(Odd(), INPUTS, {Place("shared", 3, "out", 0): "fourth"})
