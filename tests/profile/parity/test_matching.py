"""Which tensors of PyTorch are matched in the file, and which are reported as not comparable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

import onnxlens as api
from onnxlens.errors import ParityError
from onnxlens.profile.parity.module_calls import Port, capture, observe
from onnxlens.profile.parity.parity import ALL_ZEROS
from onnxlens.specs.parity import ModuleParityReport
from tests.faults import of_module, plant
from tests.profile.parity.nets import WIDTH, Odd
from tests.trust import trusted

INPUTS = {"x": np.linspace(-1, 1, 2 * 5 * WIDTH, dtype=np.float32).reshape(2, 5, WIDTH)}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph("tests.profile.parity.nets:odd", tmp_path_factory.mktemp("odd")).onnx_path


@pytest.fixture(scope="module")
def report(odd: Path) -> ModuleParityReport:
    return api.check_layers(odd, trusted(odd))


def test_every_call_of_a_module_has_a_row_of_its_own(report: ModuleParityReport) -> None:
    rows = [layer for layer in report.layers if layer.path in ("shared", "active")]
    assert [(row.path, row.call) for row in rows] == [
        ("shared", 1), ("active", 1), ("shared", 2), ("active", 2), ("shared", 3), ("active", 3),
    ]  # fmt: skip
    assert len({row.tensors for row in rows}) == 6
    assert all(row.verdict == "agrees" and row.introduced is not None for row in rows)


def test_two_tensors_of_one_shape_are_not_confused(report: ModuleParityReport) -> None:
    (row,) = (layer for layer in report.layers if layer.path == "halves")
    assert row.verdict == "not comparable"
    assert row.reason == (
        "PyTorch returns float32(2, 5, 8), float32(2, 5, 8), the file float32(2, 5, 8), float32(2, 5, 8): "
        "not one to one by type and shape"
    )
    assert report.passed  # what else there is agrees


def test_a_tensor_without_consumers_does_not_affect_the_others(report: ModuleParityReport) -> None:
    (row,) = (layer for layer in report.layers if layer.path == "named")
    assert row.verdict == "agrees"
    assert len(row.tensors) == 2


def test_a_tensor_that_cannot_be_matched_is_compared_at_its_consumer(report: ModuleParityReport) -> None:
    made = [layer for layer in report.layers if layer.kind == "operators" and "Sin" in layer.operators]
    assert {layer.path for layer in made} == {""}  # it takes Halves and Named to make them
    assert all(layer.introduced is not None for layer in made)


def test_zeros_are_not_comparable(report: ModuleParityReport) -> None:
    (row,) = (layer for layer in report.layers if layer.path == "dead")
    assert (row.verdict, row.reason, row.output) == ("not comparable", ALL_ZEROS, None)


def test_a_module_without_nodes_has_no_row(report: ModuleParityReport) -> None:
    assert "nothing" not in {layer.path for layer in report.layers}


def test_the_diverging_call_is_named(odd: Path, tmp_path: Path) -> None:
    for path in odd.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())

    def second_call(graph: onnx.GraphProto, module: str) -> None:
        node = [node for node in of_module(graph, module) if node.op_type in ("MatMul", "Gemm")][1]
        graph.initializer.append(numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "planted"))
        node.input[1] = "planted"

    plant(tmp_path / odd.name, second_call, "shared")
    diverging = api.check_layers(tmp_path / odd.name, trusted(odd)).first_diverging
    assert diverging is not None
    assert (diverging.path, diverging.call) == ("shared", 2)


def test_calls_are_observed_in_order_and_each_tensor_once() -> None:
    observed = observe(Odd(), INPUTS, ["", "shared", "halves", "named"])
    calls = dict.fromkeys((port.path, port.call) for port in observed)
    assert list(calls) == [("", 0), ("shared", 0), ("shared", 1), ("shared", 2), ("halves", 0), ("named", 0)]
    assert {spec.dtype for spec in observed.values()} == {"float32"}
    shapes = {
        call: [(port.side, port.position, spec.shape) for port, spec in observed.items() if port[:2] == call]
        for call in calls
    }
    whole = (2, 5, WIDTH)
    assert shapes["shared", 1] == [("in", 0, whole), ("out", 0, whole)]
    assert shapes["named", 0] == [
        ("in", 0, whole), ("in", 1, whole),
        ("out", 0, whole), ("out", 1, (2, WIDTH)), ("out", 2, (2, 1, WIDTH)),
    ]  # fmt: skip
    assert next(iter(observed)) == Port("", 0, "in", 0)


def test_a_tensor_is_captured_as_it_passes_and_not_as_the_next_module_leaves_it() -> None:
    module = Odd()
    wanted = {Port("shared", 0, "out", 0): "before", Port("active", 0, "out", 0): "after"}
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
    assert list(capture(module, INPUTS, {Port("active", 2, "out", 0): "last"})) == ["last"]
    assert capture(module, INPUTS, {}) == {}


def test_a_port_that_is_not_reached_is_an_error() -> None:
    with pytest.raises(ParityError, match="a second run of PyTorch did not reach .*is it random"):
        capture(Odd(), INPUTS, {Port("shared", 3, "out", 0): "fourth"})
