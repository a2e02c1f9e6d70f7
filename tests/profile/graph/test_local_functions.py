"""A model's own functions, written out where they are called: they compute what ONNX Runtime says they do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper

from onnxlens.errors import GraphError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.model_file import read_model
from tests.profile.models import ledger_of, op, value

OWN = "own"
BOOL = TensorProto.BOOL


def function(
    name: str, inputs: str, outputs: str, nodes: Sequence[NodeProto], opset: int = 18, **fields: Any
) -> FunctionProto:
    """A function of ``own``; with its ``attributes``, or ``attribute_protos`` where they have defaults."""
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(OWN, 1)]
    return helper.make_function(OWN, name, inputs.split(), outputs.split(), list(nodes), imports, **fields)


def call(function: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> NodeProto:
    node = op(function, inputs, outputs, domain=OWN, **attributes)
    node.name = name or node.name
    return node


def referring(node: NodeProto, name: str, kind: int, source: str | None = None) -> NodeProto:
    """The node with an attribute that is one of the call's."""
    node.attribute.append(AttributeProto(name=name, ref_attr_name=source or name, type=kind))
    return node


def save(
    folder: Path, nodes: Sequence[NodeProto], functions: Sequence[FunctionProto], opset: int = 18
) -> Path:
    """A file over ``x`` (1, 2, 4, 4), a flag, and weights; its output is ``y``."""
    w = onnx.numpy_helper.from_array(np.linspace(-1, 1, 54, dtype=np.float32).reshape(3, 2, 3, 3), "w")
    axis = onnx.numpy_helper.from_array(np.array([1]), "one")
    graph = helper.make_graph(
        list(nodes),
        "made",
        [value("x", (1, 2, 4, 4)), value("flag", (), BOOL)],
        [value("y", (None,) * 4)],
        [w, axis],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(OWN, 1)]
    model = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=10)
    path = folder / "graph.onnx"
    onnx.save(model, path)
    return path


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.linspace(-2, 3, 32, dtype=np.float32).reshape(1, 2, 4, 4)
    return list(session.run(["y"], {"x": x, "flag": np.array(True)}))


def body(*nodes: NodeProto, inputs: Sequence[onnx.ValueInfoProto] = (), outputs: str = "") -> onnx.GraphProto:
    made = [value(name, None, BOOL if name == "on" else TensorProto.FLOAT) for name in outputs.split()]
    return helper.make_graph(list(nodes), "b", inputs, made)


STRIDED = function(
    "Strided",
    "a k",
    "b",
    [
        referring(op("Conv", "a k", "c", pads=[1, 1, 1, 1]), "strides", AttributeProto.INTS),
        referring(op("LeakyRelu", "c", "b"), "alpha", AttributeProto.FLOAT, "slope"),
    ],
    attributes=["slope"],
    attribute_protos=[helper.make_attribute("strides", [2, 2])],
)
NESTED = function("Nested", "a k", "b", [call("Strided", "a k", "c", slope=0.5), call("Act", "c", "b")])
ACT = function("Act", "a", "b", [op("Relu", "a", "t"), op("Neg", "t", "b")])
BRANCHES = function(
    "Branches",
    "a f",
    "b",
    [
        op(
            "If",
            "f",
            "b",
            then_branch=body(
                call("Act", "a", "t"),
                referring(op("LeakyRelu", "t", "u"), "alpha", AttributeProto.FLOAT, "slope"),
                outputs="u",
            ),
            else_branch=body(op("Neg", "a", "t"), outputs="t"),
        )
    ],
    attributes=["slope"],
)
CLIPPED = function("Clipped", "a low high", "b", [op("Clip", "a low high", "b")])
LOOPED = function(
    "Looped",
    "a",
    "b",
    [
        op("Constant", "", "n", value_int=3),
        op(
            "Loop",
            "n - a",
            "b",
            body=body(
                op("Identity", "go", "on"),
                call("Act", "t", "u"),
                op("Add", "u a", "next"),
                inputs=[value("i", (), TensorProto.INT64), value("go", (), BOOL), value("t", None)],
                outputs="on next",
            ),
        ),
    ],
)
TWO = function("Two", "a", "b c a", [op("Relu", "a", "b"), op("Neg", "b", "c")])
BIASED = function(
    "Biased",
    "a f",
    "b",
    [op("If", "f", "b", then_branch=body(op("Relu", "a", "t"), outputs="t"),
        else_branch=body(op("Neg", "a", "t"), outputs="t"))],
)  # fmt: skip

