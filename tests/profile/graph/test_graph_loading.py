from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.errors import GraphError
from onnxlens.profile.graph.graph import GraphNode
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.inference.walk import Walk
from onnxlens.profile.graph.loading.protobuf import MAX_CONSTANT_ELEMENTS
from onnxlens.specs.manifest import manifest_path_of
from onnxlens.specs.tensor import TensorSpec
from tests.profile.models import (
    far_weight,
    integers,
    op,
    save,
    save_net,
    value,
    weight,
    write_manifest,
)


def shapes_of(node: GraphNode) -> list[tuple[int | str, ...] | None]:
    return [output.shape for output in node.view.outputs if output is not None]


def test_a_file_without_its_data_gives_shapes_dtypes_and_attributes(tmp_path: Path) -> None:
    graph = load_graph(save_net(tmp_path))
    assert list(tmp_path.iterdir()) == [tmp_path / "graph.onnx"]  # the weights are nowhere
    stem = graph.nodes[0].view
    assert (stem.op_type, stem.name, stem.domain, stem.version) == ("Conv", "node_a", "", 18)
    assert stem.attributes == {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    assert [(v.name, v.dtype, v.shape, v.is_weight) for v in stem.inputs if v is not None] == [
        ("x", "float32", (1, 3, 8, 8), False),
        ("stem.weight", "float32", (4, 3, 3, 3), True),
        ("stem.bias", "float32", (4,), True),
    ]
    assert graph.inputs == (TensorSpec("x", "float32", (1, 3, 8, 8)),)
    assert graph.outputs == (TensorSpec("y", "float32", (1, 2)),)
    assert (graph.name, graph.opset, graph.manifest, graph.notes) == ("made", 18, None, ())


def test_a_weight_whose_data_is_absent_reads_as_unknown_and_not_as_an_error(tmp_path: Path) -> None:
    graph = load_graph(save_net(tmp_path))
    read = graph.weights["stem.weight"].read_constant
    assert read is not None
    assert read() is None


def test_missing_shapes_are_inferred_and_a_note_says_so(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Concat", "a a", "y", axis=1)]
    graph = load_graph(save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 6))]))
    assert [shapes_of(node) for node in graph.nodes] == [[(2, 3)], [(2, 6)]]
    assert graph.notes == ("shapes that the file leaves out were inferred by ONNX's shape inference",)


def test_what_cannot_be_inferred_stays_unknown(tmp_path: Path) -> None:
    nodes = [op("Mystery", "x", "a", domain="com.vendor"), op("Relu", "a", "y")]
    path = save(tmp_path, nodes, [value("x", (2, 3))], [value("y", None)], opsets={"": 18, "com.vendor": 7})
    mystery, relu = load_graph(path).nodes
    assert shapes_of(mystery) == [None]
    assert shapes_of(relu) == [None]
    assert (mystery.view.domain, mystery.view.version) == ("com.vendor", 7)


def test_an_initializer_that_is_also_an_input_is_a_weight(tmp_path: Path) -> None:
    inputs = [value("x", (2, 3)), value("w", (3, 4))]
    path = save(tmp_path, [op("MatMul", "x w", "y")], inputs, [value("y", (2, 4))], [weight("w", 3, 4)])
    graph = load_graph(path)
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert list(graph.weights) == ["w"]


def test_integer_tables_and_scalars_are_constants_and_not_weights(tmp_path: Path) -> None:
    nodes = [op("Mul", "x scale", "a"), op("Reshape", "a shape", "b"), op("Add", "b bias", "y")]
    initializers = [weight("scale"), integers("shape", [3, 2]), weight("bias", 2)]
    path = save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (3, 2))], initializers)
    graph = load_graph(path)
    assert list(graph.weights) == ["bias"]
    assert list(graph.constants) == ["scale", "shape"]
    assert graph.constants["scale"].shape == ()


def test_a_node_that_reads_weights_alone_is_constant_folded(tmp_path: Path) -> None:
    nodes = [
        op("Constant", "", "two", value=helper.make_tensor("v", TensorProto.FLOAT, [], [2.0])),
        op("Transpose", "w", "wt", perm=[1, 0]),
        op("Mul", "wt two", "scaled"),
        op("RandomNormal", "", "noise", shape=[2, 4]),
        op("MatMul", "x scaled", "z"),
        op("Add", "z noise", "y"),
    ]
    graph = load_graph(
        save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 4))], [far_weight("w", 4, 3)])
    )
    assert [node.constant_folded for node in graph.nodes] == [True, True, True, False, False, False]
    product = graph.nodes[4].view
    assert [product.input(index).is_weight for index in (0, 1)] == [False, True]


def test_a_subgraph_may_capture_activations_and_so_is_never_constant_folded(tmp_path: Path) -> None:
    branch = helper.make_graph([op("Relu", "x", "inner")], "branch", [], [value("inner", (2, 3))])
    nodes = [op("If", "flag", "y", then_branch=branch, else_branch=branch)]
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    graph = load_graph(save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 3))], [flag]))
    assert not graph.nodes[0].constant_folded


def test_optional_inputs_and_outputs_left_out_are_none(tmp_path: Path) -> None:
    nodes = [op("Clip", "x - high", "a"), op("LayerNormalization", "a w", "y - inverse", axis=-1)]
    initializers = [weight("high"), weight("w", 3)]
    path = save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 3))], initializers)
    clip, norm = (node.view for node in load_graph(path).nodes)
    assert [v and v.name for v in clip.inputs] == ["x", None, "high"]
    assert [v and v.name for v in norm.outputs] == ["y", None, "inverse"]


