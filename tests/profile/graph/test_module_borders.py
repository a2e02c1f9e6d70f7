from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.profile.graph.borders import Borders, module_borders
from onnxlens.profile.graph.hierarchy import Hierarchy
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.manifest import StateTensor
from tests.profile.models import op, save, save_net, value, weight, write_manifest


def borders_of(path: Path) -> dict[str, tuple[str, str]]:
    """Names of the tensors that enter and leave each module."""
    graph = load_graph(path)
    return {path: names(found) for path, found in module_borders(graph, Hierarchy(graph)).items()}


def names(borders: Borders) -> tuple[str, str]:
    return " ".join(borders.inputs), " ".join(borders.outputs)


def test_what_goes_in_and_out_of_each_module_of_the_net(tmp_path: Path) -> None:
    assert borders_of(save_net(tmp_path)) == {
        "": ("x", "y"),
        "stem": ("x", "a"),
        "relu": ("a d", "b e"),  # both calls
        "body.0": ("b", "d"),  # c stays inside
        "body.0.conv": ("b", "c"),
        "head": ("g", "y"),
    }


def test_borders_carry_dtypes_and_shapes(tmp_path: Path) -> None:
    graph = load_graph(save_net(tmp_path))
    found = module_borders(graph, Hierarchy(graph))["body.0"]
    assert [str(tensor) for tensor in (*found.inputs.values(), *found.outputs.values())] == [
        "b float32(1, 4, 8, 8)", "d float32(1, 4, 8, 8)",
    ]  # fmt: skip


def test_weights_are_no_inputs(tmp_path: Path) -> None:
    nodes = [op("Neg", "w", "folded", "stem"), op("Add", "x folded", "y", "head")]
    path = save(tmp_path, nodes, [value("x", (2,))], [value("y", (2,))], [weight("w", 2)])
    assert borders_of(path) == {"": ("x", "y"), "stem": ("", ""), "head": ("x", "y")}


def test_a_graph_output_leaves_every_module_around_the_one_that_makes_it(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "inner", "body.0.conv"), op("Neg", "inner", "y", "body.0")]
    outputs = [value("inner", (2,)), value("y", (2,))]
    found = borders_of(save(tmp_path, nodes, [value("x", (2,))], outputs))
    assert found["body.0.conv"] == ("x", "inner")
    assert found["body.0"] == ("x", "inner y")
    assert found[""] == ("x", "inner y")


def test_a_model_input_that_nothing_reads_is_still_an_input(tmp_path: Path) -> None:
    inputs = [value("x", (2,)), value("idle", (2,))]
    found = borders_of(save(tmp_path, [op("Relu", "x", "y", "stem")], inputs, [value("y", (2,))]))
    assert found == {"": ("x idle", "y"), "stem": ("x", "y")}


def test_a_tensor_of_unknown_rank_is_described_with_a_question_mark(tmp_path: Path) -> None:
    nodes = [op("Mystery", "x", "a", "stem", domain="com.vendor"), op("Relu", "a", "y", "head")]
    path = save(tmp_path, nodes, [value("x", (2,))], [value("y", None)], opsets={"": 18, "com.vendor": 1})
    graph = load_graph(path)
    tensor = module_borders(graph, Hierarchy(graph))["stem"].outputs["a"]
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
    hierarchy = Hierarchy(load_graph(onnx_path))
    assert hierarchy.lineage(path) == lineage
    assert hierarchy.depth(path) == len(lineage) - 1


def test_a_module_that_owns_parameters_is_a_level_though_it_never_runs(tmp_path: Path) -> None:
    onnx_path = save_net(tmp_path)
    write_manifest(onnx_path, StateTensor("body.scale", "float32", (1,), "parameter"))
    hierarchy = Hierarchy(load_graph(onnx_path))
    assert hierarchy.lineage("body.0.conv") == ("", "body", "body.0", "body.0.conv")
    assert hierarchy.class_name("body") == "ModuleList"  # the manifest says so; no forward of it ran


def test_a_module_that_owns_a_buffer_alone_is_no_level(tmp_path: Path) -> None:
    onnx_path = save_net(tmp_path)
    write_manifest(onnx_path, StateTensor("body.steps", "int64", (1,), "buffer"))
    assert "body" not in Hierarchy(load_graph(onnx_path)).paths
