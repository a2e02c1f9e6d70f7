"""Files that lack a part: refused in one line that names the node and the part, or counted as unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from onnxlens.errors import GraphError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from tests.profile.models import integers, value

BOOL, INT64 = TensorProto.BOOL, TensorProto.INT64
MICROSOFT = "com.microsoft"


def file_of(
    nodes: list[NodeProto], *, inputs: str = "x", outputs: str = "y", held: tuple[TensorProto, ...] = ()
) -> ModelProto:
    graph = helper.make_graph(
        nodes, "g", [value(name, (2,)) for name in inputs.split()],
        [value(name, (2,)) for name in outputs.split()], list(held),
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def op(kind: str, reads: str = "x", makes: str = "y", **attributes: object) -> NodeProto:
    names = [["" if name == "-" else name for name in each.split()] for each in (reads, makes)]
    return helper.make_node(kind, *names, name="it", **attributes)


def body(reads: str, makes: str, nodes: list[NodeProto]) -> GraphProto:
    kinds = {"i": value("i", (), INT64), "on": value("on", (), BOOL), "go": value("go", (), BOOL)}
    given, made = ([kinds.get(name, value(name, (2,))) for name in each.split()] for each in (reads, makes))
    return helper.make_graph(nodes, "inside", given, made)


STEP = body("s e", "so eo", [op("Add", "s e", "so"), op("Identity", "so", "eo")])
ROUND = body("i on v", "go w", [op("Identity", "on", "go"), op("Relu", "v", "w")])
BRANCH = body("", "r", [op("Relu", "x", "r")])


def relu_with(tensor: TensorProto) -> NodeProto:
    node = op("Relu")
    node.attribute.append(helper.make_attribute("v", tensor))
    return node


def retagged(node: NodeProto, name: str, kind: int) -> NodeProto:
    next(attribute for attribute in node.attribute if attribute.name == name).type = kind
    return node


def scan(**attributes: object) -> NodeProto:
    return op("Scan", "x x", "y z", **attributes)


LACKING: dict[str, tuple[str, NodeProto]] = {
    "If without a condition": ("the If 'it' has 0 of the 1 inputs",
                               op("If", "", then_branch=BRANCH, else_branch=BRANCH)),
    "If with a third": ("the If 'it' has a graph as its attribute 'third'",
                        op("If", then_branch=BRANCH, else_branch=BRANCH, third=BRANCH)),
    "If without a branch": ("the If 'it' lacks its attribute 'else_branch'", op("If", then_branch=BRANCH)),
    "branch without a result": ("needs 2 results of its 'then_branch', which returns 1",
                                op("If", "x", "y z", then_branch=BRANCH, else_branch=BRANCH)),
    "Loop without a body": ("the Loop 'it' lacks its attribute 'body'", op("Loop", "- - x")),
    "Loop that hands too much": ("hands 4 values to its 'body', which takes 3",
                                 op("Loop", "- - x x", "y z", body=ROUND)),
    "Loop without its inputs": ("the Loop 'it' has 1 of the 2 inputs|lacks its trip count",
                                op("Loop", "x", body=ROUND)),
    "body that is a text": ("has 'text' as its attribute 'body', which is to be of type GRAPH",
                            op("Loop", "- - x", body="text")),
    "Scan without a body": ("the Scan 'it' lacks its attribute 'body'", scan(num_scan_inputs=1)),
    "Scan without a count": ("lacks its attribute 'num_scan_inputs'", scan(body=STEP)),
    "Scan of a text": ("'two' as its attribute 'num_scan_inputs', which is to be of type INT",
                       scan(body=STEP, num_scan_inputs="two")),
    "Scan of more than there is": ("scans 3 inputs .* it has 2", scan(body=STEP, num_scan_inputs=3)),
    "Scan of no such axis": ("does not fit its bodies",
                             scan(body=STEP, num_scan_inputs=1, scan_input_axes=[99])),
    "Scan of other axes": ("has 2 scan_input_axes for 1",
                           scan(body=STEP, num_scan_inputs=1, scan_input_axes=[0, 0])),
    "map without a body": ("the SequenceMap 'it' lacks its attribute 'body'", op("SequenceMap")),
    "no input": ("the Conv 'it' has 1 of the 2 inputs that it needs", op("Conv")),
    "no attribute": ("the Cast 'it' lacks its attribute 'to'", op("Cast")),
    "tensor for a number": ("has array.* as its attribute 'blocksize', which is to be of type INT",
                            op("DepthToSpace", blocksize=integers("t", [2, 2]))),
    "numbers for a number": ("as its attribute 'group'", op("Conv", "x x", group=[1, 2])),
    "fractions for numbers": ("as its attribute 'pads'", op("Conv", "x x", pads=[0.5, 0.5])),
    "an attribute of another type": ("the Conv 'it' has .* as its attribute 'group'",
                                     retagged(op("Conv", "x x", group=2), "group", AttributeProto.TENSORS)),
    "an undefined tensor": ("attribute 'v' of the Relu 'it' does not decode", relu_with(TensorProto())),
    "a type that is none": ("does not decode", relu_with(TensorProto(data_type=99, dims=[1]))),
    "short data": ("does not decode", relu_with(TensorProto(data_type=1, dims=[4], raw_data=b"123"))),
    "huge data": ("does not decode", relu_with(TensorProto(data_type=1, dims=[2**40], raw_data=b"1234"))),
    "a negative size": ("does not decode", relu_with(TensorProto(data_type=1, dims=[-3], raw_data=b"1234"))),
    "nobody reads or makes": ("the Relu 'it' has no output", op("Relu", "x", "-")),
}  # fmt: skip


def refused(folder: Path, model: ModelProto | bytes, message: str) -> None:
    path = folder / "graph.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(GraphError, match=message) as raised:
        load_graph(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("case", LACKING)
def test_a_node_that_lacks_a_part_is_named_with_the_part(case: str, tmp_path: Path) -> None:
    message, node = LACKING[case]
    refused(tmp_path, file_of([node], outputs="z" if "z" in node.output else node.output[0] or "x"), message)


@pytest.mark.parametrize("trips", [b"abc", float("nan"), 10**30], ids=str)
def test_a_trip_count_that_is_no_number_is_refused(trips: object, tmp_path: Path) -> None:
    kind = TensorProto.STRING if isinstance(trips, bytes) else TensorProto.FLOAT
    count = helper.make_tensor("m", kind, [1], [trips])
    model = file_of([op("Loop", "m - x", body=ROUND)], held=(count,))
    if trips == 10**30:  # as many as a float says: exact, and no fault
        path = tmp_path / "graph.onnx"
        onnx.save(model, path)
        assert load_graph(path).nodes
    else:
        refused(tmp_path, model, "the Loop 'it' has an input or an attribute that does not fit its bodies")


def test_a_value_has_one_source(tmp_path: Path) -> None:
    refused(tmp_path, file_of([op("Relu"), op("Abs")]), "the value 'y' is made twice")
    refused(tmp_path, file_of([op("Relu", "x", "x")], outputs="x"), "the value 'x' is made twice")
    refused(tmp_path, file_of([op("Shape", "x", "z")]), "nothing makes the output 'y' of the graph 'g'")


def test_an_output_may_be_an_input_or_come_from_outside_a_body(tmp_path: Path) -> None:
    outside = body("", "x", [op("Relu", "x", "unread")])
    branches = op("If", "c", "y", then_branch=outside, else_branch=BRANCH)
    model = file_of([branches], inputs="c x", outputs="y x")
    onnx.save(model, tmp_path / "graph.onnx")
    assert [tensor.name for tensor in load_graph(tmp_path / "graph.onnx").outputs] == ["y", "x"]


def test_a_weight_of_a_size_below_0_is_refused(tmp_path: Path) -> None:
    held = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-3], raw_data=b"1234")
    refused(tmp_path, file_of([op("Add", "x w")], held=(held,)), "the tensor 'w' has the size -3")


def named(rename: Callable[[ModelProto], None]) -> bytes:
    model = file_of([op("Relu"), op("If", "x", "q", then_branch=BRANCH, else_branch=BRANCH)])
    rename(model)
    return model.SerializeToString().replace(b"QQQQ", b"\xff\xfe\xff\xfe")


TEXTS: dict[str, Callable[[ModelProto], None]] = {
    "graph.name": lambda model: setattr(model.graph, "name", "QQQQ"),
    "graph.node[0].name": lambda model: setattr(model.graph.node[0], "name", "QQQQ"),
    "graph.node[0].op_type": lambda model: setattr(model.graph.node[0], "op_type", "QQQQ"),
    "graph.node[0].domain": lambda model: setattr(model.graph.node[0], "domain", "QQQQ"),
    "graph.node[0].input[0]": lambda model: model.graph.node[0].input.__setitem__(0, "QQQQ"),
    "graph.node[1].output[0]": lambda model: model.graph.node[1].output.__setitem__(0, "QQQQ"),
    "graph.input[0].name": lambda model: setattr(model.graph.input[0], "name", "QQQQ"),
    "graph.node[1].attribute[0].g.name": lambda model: setattr(
        model.graph.node[1].attribute[0].g, "name", "QQQQ"
    ),
    "graph.input[0].type.tensor_type.shape.dim[0].dim_param": lambda model: setattr(
        model.graph.input[0].type.tensor_type.shape.dim[0], "dim_param", "QQQQ"
    ),
}


@pytest.mark.parametrize("where", TEXTS)
def test_text_that_is_not_utf8_is_refused_with_its_place(where: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(named(TEXTS[where]))
    with pytest.raises(GraphError, match="not UTF-8|which no input|nothing makes") as raised:
        load_graph(path)
    assert str(raised.value).startswith(f"{path}: ")


UNKNOWN: dict[str, NodeProto] = {
    "k is a text": op("MoE", "x x x - x", domain=MICROSOFT, k="two"),
    "no rank": op("MultiHeadAttention", "x x x", domain=MICROSOFT, num_heads=2),
    "a flat loss": op("NegativeLogLikelihoodLoss", "x x"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_node_that_does_not_fit_its_rules_is_unknown_with_the_reason(case: str, tmp_path: Path) -> None:
    onnx.save(file_of([UNKNOWN[case]]), tmp_path / "graph.onnx")
    (cost,) = build_ledger(load_graph(tmp_path / "graph.onnx")).nodes
    assert cost.status == "unknown"
    assert (cost.macs, cost.vector_ops) == (0, 0)
    assert "does not fit" in cost.reason
    assert "it" in cost.reason


def test_what_no_check_foresaw_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("onnxlens.profile.graph.loading.loader.read_scopes", fail)
    model = file_of([op("Relu")])
    model.graph.sparse_initializer.append(SparseTensorProto(values=TensorProto(name="s", data_type=1)))
    refused(tmp_path, model, r"cannot be understood \(KeyError: 'surprise'\); if onnx.checker accepts")