def test_a_sequence_and_an_optional_are_not_tensors(tmp_path: Path) -> None:
    nodes = [op("SequenceConstruct", "x x", "pair"), op("Optional", "pair", "maybe")]
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, (2, 3))
    optional = helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor))
    output = helper.make_value_info("maybe", optional)
    construct, wrap = (
        node.view for node in load_graph(save(tmp_path, nodes, [value("x", (2, 3))], [output])).nodes
    )
    assert [view.kind for view in (construct.input(0), construct.output(), wrap.output())] == [
        "tensor",
        "sequence",
        "optional",
    ]


def test_an_old_dropout_mask_without_consumers_is_left_out(tmp_path: Path) -> None:
    nodes = [op("Dropout", "x", "a mask"), op("Relu", "a", "y")]
    path = save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 3))], opsets={"": 9})
    assert load_graph(path).nodes[0].view.outputs[1] is None


@pytest.mark.parametrize(("reader", "walks"), [("a", 0), ("mask", 1)])
def test_only_an_old_dropout_mask_that_is_read_is_asked_for_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, walks: int
) -> None:
    """ONNX tells nothing of it; what else there is would be asked in vain, and takes longer than the rest."""
    walked: list[str] = []
    run = Walk.run
    monkeypatch.setattr(Walk, "run", lambda self, *given: (walked.append("once"), run(self, *given))[1])
    nodes = [op("Relu", "x", "r"), op("Dropout", "r", "a mask"), op("Identity", reader, "y")]
    load_graph(save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 3))], opsets={"": 9}))
    assert len(walked) == walks


@pytest.mark.parametrize("imports", [{"": 12}, {"ai.onnx": 12}])
def test_onnx_domain_spelt_out_is_onnx_domain(tmp_path: Path, imports: dict[str, int]) -> None:
    node = op("Softmax", "x", "y", domain="ai.onnx")
    graph = load_graph(save(tmp_path, [node], [value("x", (2, 3))], [value("y", (2, 3))], opsets=imports))
    view = graph.nodes[0].view
    assert (graph.opset, view.domain, view.version) == (12, "", 12)


def test_dynamic_dimensions_keep_their_symbol_and_nameless_ones_get_a_question_mark(tmp_path: Path) -> None:
    inputs = [value("x", ("batch", None, -1, 3)), value("z", None)]
    graph = load_graph(save(tmp_path, [op("Add", "x z", "y")], inputs, [value("y", ("batch", 5, 5, 3))]))
    assert graph.inputs[0].shape == ("batch", "?", "?", 3)
    assert graph.inputs[1].shape == ("unknown rank",)


def test_only_small_constants_can_be_read(tmp_path: Path) -> None:
    limit = MAX_CONSTANT_ELEMENTS
    nodes = [op("Add", "x small", "a"), op("Slice", "a starts ends", "y")]
    initializers = [weight("small", limit), weight("large", limit + 1), integers("starts", [0])]
    initializers.append(integers("ends", [5]))
    graph = load_graph(save(tmp_path, nodes, [value("x", (limit,))], [value("y", (5,))], initializers))
    assert graph.weights["large"].read_constant is None
    read = graph.constants["ends"].read_constant
    assert read is not None
    np.testing.assert_array_equal(read(), [5])


def test_no_tensor_is_read_by_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, [op("Add", "x w", "y")], [value("x", (9,))], [value("y", (9,))], [weight("w", 9)])

    def refuse(*tensor: object) -> None:
        raise AssertionError("a weight was read")

    monkeypatch.setattr(numpy_helper, "to_array", refuse)
    graph = load_graph(path)
    read = graph.weights["w"].read_constant
    assert read is not None
    with pytest.raises(AssertionError, match="a weight was read"):
        read()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"<html>404 not found</html>", "not an ONNX file"),
        (b"PK\x03\x04 a zip", "not an ONNX file"),
        (b'{"nodes": []}', "not an ONNX file"),
        (None, "no such file"),
    ],
)
def test_what_is_not_an_onnx_file_is_one_line_that_names_the_file(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "graph.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GraphError) as raised:
        load_graph(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: {says}")
    assert "\n" not in message


def test_a_truncated_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(GraphError, match=r"not an ONNX file \([^\n]*\)"):
        load_graph(path)


def test_a_graph_without_nodes_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, [], [value("x", (1,))], [value("x", (1,))])
    with pytest.raises(GraphError, match="the graph has no nodes"):
        load_graph(path)


def test_a_foreign_json_next_to_the_file_is_not_a_manifest(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    manifest_path_of(path).write_text('{"schema": "someone.else/3"}', encoding="utf-8")
    assert load_graph(path).manifest is None


def test_our_manifest_is_read_and_names_the_graph(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    manifest = write_manifest(path)
    graph = load_graph(path)
    assert graph.manifest == manifest
    assert graph.name == "net"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"opset": 18', '"opset": "many"', "not a Manifest"),
        ('"has_weights"', '"has_wieghts"', "not a Manifest"),
        ("manifest/1", "manifest/2", "expected 'onnxlens.manifest/1'"),
        ("{", "", "cannot be read as JSON"),
    ],
)
def test_a_broken_manifest_of_ours_is_an_error(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = save_net(tmp_path)
    write_manifest(path)
    manifest_path = manifest_path_of(path)
    manifest_path.write_text(manifest_path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(GraphError, match=says) as raised:
        load_graph(path)
    assert "\n" not in str(raised.value)
