"""Large files: what is left in the file, and what a profile of one takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.profile.graph.loading import mapped
from onnxlens.profile.graph.loading.inference.skeleton import without_weights
from onnxlens.profile.graph.loading.mapped import LARGE_DATA, read_without_weights
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.graph.loading.protobuf import all_graphs, read_graph
from tests.profile.models import ledger_of

SIDE = 256
PEAK = """
import onnxlens, resource, sys
started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
onnxlens.profile_graph(sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - started) << 10)
"""


def products(count: int, side: int = SIDE) -> onnx.ModelProto:
    """A chain of products; the weights, in this order, as raw bytes, as floats, and in Constant nodes."""
    made = []
    weights = []
    for index in range(count):
        values = np.full((side, side), index + 1, np.float32)
        if index % 3 == 0:
            weights.append(numpy_helper.from_array(values, f"w{index}"))
        elif index % 3 == 1:
            weights.append(helper.make_tensor(f"w{index}", TensorProto.FLOAT, values.shape, values.ravel()))
        else:
            held = numpy_helper.from_array(values)
            made.append(helper.make_node("Constant", [], [f"w{index}"], value=held))
        made.append(helper.make_node("MatMul", [f"x{index}", f"w{index}"], [f"x{index + 1}"], f"m{index}"))
    ends = [helper.make_tensor_value_info(f"x{end}", TensorProto.FLOAT, (1, side)) for end in (0, count)]
    graph = helper.make_graph(made, "products", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three products, read as a large file is."""
    monkeypatch.setattr(mapped, "LARGE_FILE", 0)
    path = tmp_path / "products.onnx"
    onnx.save(products(3), path)
    return path


def test_large_tensors_are_external_in_the_file_itself(file: Path) -> None:
    lean = onnx.ModelProto.FromString(read_without_weights(file))
    assert lean.ByteSize() < LARGE_DATA < 3 * SIDE * SIDE * 4 < file.stat().st_size
    constant = next(node for node in lean.graph.node if node.op_type == "Constant")
    for index, tensor in enumerate([*lean.graph.initializer, constant.attribute[0].t], start=1):
        assert not tensor.raw_data and not tensor.float_data
        values = numpy_helper.to_array(tensor, str(file.parent))  # read by onnx where the entries say
        assert values.shape == (SIDE, SIDE) and (values == index).all()


def test_all_else_stays(file: Path) -> None:
    lean, whole = read_model(file, to_write=False), read_model(file)
    for model in (lean, whole):
        tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute)]
        for tensor in tensors:
            for name in ("raw_data", "float_data", "data_location", "external_data"):
                tensor.ClearField(name)
    assert lean == whole


def test_what_is_written_into_another_file_is_read(file: Path) -> None:
    assert read_model(file).graph.initializer[0].raw_data


@pytest.mark.parametrize("cut", [1, 5, 100])
def test_a_file_that_ends_too_early_is_left_to_the_parser(file: Path, cut: int) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    assert read_without_weights(file) == whole[:-cut]


def in_bodies(count: int, side: int = SIDE) -> onnx.ModelProto:
    """A Loop of two rounds whose body has the weights, half of them in the branches of an If in it.

    The loop's state has no type beyond its own, so that all libraries are asked.
    """
    inner = products(count, side)
    nodes = [*inner.graph.node, helper.make_node("Identity", ["on"], ["go"])]
    shapeless = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x0", "out")]
    branches = {}
    for name in ("then_branch", "else_branch"):
        taken = products(count, side).graph
        for node in taken.node:
            node.input[:] = [f"x{count}" if each == "x0" else f"{name}_{each}" for each in node.input]
            node.output[:] = [f"{name}_{each}" for each in node.output]
        for tensor in taken.initializer:
            tensor.name = f"{name}_{tensor.name}"
        result = helper.make_tensor_value_info(f"{name}_x{count}", TensorProto.FLOAT, None)
        branches[name] = helper.make_graph(taken.node, name, [], [result], taken.initializer)
    nodes.append(helper.make_node("If", ["on"], ["out"], "choose", **branches))
    body = helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, ()),
            helper.make_tensor_value_info("on", TensorProto.BOOL, ()),
            shapeless[0],
        ],
        [helper.make_tensor_value_info("go", TensorProto.BOOL, ()), shapeless[1]],
        inner.graph.initializer,
    )
    loop = helper.make_node("Loop", ["rounds", "", "x"], ["y"], "loop", body=body)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, side)) for name in "xy"]
    rounds = helper.make_tensor("rounds", TensorProto.INT64, (), [2])
    graph = helper.make_graph([loop], "looped", ends[:1], ends[1:], [rounds])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_weights_in_bodies_are_left_in_the_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bodies.onnx"
    onnx.save(in_bodies(3), path)
    plain = ledger_of(path)[1]
    monkeypatch.setattr(mapped, "LARGE_FILE", 0)
    assert len(read_without_weights(path)) < LARGE_DATA < path.stat().st_size
    left = ledger_of(path)[1]
    # two rounds of three products, and of three in the one branch that counts
    assert left.totals.macs == plain.totals.macs == 2 * (3 + 3) * SIDE * SIDE
    assert left.totals.unknown_nodes == 0
    assert left.nodes == plain.nodes


def test_inference_gets_the_types_of_what_bodies_hold(file: Path) -> None:
    onnx.save(in_bodies(3), file)
    model = read_model(file, to_write=False)
    skeleton = without_weights(model, read_graph(model.graph))
    inferred = onnx.shape_inference.infer_shapes(skeleton, data_prop=True)
    bodies = [graph for prefix, graph in all_graphs(inferred.graph) if prefix]
    assert not any(tensor.HasField("data_location") for graph in bodies for tensor in graph.initializer)
    for graph in bodies:
        weights = [value.type.tensor_type.shape for value in graph.value_info if "w" in value.name]
        assert [[dim.dim_value for dim in shape.dim] for shape in weights] == [[SIDE, SIDE]] * 3


@pytest.mark.slow
@pytest.mark.parametrize(("made", "count"), [(products, 12), (in_bodies, 4)])
def test_a_profile_takes_less_than_the_file(
    tmp_path: Path, made: Callable[[int, int], onnx.ModelProto], count: int
) -> None:
    path = tmp_path / "large.onnx"
    onnx.save(made(count, 2048), path)  # 12 x 16 MiB
    run = [sys.executable, "-c", PEAK, str(path)]
    grown = int(subprocess.run(run, capture_output=True, check=True, text=True).stdout)
    assert grown < 0.5 * path.stat().st_size