PROGRAMS: dict[str, tuple[list[NodeProto], list[FunctionProto]]] = {
    "a default": ([call("Strided", "x w", "y", slope=0.25)], [STRIDED]),
    "an attribute instead": ([call("Strided", "x w", "y", strides=[1, 1])], [STRIDED]),
    "functions in functions": ([call("Nested", "x w", "y")], [STRIDED, NESTED, ACT]),
    "a branch in a function": ([call("Branches", "x flag", "y", slope=0.5)], [BRANCHES, ACT]),
    "a loop in a function": ([call("Looped", "x", "y")], [LOOPED, ACT]),
    "in a branch": (
        [op("If", "flag", "y", then_branch=body(call("Act", "x", "t"), outputs="t"),
            else_branch=body(op("Neg", "x", "t"), outputs="t"))],
        [ACT],
    ),
    "inputs left out": ([call("Clipped", "x", "y")], [CLIPPED]),
    "names that are taken": (
        [op("Neg", "x", "act/t"), call("Act", "act/t", "a", name="act"), op("Add", "a act/t", "y")], [ACT],
    ),
    "equal names in branches": (
        [call("Biased", "x flag", "t", name="one"), call("Biased", "t flag", "y", name="two")], [BIASED],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "functions"), PROGRAMS.values(), ids=PROGRAMS)
def test_what_is_written_out_computes_the_same(
    tmp_path: Path, nodes: list[NodeProto], functions: list[FunctionProto]
) -> None:
    path = save(tmp_path, nodes, functions)
    written = read_model(path)
    assert not written.functions
    onnx.checker.check_model(written)
    np.testing.assert_array_equal(run(written)[0], run(onnx.load(path))[0])
    assert build_ledger(load_graph(path)).totals.unknown_nodes == 0


def test_outputs_are_left_out_and_inputs_are_returned(tmp_path: Path) -> None:
    """ONNX Runtime takes no such functions."""
    x = np.linspace(-2, 3, 32, dtype=np.float32).reshape(1, 2, 4, 4)
    negative = [call("Two", "x", "- c", name="two"), op("Neg", "c", "y")]
    np.testing.assert_array_equal(run(read_model(save(tmp_path, negative, [TWO])))[0], np.maximum(x, 0))
    itself = [call("Two", "x", "- - c", name="two"), op("Neg", "c", "y")]
    np.testing.assert_array_equal(run(read_model(save(tmp_path, itself, [TWO])))[0], -x)


def test_two_calls_of_one_name_are_told_apart(tmp_path: Path) -> None:
    nodes = [call("Act", "x", "a", name="act"), call("Act", "a", "y", name="act")]
    graph = load_graph(save(tmp_path, nodes, [ACT]))
    assert [node.view.name.rpartition("/")[0] for node in graph.nodes] == ["act", "act", "act_2", "act_2"]
    assert graph.nodes[3].view.input(0).name == "act_2/t"


def test_a_default_is_part_of_the_cost(tmp_path: Path) -> None:
    _, ledger = ledger_of(save(tmp_path, [call("Strided", "x w", "y")], [STRIDED]))
    # a stride of 2: 2 x 2 positions, 3 channels, each a sum over 2 channels of 3 x 3 taps
    assert ledger.totals.macs == 4 * 3 * (2 * 9)


