from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from onnxlens.errors import UsageError
from onnxlens.profile.graph.graph import ModuleIO
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.manifest import StateTensor
from tests.profile.models import op, save, save_net, value, weight, write_manifest


def io_of(path: Path) -> dict[str, tuple[str, str]]:
    """Names of the tensors that enter and leave each module."""
    graph = load_graph(path)
    return {path: names(graph.module_io(path)) for path in graph.hierarchy.paths}


def names(module: ModuleIO) -> tuple[str, str]:
    return " ".join(module.inputs), " ".join(module.outputs)


def test_module_inputs_and_outputs_of_each_module_of_the_net(tmp_path: Path) -> None:
    assert io_of(save_net(tmp_path)) == {
        "": ("x", "y"),
        "stem": ("x", "a"),
        "relu": ("a d", "b e"),  # both calls
        "body.0": ("b", "d"),  # c stays inside
        "body.0.conv": ("b", "c"),
        "head": ("g", "y"),
    }


def test_module_inputs_and_outputs_have_dtypes_and_shapes(tmp_path: Path) -> None:
    graph = load_graph(save_net(tmp_path))
    found = graph.module_io("body.0")
    assert [str(tensor) for tensor in (*found.inputs.values(), *found.outputs.values())] == [
        "b float32(1, 4, 8, 8)", "d float32(1, 4, 8, 8)",
    ]  # fmt: skip


def test_weights_are_not_inputs(tmp_path: Path) -> None:
    nodes = [op("Neg", "w", "folded", "stem"), op("Add", "x folded", "y", "head")]
    path = save(tmp_path, nodes, [value("x", (2,))], [value("y", (2,))], [weight("w", 2)])
    assert io_of(path) == {"": ("x", "y"), "stem": ("", ""), "head": ("x", "y")}


def test_a_graph_output_leaves_every_module_around_the_one_that_makes_it(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "inner", "body.0.conv"), op("Neg", "inner", "y", "body.0")]
    outputs = [value("inner", (2,)), value("y", (2,))]
    found = io_of(save(tmp_path, nodes, [value("x", (2,))], outputs))
    assert found["body.0.conv"] == ("x", "inner")
    assert found["body.0"] == ("x", "inner y")
    assert found[""] == ("x", "inner y")


def test_a_model_input_without_consumers_is_still_an_input(tmp_path: Path) -> None:
    inputs = [value("x", (2,)), value("idle", (2,))]
    found = io_of(save(tmp_path, [op("Relu", "x", "y", "stem")], inputs, [value("y", (2,))]))
    assert found == {"": ("x idle", "y"), "stem": ("x", "y")}


def test_a_tensor_of_unknown_rank_is_described_with_a_question_mark(tmp_path: Path) -> None:
    nodes = [op("Mystery", "x", "a", "stem", domain="com.vendor"), op("Relu", "a", "y", "head")]
    path = save(tmp_path, nodes, [value("x", (2,))], [value("y", None)], opsets={"": 18, "com.vendor": 1})
    graph = load_graph(path)
    tensor = graph.module_io("stem").outputs["a"]
    assert (tensor.dtype, tensor.shape) == ("?", ("?",))


@pytest.mark.parametrize(
    ("path", "lineage"),
    [
        ("", ("",)),
        ("stem", ("", "stem")),
        ("body.0.conv", ("", "body.0", "body.0.conv")),  # "body" holds, and runs nothing
        ("body", ("",)),
        ("body.0.conv.gone", ("", "body.0", "body.0.conv")),
    ],
)
def test_lineage_names_the_modules_around_a_path(tmp_path: Path, path: str, lineage: tuple[str, ...]) -> None:
    onnx_path = save_net(tmp_path)
    write_manifest(onnx_path)
    hierarchy = load_graph(onnx_path).hierarchy
    assert hierarchy.lineage(path) == lineage
    assert hierarchy.depth(path) == len(lineage) - 1


def test_a_module_with_parameters_is_a_level_though_it_never_runs(tmp_path: Path) -> None:
    onnx_path = save_net(tmp_path)
    write_manifest(onnx_path, StateTensor("body.scale", "float32", (1,), "parameter"))
    hierarchy = load_graph(onnx_path).hierarchy
    assert hierarchy.lineage("body.0.conv") == ("", "body", "body.0", "body.0.conv")
    assert hierarchy.class_name("body") == "ModuleList"  # the manifest says so; no forward of it ran


def test_a_module_with_only_a_buffer_is_not_a_level(tmp_path: Path) -> None:
    onnx_path = save_net(tmp_path)
    write_manifest(onnx_path, StateTensor("body.steps", "int64", (1,), "buffer"))
    assert "body" not in load_graph(onnx_path).hierarchy.paths


def test_a_graph_has_producers_consumers_and_modules_of_its_nodes(tmp_path: Path) -> None:
    nodes = [
        op("Neg", "w", "folded", "stem"),
        op("Add", "x folded", "a", "stem"),
        op("Mul", "a a", "b", "head"),
        op("Add", "a b", "y", "head.last"),
    ]
    graph = load_graph(save(tmp_path, nodes, [value("x", (2,))], [value("y", (2,))], [weight("w", 2)]))
    assert [graph.producer(name) for name in ("x", "w", "folded", "a", "y")] == [None, None, 0, 1, 3]
    assert [tuple(graph.consumers(name)) for name in ("w", "folded", "a", "y")] == [(0,), (1,), (2, 3), ()]
    assert [graph.module_of(index) for index in range(4)] == ["stem", "stem", "head", "head.last"]
    assert graph.by_module() == {"": [1, 2, 3], "stem": [1], "head": [2, 3], "head.last": [3]}


def test_what_a_body_returns_is_consumed_by_the_node_that_runs_it(tmp_path: Path) -> None:
    then, other = (
        helper.make_graph([op(kind, "x", f"{kind}_out")], kind, [], [value(f"{kind}_out", (2,))])
        for kind in ("Neg", "Relu")
    )
    branch = helper.make_node("If", ["flag"], ["y"], name="if", then_branch=then, else_branch=other)
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, ())
    graph = load_graph(save(tmp_path, [branch], [value("x", (2,)), flag], [value("y", (2,))]))
    inside = graph.nodes[0].view.output().name
    assert (graph.producer(inside), tuple(graph.consumers(inside)), tuple(graph.consumers("flag"))) == (
        0, (2,), (2,),
    )  # fmt: skip


def test_a_module_is_looked_up_by_its_path_or_the_graphs_name(tmp_path: Path) -> None:
    onnx_path = save_net(tmp_path)
    write_manifest(onnx_path)
    graph = load_graph(onnx_path)
    assert graph.hierarchy.require("body.0.conv") == "body.0.conv"
    assert graph.hierarchy.require(graph.name) == ""
    with pytest.raises(UsageError, match=r"has no module 'body'; there is body\.0, body\.0\.conv"):
        graph.hierarchy.require("body")
    assert graph.hierarchy.require("body", containers=True) == "body"
    with pytest.raises(UsageError, match="has no module 'haed'; there is head"):
        graph.hierarchy.require("haed", containers=True)


def test_a_file_without_modules_has_none_to_look_up(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "y")], [value("x", (2,))], [value("y", (2,))])
    with pytest.raises(UsageError, match="names no modules, so it has no module 'stem'"):
        load_graph(path).hierarchy.require("stem")
