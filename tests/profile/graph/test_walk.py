"""What a file decides of loops, sequences and computed shapes, held to what ONNX Runtime computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from onnxlens.errors import GraphError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.inference import control
from onnxlens.specs.ledger import Ledger
from tests.oracle.interpreter import count
from tests.profile.graph.real_types import found, run
from tests.profile.models import integers, op, save, value, weight

BOOL, INT64, FLOAT = TensorProto.BOOL, TensorProto.INT64, TensorProto.FLOAT
X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)

COUNTER, GOING = value("i", (), INT64), value("go", (), BOOL)
GOES_ON = op("Identity", "go", "on")


def scalar(name: str, number: Any) -> TensorProto:
    return numpy_helper.from_array(np.array(number), name)


HELD = [
    scalar("0", 0), scalar("1", 1), scalar("2", 2), scalar("5", 5), scalar("many", 2**40),
    scalar("true", True), integers("[-1]", [-1]), integers("[0]", [0]), integers("[1]", [1]),
    integers("[2]", [2]), integers("[1,2]", [1, 2]), weight("w", 4, 4), weight("empty", 2, 0, 4),
]  # fmt: skip


def body(nodes: Sequence[NodeProto], carried: Sequence[str] = (), outputs: str = "on") -> GraphProto:
    """The body of a Loop that carries those names, of which the file says no shape."""
    inputs = [COUNTER, GOING, *(value(name, None) for name in carried)]
    return helper.make_graph(
        list(nodes), "b", inputs, [ValueInfoProto(name=name) for name in outputs.split()]
    )


def sequences(*names: str) -> Sequence[ValueInfoProto]:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    return [helper.make_value_info(name, kind) for name in names]


def appending() -> GraphProto:
    """The body of a loop that appends a product to a list, as a scripted module does."""
    graph = body([op("MatMul", "x w", "p"), op("SequenceInsert", "s p", "t"), GOES_ON], outputs="on t")
    graph.input.extend(sequences("s"))
    return graph


WHILE = body([op("MatMul", "h w", "h2"), op("Add", "n 1", "n2"), op("Less", "n2 5", "on")], ["h"], "on h2 n2")
WHILE.input.append(value("n", None, INT64))
GROWING = body([op("Concat", "h x", "h2", axis=1), GOES_ON], ["h"], "on h2")
LAYERS = body(
    [
        op("Loop", "i - h", "h2", body=body(
            [op("Identity", "go2", "on2"), op("MatMul", "g w", "g2")], outputs="on2 g2",
        )),
        GOES_ON,
    ],
    ["h"], "on h2",
)  # fmt: skip
LAYERS.node[0].attribute[0].g.ClearField("input")
LAYERS.node[0].attribute[0].g.input.extend([value("j", (), INT64), value("go2", (), BOOL), value("g", None)])
STEP = helper.make_graph(
    [op("MatMul", "h w", "h2"), op("Add", "h2 row", "z"), op("Identity", "h2", "z2")], "b",
    [value("h", None), value("row", None)], [ValueInfoProto(name="z"), ValueInfoProto(name="z2")],
)  # fmt: skip

PROGRAMS: Mapping[str, Sequence[NodeProto]] = {
    "slices of a counted loop": [
        op("Loop", "5 -", "y", body=body([op("MatMul", "x w", "p"), GOES_ON], outputs="on p")),
    ],
    "a condition from outside": [
        op("Loop", "5 true x", "y", body=body(
            [op("MatMul", "h w", "h2"), op("Identity", "true", "on")], ["h"], "on h2")),
    ],
    "a counter ends it": [op("Loop", "many true x 0", "y n", body=WHILE)],
    "a counter alone ends it": [op("Loop", "- true x 0", "y n", body=WHILE)],
    "it runs once": [
        op("Loop", "5 - x", "y", body=body([op("Relu", "h", "h2"), op("Not", "go", "on")], ["h"], "on h2")),
    ],
    "what is carried grows": [op("Loop", "5 - x", "y", body=GROWING)],
    "a cache that starts empty": [op("Loop", "5 - empty", "y", body=GROWING)],
    "a loop in a loop": [op("Loop", "5 - x", "y", body=LAYERS)],
    "no round": [op("Loop", "0 - x", "y", body=GROWING)],
    "a scan": [
        op("ReduceSum", "x [1]", "h0", keepdims=0),
        op("Scan", "h0 x", "h y", num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[-1], body=STEP)],
    "a list": [op("SequenceConstruct", "x w", "s"), op("SequenceAt", "s 1", "y")],
    "a list of equals joined": [
        op("SequenceConstruct", "x x x", "s"), op("ConcatFromSequence", "s", "y", axis=-2)],
    "a list stacked": [
        op("SequenceConstruct", "x x", "s"), op("ConcatFromSequence", "s", "y", axis=-1, new_axis=1)],
    "a list with more": [
        op("SequenceEmpty", "", "e"), op("SequenceInsert", "e x", "s"), op("SequenceInsert", "s w 0", "t"),
        op("SequenceErase", "t", "u"), op("SequenceAt", "u 0", "y")],
    "a list from a loop": [
        op("SequenceEmpty", "", "e"), op("Loop", "5 - e", "l", body=appending()),
        op("ConcatFromSequence", "l", "y", axis=0, new_axis=1)],
    "parts": [op("SplitToSequence", "x [1,2]", "s", axis=1), op("SequenceAt", "s 1", "y")],
    "equal parts and a rest": [op("SplitToSequence", "x 2", "s", axis=1), op("SequenceAt", "s 1", "y")],
    "slices": [op("SplitToSequence", "x", "s", axis=2, keepdims=0), op("SequenceAt", "s 1", "y")],
    "a product for each element": [
        op("SplitToSequence", "x 2", "s", axis=1), op("SequenceMap", "s w", "t", body=helper.make_graph(
            [op("MatMul", "e v", "p")], "b", [value("e", None), value("v", None)], [value("p", None)])),
        op("ConcatFromSequence", "t", "y", axis=1)],
    "the length of a list": [
        op("SequenceConstruct", "x x x", "s"), op("SequenceLength", "s", "n"),
        op("Unsqueeze", "n [0]", "m"),
        op("ConstantOfShape", "m", "y")],
    "equal products": [
        op("SplitToSequence", "x 1", "s", axis=1), op("SequenceMap", "s w", "t", body=helper.make_graph(
            [op("MatMul", "e v", "p")], "b", [value("e", None), value("v", None)], [value("p", None)])),
        op("SequenceAt", "t 2", "y")],
    "an optional": [op("Optional", "x", "o"), op("OptionalGetElement", "o", "y")],
    "a shape through Identity and Concat": [
        op("Identity", "[2]", "a"), op("Identity", "[-1]", "b"), op("Concat", "a b", "c", axis=0),
        op("Identity", "c", "d"), op("Reshape", "x d", "y")],
    "a slice through arithmetic": [
        op("Shape", "x", "s"), op("Gather", "s 1", "n"), op("Sub", "n 1", "m"),
        op("Unsqueeze", "m [0]", "end"),
        op("Slice", "x [0] end [2]", "y")],
    "an expansion": [
        op("Shape", "x", "s", start=1), op("Concat", "[2] s", "t", axis=0), op("Squeeze", "x", "q"),
        op("Slice", "q [0] [1] [0]", "r"), op("Expand", "r t", "y")],
    "a branch that is known": [
        op("Shape", "x", "s"), op("Gather", "s 0", "n"), op("Equal", "n 2", "even"),
        op("If", "even", "y",
           then_branch=helper.make_graph([op("MatMul", "x w", "a")], "t", [], [value("a", None)]),
           else_branch=helper.make_graph([op("Abs", "x", "b")], "e", [], [value("b", None)]))],
}  # fmt: skip


def model_of(nodes: Sequence[NodeProto]) -> onnx.ModelProto:
    outputs = [ValueInfoProto(name="y")]
    graph = helper.make_graph(list(nodes), "made", [value("x", X.shape)], outputs, HELD)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("nodes", PROGRAMS.values(), ids=PROGRAMS)
def test_a_shape_that_the_file_decides(tmp_path: Path, nodes: Sequence[NodeProto]) -> None:
    model = model_of(nodes)
    assert found(model, tmp_path)["y"] == run(model, {"x": X}, ["y"])["y"]


def ledger(folder: Path, nodes: Sequence[NodeProto]) -> Ledger:
    onnx.save(model_of(nodes), folder / "graph.onnx")
    return build_ledger(load_graph(folder / "graph.onnx"))


@pytest.mark.parametrize(
    ("program", "macs"),
    [
        ("slices of a counted loop", 5 * 24 * 4),  # 5 rounds, 24 elements, each a sum over 4
        ("a condition from outside", 5 * 24 * 4),
        ("a counter ends it", 5 * 24 * 4),  # its n is 5 behind the fifth round
        ("a counter alone ends it", 5 * 24 * 4),
        ("a list from a loop", 5 * 24 * 4),
        ("equal products", 3 * 8 * 4),  # one for each of 3 slices of 8 elements
        ("a scan", 3 * 8 * 4),  # 3 slices of 8 elements
        ("a branch that is known", 24 * 4),
    ],
)
def test_a_body_counts_as_often_as_the_file_says(tmp_path: Path, program: str, macs: int) -> None:
    totals = ledger(tmp_path, PROGRAMS[program]).totals
    assert (totals.macs, totals.unknown_nodes) == (macs, 0)


ONE_MORE = [op("Unsqueeze", "i [0]", "i1"), op("Add", "i1 [1]", "end")]
PARTS = [
    *ONE_MORE, op("Slice", "h [0] end [1]", "p"), op("MatMul", "p w", "q"),
    op("ReduceSum", "q [1]", "s"), op("Add", "h s", "h2"),
]  # fmt: skip
FIRST_TWO = op(
    "If", "few", "r",
    then_branch=helper.make_graph([op("MatMul", "q w", "t")], "t", [], [value("t", None)]),
    else_branch=helper.make_graph([op("Abs", "q", "e")], "e", [], [value("e", None)]),
)  # fmt: skip
CHANGING: Mapping[str, tuple[Sequence[NodeProto], int]] = {
    # 2 x 3 rows of x, then 2 x 6, ..: a product in each of 5 rounds
    "a growing list of keys": (
        [op("Loop", "5 - x", "y", body=body(
            [op("MatMul", "h w", "q"), op("Concat", "q x", "h2", axis=1), GOES_ON], ["h"], "on h2"))],
        (1 + 2 + 3 + 4 + 5) * 24 * 4,
    ),
    # what is carried keeps its shape: 1, 2, 3, 3, 3 of 3 rows
    "slices by the round": (
        [op("Loop", "5 - x", "y", body=body([*PARTS, GOES_ON], ["h"], "on h2"))],
        (1 + 2 + 3 + 3 + 3) * 8 * 4,
    ),
    # i rounds in round i
    "as many rounds as the round's number": (PROGRAMS["a loop in a loop"], (0 + 1 + 2 + 3 + 4) * 24 * 4),
    "the same twice": (
        [op("Loop", "2 - x", "y", body=body(
            [op("Loop", "5 - h", "h3", body=body(
                [*ONE_MORE, op("Slice", "g [0] end [1]", "p"), op("MatMul", "p w", "q"),
                 op("ReduceSum", "q [1]", "s"), op("Add", "g s", "g2"), op("Identity", "go", "on3")],
                ["g"], "on3 g2")),
             GOES_ON], ["h"], "on h3"))],
        2 * (1 + 2 + 3 + 3 + 3) * 8 * 4,
    ),
    # a second product in rounds 0 and 1, of 1 and 2 rows
    "a branch in some rounds": (
        [op("Loop", "5 - x", "y", body=body(
            [*PARTS, op("Less", "i 2", "few"), FIRST_TWO, GOES_ON], ["h"], "on h2"))],
        (1 + 2 + 3 + 3 + 3) * 8 * 4 + (1 + 2) * 8 * 4,
    ),
    # the shapes do not change
    "a product in some rounds": (
        [op("Loop", "5 - x", "y", body=body(
            [op("Less", "i 2", "few"), op("Identity", "h", "q"), FIRST_TWO, GOES_ON], ["h"], "on r"))],
        2 * 24 * 4,
    ),
    # of 2 rows and of the third alone
    "elements of two sizes": (
        [*PROGRAMS["a product for each element"][:2], op("SequenceAt", "t 1", "y")],
        24 * 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "macs"), CHANGING.values(), ids=CHANGING)
def test_what_changes_from_round_to_round_is_summed(
    tmp_path: Path, nodes: Sequence[NodeProto], macs: int
) -> None:
    found = ledger(tmp_path, nodes)
    assert (found.totals.macs, found.totals.unknown_nodes) == (macs, 0)
    assert not any("counts" in note or "counted for one" in note for note in found.notes)
    assert count(model_of(nodes), {"x": X}).macs == macs


def test_a_branch_counts_in_the_rounds_that_take_it(tmp_path: Path) -> None:
    nodes = ledger(tmp_path, CHANGING["a branch in some rounds"][0]).nodes
    repeats = {node.node.rpartition("/")[2]: node.repeats for node in nodes}
    assert [repeats[f"node_{name}"] for name in ("q", "r", "t", "e", "y")] == [5, 5, 2, 3, 1]
    (taken,) = (node for node in nodes if node.op_type == "If")
    assert [inner.repeats for inner in taken.bodies] == [1, 1]


def test_rounds_that_are_not_walked_through_stay_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MOST_NODES", 4)
    growing = {node.op_type: node for node in ledger(tmp_path, PROGRAMS["what is carried grows"]).nodes}
    assert growing["Concat"].status == "unknown"
    notes = ledger(tmp_path, PROGRAMS["what is carried grows"]).notes
    assert "y/body: too many rounds to be walked through one by one; --run counts what runs" in notes
    layers = ledger(tmp_path, PROGRAMS["a loop in a loop"])
    inner = next(node for node in layers.nodes if node.bodies and node.repeats == 5)
    assert inner.bodies[0].doubt == "its trip count 'y/body/i' is computed at run time"


@pytest.mark.parametrize("limit", ["5", "steps"])
def test_a_loop_that_makes_one_shape_has_it_however_often_it_runs(tmp_path: Path, limit: str) -> None:
    products = [op("MatMul", "h w", "h2"), op("Concat", "g h", "g2", axis=1), op("Identity", "flag", "on")]
    rounds = op("Loop", f"{limit} - x x", "y z", body=body(products, ["h", "g"], "on h2 g2"))
    inputs = [value("x", X.shape), value("steps", (), INT64), value("flag", (), BOOL)]
    outputs = [ValueInfoProto(name="y"), ValueInfoProto(name="z")]
    graph = load_graph(save(tmp_path, [rounds], inputs, outputs, HELD))
    assert [tensor.shape for tensor in graph.outputs] == [(2, 3, 4), (2, "?", 4)]


def test_rounds_are_walked_through_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_NODES", 4 * 4)  # 3 nodes and the loop itself, 5 times
    loop = next(node for node in ledger(tmp_path, PROGRAMS["a counter ends it"]).nodes if node.bodies)
    assert (loop.bodies[0].repeats, loop.bodies[0].doubt) == (1, f"it may end before its limit of {2**40}")


@pytest.mark.parametrize(
    "node",
    [
        op("Loop", "5 true x", "y"),
        op("Scan", "x x", "y", body=STEP),
        op("Scan", "x x", "y z", body=STEP, num_scan_inputs=1, scan_input_axes=[9]),
        op("SequenceMap", "x", "y"),
        op("If", "", "y", then_branch=STEP, else_branch=STEP),
    ],
    ids=["no body", "no count", "no such axis", "nothing to map", "no condition"],
)
def test_a_node_without_what_it_needs_is_refused_in_one_line(tmp_path: Path, node: NodeProto) -> None:
    onnx.save(model_of([node]), tmp_path / "graph.onnx")
    with pytest.raises(GraphError, match=f"graph.onnx: the {node.op_type} 'node_y' ") as raised:
        load_graph(tmp_path / "graph.onnx")
    assert "\n" not in str(raised.value)