def test_nodes_are_named_after_the_calls_around_them(tmp_path: Path) -> None:
    nodes = [call("Nested", "x w", "a", name="/net/first"), call("Act", "a", "y", name="last")]
    graph = load_graph(save(tmp_path, nodes, [STRIDED, NESTED, ACT]))
    assert [node.view.name for node in graph.nodes] == [
        "/net/first/node_c/node_c",
        "/net/first/node_c/node_b",
        "/net/first/node_b/node_t",
        "/net/first/node_b/node_b",
        "last/node_t",
        "last/node_b",
    ]
    assert graph.nodes[2].view.output().name == "/net/first/node_b/t"


def test_a_function_has_operators_of_its_own_opset(tmp_path: Path) -> None:
    """Softmax is another one since opset 13."""
    old = function("Old", "a", "b", [op("Softmax", "a", "t"), op("Relu", "t", "b")], opset=11)
    path = save(tmp_path, [call("Old", "x", "t"), op("Softmax", "t", "y")], [old])
    graph = load_graph(path)
    assert [node.view.version for node in graph.nodes] == [11, 11, 18]
    assert [node.view.domain for node in graph.nodes] == ["", "", ""]
    assert build_ledger(graph).totals.unknown_nodes == 0
    with pytest.raises(GraphError, match="use operators of ai.onnx 11 beside"):
        read_model(path)
    same = function("Old", "a", "b", [op("Relu", "a", "b")], opset=17)
    read_model(save(tmp_path, [call("Old", "x", "y")], [same]))  # opset 18 has the same Relu


def test_overloads_are_different_functions(tmp_path: Path) -> None:
    double = function("Act", "a", "b", [op("Add", "a a", "b")], overload="double")
    nodes = [call("Act", "x", "a"), call("Act", "a", "y")]
    nodes[1].overload = "double"
    written = read_model(save(tmp_path, nodes, [ACT, double]))
    assert [node.op_type for node in written.graph.node] == ["Relu", "Neg", "Add"]


def test_an_attention_with_a_cache_and_no_mask(tmp_path: Path) -> None:
    """ONNX's inliner cannot write this function out."""
    attention = function("Cached", "q p", "b n", [op("Attention", "q q q - p p", "b n m")], opset=24)
    q = [value("x", (1, 2, 4, 8)), value("p", (1, 2, 5, 8))]
    graph = helper.make_graph(
        [call("Cached", "x p", "y n")], "g", q, [onnx.ValueInfoProto(name=name) for name in "yn"]
    )
    imports = [helper.make_opsetid("", 24), helper.make_opsetid(OWN, 1)]
    path = tmp_path / "graph.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, functions=[attention]), path)
    _, ledger = ledger_of(path)
    # 2 heads, 4 queries by 5 + 4 keys of 8, twice
    assert ledger.totals.macs == 2 * (2 * 4 * 9 * 8)


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, [call("Again", "x", "y")], [function("Again", "a", "b", [call("Again", "a", "b")])])
    with pytest.raises(GraphError, match="graph.onnx: the function 'Again' calls itself"):
        read_model(path)


def test_nodes_out_of_order_are_sorted_those_in_bodies_too(tmp_path: Path) -> None:
    branch = body(op("Abs", "u", "v"), op("Neg", "late", "u"), outputs="v")
    nodes = [op("If", "flag", "y", then_branch=branch, else_branch=branch), op("Relu", "x", "late")]
    path = save(tmp_path, nodes, [])
    assert [node.view.op_type for node in load_graph(path).nodes] == [
        "Relu",
        "Neg",
        "Abs",
        "Neg",
        "Abs",
        "If",
    ]
    onnx.checker.check_model(read_model(path))


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Add", "x b", "a"), op("Relu", "a", "b"), op("Neg", "b", "y")], [])
    with pytest.raises(GraphError, match="graph.onnx: the graph has a cycle: the Add of 'a' waits"):
        load_graph(path)
