"""Branches and loops: which branch counts, how often a body counts, and the notes on both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.liveness import live_bytes
from onnxlens.profile.flow.deepest import LARGER_BRANCHES, build_flow
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.ledger import Ledger, NodeCost
from tests.profile.flow.flows import flow_at
from tests.profile.models import integers, ledger_of, op, save, value, weight

BOOL, INT64 = TensorProto.BOOL, TensorProto.INT64
SQUARE_MACS = 3 * 4 * 4
"""Of a product of (3, 4) with a (4, 4) weight."""


def graph(nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]) -> GraphProto:
    return helper.make_graph(nodes, "inside", inputs, outputs)


def scalar(name: str, held: bool | int) -> TensorProto:
    return numpy_helper.from_array(np.array(held, np.bool_ if isinstance(held, bool) else np.int64), name)


THEN = graph([op("MatMul", "x w", "made"), op("Relu", "made", "out")], [], [value("out", (3, 4))])
ELSE = graph([op("Exp", "x", "made"), op("Neg", "made", "out")], [], [value("out", (3, 4))])


def save_if(folder: Path, condition: TensorProto | None = None) -> Path:
    """Of x either a product and a Relu, or an exponential and a negation; then an absolute value."""
    nodes = [op("If", "flag", "joined", then_branch=THEN, else_branch=ELSE), op("Abs", "joined", "y")]
    inputs = [value("x", (3, 4))] + ([] if condition else [value("flag", (), BOOL)])
    held = [weight("w", 4, 4)] + ([condition] if condition else [])
    return save(folder, nodes, inputs, [value("y", (3, 4))], held, opsets={"": 18})


def by_type(ledger: Ledger) -> dict[str, NodeCost]:
    return {node.op_type: node for node in ledger.nodes}


def test_of_an_if_the_larger_branch_counts_and_both_are_shown(tmp_path: Path) -> None:
    _, ledger = ledger_of(save_if(tmp_path))
    nodes = by_type(ledger)
    assert {name: node.repeats for name, node in nodes.items()} == {
        "MatMul": 1, "Relu": 1, "Exp": 0, "Neg": 0, "If": 1, "Abs": 1,
    }  # fmt: skip
    assert ledger.totals.macs == SQUARE_MACS
    assert (ledger.totals.vector_ops, ledger.totals.special_ops) == (12 + 12, 0)  # Relu, Abs
    then, other = nodes["If"].bodies
    assert (then.name, then.macs, then.vector_ops, then.nodes, then.repeats) == ("then_branch", 48, 12, 2, 1)
    assert (other.name, other.macs, other.special_ops, other.repeats) == ("else_branch", 0, 12, 0)
    assert other.vector_ops == 12
    assert other.moved_bytes == 4 * 4 * 12  # two nodes, each reads and writes 12 floats
    assert (
        "If node_joined: then_branch 48 MACs (2 nodes), else_branch 0 MACs (2 nodes); then_branch counts, "
        "so MACs are at most what runs" in (ledger.notes)
    )


def test_without_macs_the_branch_with_more_operations_counts(tmp_path: Path) -> None:
    few = graph([op("Relu", "x", "out")], [], [value("out", (3, 4))])
    nodes = [op("If", "flag", "y", then_branch=few, else_branch=ELSE)]
    inputs = [value("x", (3, 4)), value("flag", (), BOOL)]
    _, ledger = ledger_of(save(tmp_path, nodes, inputs, [value("y", (3, 4))]))
    assert [body.repeats for body in by_type(ledger)["If"].bodies] == [0, 1]


@pytest.mark.parametrize(("condition", "runs"), [(True, ["MatMul", "Relu"]), (False, ["Exp", "Neg"])])
def test_a_condition_that_is_known_chooses_the_branch(
    tmp_path: Path, condition: bool, runs: list[str]
) -> None:
    _, ledger = ledger_of(save_if(tmp_path, scalar("flag", condition)))
    inside = [node for node in ledger.nodes if node.op_type not in ("If", "Abs")]
    assert [node.op_type for node in inside if node.repeats] == runs
    assert {node.status for node in inside if not node.repeats} == {"free"}
    assert ledger.totals.macs == (SQUARE_MACS if condition else 0)
    assert not any(note.startswith("If ") for note in ledger.notes)  # there was no choice to report


def test_a_condition_is_known_when_the_user_gives_it(tmp_path: Path) -> None:
    ledger = build_ledger(load_graph(save_if(tmp_path), values={"flag": (0,)}))
    assert {node.op_type for node in ledger.nodes if node.repeats} == {"Exp", "Neg", "If", "Abs"}


def test_an_unknown_node_that_can_never_run_is_not_unknown(tmp_path: Path) -> None:
    mystery = graph([op("Mystery", "x", "out", domain="com.vendor")], [], [value("out", (3, 4))])
    nodes = [op("If", "flag", "y", then_branch=THEN, else_branch=mystery)]
    held = [weight("w", 4, 4), scalar("flag", True)]
    opsets = {"": 18, "com.vendor": 1}
    path = save(tmp_path, nodes, [value("x", (3, 4))], [value("y", (3, 4))], held, opsets=opsets)
    assert ledger_of(path)[1].totals.unknown_nodes == 0


def test_an_unknown_node_in_a_branch_that_may_run_is_unknown_and_noted(tmp_path: Path) -> None:
    mystery = graph([op("Mystery", "x", "out", domain="com.vendor")], [], [value("out", (3, 4))])
    nodes = [op("If", "flag", "y", then_branch=THEN, else_branch=mystery)]
    inputs = [value("x", (3, 4)), value("flag", (), BOOL)]
    opsets = {"": 18, "com.vendor": 1}
    path = save(tmp_path, nodes, inputs, [value("y", (3, 4))], [weight("w", 4, 4)], opsets=opsets)
    _, ledger = ledger_of(path)
    assert ledger.totals.unknown_nodes == 1
    assert any("else_branch 0 MACs (1 nodes, 1 unknown)" in note for note in ledger.notes)


def test_names_inside_a_branch_are_their_own(tmp_path: Path) -> None:
    read = load_graph(save_if(tmp_path))
    names = [output.name for node in read.nodes for output in node.view.outputs if output is not None]
    assert names == [
        "joined/then_branch/made", "joined/then_branch/out",
        "joined/else_branch/made", "joined/else_branch/out", "joined", "y",
    ]  # fmt: skip
    assert read.nodes[0].view.input(0).name == "x"  # captured


def test_a_branch_shares_its_memory_with_the_output_and_the_other_takes_none(tmp_path: Path) -> None:
    read, ledger = ledger_of(save_if(tmp_path))
    idle = {index for index, node in enumerate(ledger.nodes) if not node.repeats}
    # flag is 1 byte; x and made; made and out with x, which is not read after the product
    assert live_bytes(read, idle)[:2] == [1 + 48 + 48, 1 + 48 + 48]
    assert live_bytes(read, idle)[4] == 1 + 48  # the If itself makes nothing
    assert live_bytes(read, idle)[5] == 48 + 48


def test_data_flows_through_a_branch(tmp_path: Path) -> None:
    read, ledger = ledger_of(save_if(tmp_path))
    flow = flow_at(read, ledger, 1)
    assert {(edge.source, edge.tensor.name) for edge in flow.edges if edge.target == "n1"} == {
        ("input/x", "x"), ("input/flag", "flag"),
    }  # fmt: skip


def loop_body(condition: NodeProto, *nodes: NodeProto) -> GraphProto:
    """A body with h (3, 4) as loop-carried value, and a slice of (4,) as scan output."""
    inputs = [value("i", (), INT64), value("going", (), BOOL), value("h", (3, 4))]
    steps = [
        op("MatMul", "h w", "next"),
        op("ReduceSum", "next axis", "slice", keepdims=0),
        *nodes,
        condition,
    ]
    outputs = [value("on", (), BOOL), value("next", (3, 4)), value("slice", (4,))]
    return graph(steps, inputs, outputs)


GOES_ON = op("Identity", "going", "on")
ALWAYS = op("Constant", "", "on", value=scalar("v", True))
UNTIL_LARGE = op("Less", "i steps", "on")


def save_loop(
    folder: Path, body: GraphProto, limit: str = "limit", start: str = "-", slices: int | None = 5
) -> Path:
    nodes = [op("Loop", f"{limit} {start} x", "last slices", body=body)]
    held = [weight("w", 4, 4), integers("axis", [0]), integers("limit", 5), scalar("never", False)]
    held += [integers("none", 0)]
    inputs = [value("x", (3, 4)), value("steps", (), INT64), value("flag", (), BOOL)]
    outputs = [value("last", (3, 4)), value("slices", (slices, 4))]
    return save(folder, nodes, inputs, outputs, held)


@pytest.mark.parametrize("condition", [GOES_ON, ALWAYS], ids=["passed through", "constant"])
def test_a_loop_counts_its_body_as_often_as_it_runs(tmp_path: Path, condition: NodeProto) -> None:
    _, ledger = ledger_of(save_loop(tmp_path, loop_body(condition)))
    nodes = by_type(ledger)
    assert (nodes["MatMul"].repeats, nodes["MatMul"].macs) == (5, 5 * SQUARE_MACS)
    assert nodes["MatMul"].weight_read_bytes == 5 * 64
    assert nodes["ReduceSum"].vector_ops == 5 * 12
    assert ledger.totals.macs == 5 * SQUARE_MACS
    assert [(body.macs, body.repeats, body.doubt) for body in nodes["Loop"].bodies] == [(48, 5, "")]


def test_a_loop_stacks_its_scan_outputs_and_returns_its_carried_values(tmp_path: Path) -> None:
    _, ledger = ledger_of(save_loop(tmp_path, loop_body(GOES_ON)))
    loop = by_type(ledger)["Loop"]
    assert (loop.read_bytes, loop.write_bytes, loop.weight_read_bytes) == (4 * 20, 4 * 20, 0)


@pytest.mark.parametrize(
    ("limit", "start", "condition", "unknown_reason"),
    [
        ("steps", "-", GOES_ON, "its trip count 'steps' is computed at run time"),
        ("-", "flag", UNTIL_LARGE, "its condition decides when it ends"),
        ("limit", "-", UNTIL_LARGE, "it may end before its limit of 5"),
        ("limit", "flag", GOES_ON, "it may end before its limit of 5"),
    ],
)
def test_a_loop_of_unknown_length_counts_once_and_says_why(
    tmp_path: Path, limit: str, start: str, condition: NodeProto, unknown_reason: str
) -> None:
    _, ledger = ledger_of(save_loop(tmp_path, loop_body(condition), limit, start, slices=None))
    assert by_type(ledger)["MatMul"].repeats == 1
    assert by_type(ledger)["Loop"].bodies[0].doubt == unknown_reason
    assert f"Loop node_last: counted for one iteration, as {unknown_reason}" in ledger.notes


@pytest.mark.parametrize(("limit", "start"), [("none", "-"), ("limit", "never")])
def test_a_loop_that_never_runs_counts_nothing(tmp_path: Path, limit: str, start: str) -> None:
    _, ledger = ledger_of(save_loop(tmp_path, loop_body(GOES_ON), limit, start, slices=0))
    assert ledger.totals.macs == 0
    assert {node.status for node in ledger.nodes if node.op_type != "Loop"} == {"free"}


def test_a_trip_count_that_follows_from_a_shape_is_known(tmp_path: Path) -> None:
    body = loop_body(GOES_ON)
    nodes = [
        op("Shape", "long", "shape"), op("Gather", "shape zero", "length", axis=0),
        op("Loop", "length - x", "last slices", body=body),
    ]  # fmt: skip
    held = [weight("w", 4, 4), integers("axis", [0]), integers("zero", 0)]
    inputs = [value("x", (3, 4)), value("long", (7, 2))]
    outputs = [value("last", (3, 4)), value("slices", (None, 4))]
    _, ledger = ledger_of(save(tmp_path, nodes, inputs, outputs, held))
    assert by_type(ledger)["MatMul"].macs == 7 * SQUARE_MACS


def test_loops_and_branches_inside_each_other_multiply(tmp_path: Path) -> None:
    inner = op("If", "flag", "chosen", then_branch=graph(
        [op("MatMul", "next w", "deep")], [], [value("deep", (3, 4))],
    ), else_branch=graph([op("Neg", "next", "deep")], [], [value("deep", (3, 4))]))  # fmt: skip
    _, ledger = ledger_of(save_loop(tmp_path, loop_body(GOES_ON, inner)))
    # 5 times: the product of the body, and that of the larger branch
    assert ledger.totals.macs == 5 * (SQUARE_MACS + SQUARE_MACS)
    loop = by_type(ledger)["Loop"].bodies[0]
    assert (loop.macs, loop.repeats) == (2 * SQUARE_MACS, 5)
    assert {node.repeats for node in ledger.nodes if node.op_type == "Neg"} == {0}


def save_scan(
    folder: Path, version: int, x: tuple[int, ...], state: tuple[int, ...], **options: object
) -> Path:
    """Adds up slices of (2, 4) times a (4, 4) weight."""
    body = graph(
        [
            op("MatMul", "slice w", "product"),
            op("Add", "sum product", "more"),
            op("Identity", "more", "seen"),
        ],
        [value("sum", (2, 4)), value("slice", (2, 4))],
        [value("more", (2, 4)), value("seen", (2, 4))],
    )
    lengths = "- " if version < 9 else ""
    nodes = [op("Scan", f"{lengths}start x", "total all", body=body, num_scan_inputs=1, **options)]
    inputs = [value("start", state), value("x", x)]
    outputs = [value("total", state), value("all", None)]
    return save(folder, nodes, inputs, outputs, [weight("w", 4, 4)], opsets={"": version})


@pytest.mark.parametrize(
    ("version", "x", "state", "options", "trip_count"),
    [
        (16, (6, 2, 4), (2, 4), {}, 6),
        (16, (2, 6, 4), (2, 4), {"scan_input_axes": [1]}, 6),
        (16, (2, 4, 6), (2, 4), {"scan_input_axes": [-1]}, 6),
        (8, (3, 6, 2, 4), (3, 2, 4), {}, 3 * 6),  # a batch of 3 sequences
    ],
)
def test_a_scan_counts_its_body_for_every_slice(
    tmp_path: Path,
    version: int,
    x: tuple[int, ...],
    state: tuple[int, ...],
    options: dict[str, object],
    trip_count: int,
) -> None:
    _, ledger = ledger_of(save_scan(tmp_path, version, x, state, **options))
    assert by_type(ledger)["MatMul"].macs == trip_count * 2 * 4 * 4
    assert by_type(ledger)["Add"].vector_ops == trip_count * 8


def test_a_sequence_map_counts_one_element_and_says_so(tmp_path: Path) -> None:
    body = graph([op("MatMul", "element w", "out")], [value("element", (3, 4))], [value("out", (3, 4))])
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, (3, 4)))
    sequence, mapped = (helper.make_value_info(name, kind) for name in ("s", "y"))
    nodes = [op("SequenceMap", "s", "y", body=body)]
    _, ledger = ledger_of(save(tmp_path, nodes, [sequence], [mapped], [weight("w", 4, 4)]))
    assert ledger.totals.macs == SQUARE_MACS
    unknown_reason = "the length of its sequence is not known"
    assert f"SequenceMap node_y: counted for one iteration, as {unknown_reason}" in ledger.notes


def test_a_weight_inside_a_branch_is_a_parameter_once(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [op("MatMul", "x inner", "out")], "inside", [], [value("out", (3, 4))], [weight("inner", 4, 4)]
    )
    nodes = [op("If", "flag", "y", then_branch=branch, else_branch=ELSE)]
    inputs = [value("x", (3, 4)), value("flag", (), BOOL)]
    _, ledger = ledger_of(save(tmp_path, nodes, inputs, [value("y", (3, 4))]))
    assert ledger.totals.params == 16
    assert ledger.totals.resident_weight_bytes == 64


def test_functions_of_the_file_are_written_out(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [op("Twice", "x w", "a", domain="local"), op("Twice", "a w", "y", domain="local")],
        [value("x", (3, 4))],
        [value("y", (3, 4))],
        [weight("w", 4, 4)],
        opsets={"": 18, "local": 1},
    )
    model = onnx.load(path)
    steps = [op("MatMul", "p q", "once"), op("MatMul", "once q", "r")]
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("local", "Twice", ["p", "q"], ["r"], steps, opsets))
    onnx.save(model, path)
    _, ledger = ledger_of(path)
    assert [node.op_type for node in ledger.nodes] == ["MatMul"] * 4
    assert ledger.totals.macs == 4 * SQUARE_MACS
    assert ledger.totals.params == 16


def test_a_graph_that_changes_scores_is_counted(tmp_path: Path) -> None:
    scores = ["B", "H", "Q", "K"]
    softcap = helper.make_graph(
        [op("Div", "scores cap", "a"), op("Tanh", "a", "b"), op("Mul", "b cap", "capped")],
        "softcap",
        [value("scores", scores)],
        [value("capped", scores)],
        [weight("cap")],
    )
    domain = "ai.onnx.preview"
    plain = op("FlexAttention", "q k v", "y", domain=domain)
    changed = op("FlexAttention", "q k v", "y", domain=domain, score_mod=softcap)
    shapes = {"q": (2, 4, 6, 8), "k": (2, 2, 10, 8), "v": (2, 2, 10, 8)}
    inputs, outputs = [value(*pair) for pair in shapes.items()], [value("y", (2, 4, 6, 8))]
    totals = [
        ledger_of(save(tmp_path, [node], inputs, outputs, opsets={"": 26, domain: 1}))[1].totals
        for node in (plain, changed)
    ]
    # 480 scores: divide and multiply, and a tanh; 8 wide in both products. The body takes two operations on
    # single numbers to repeat the keys, and two roots for the scale
    assert [total.macs for total in totals] == [480 * 16] * 2
    assert totals[1].vector_ops - totals[0].vector_ops == 2 * 480 + 2
    assert totals[1].special_ops - totals[0].special_ops == 480 + 2
    assert totals[1].unknown_nodes == 0


@pytest.mark.parametrize("decided", [True, False])
def test_a_picture_says_that_the_larger_branch_counts(tmp_path: Path, decided: bool) -> None:
    found = ledger_of(save_if(tmp_path, scalar("flag", True) if decided else None))
    assert build_flow(*found).flow.notes == (() if decided else (LARGER_BRANCHES,))
