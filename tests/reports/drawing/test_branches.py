"""What can run at the same time is in parallel branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxlens.reports.drawing.branches import branches_of
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec

HEAVY = 1000


def flow(macs: Mapping[str, int], arrows: str) -> FlowGraph:
    """Boxes in order with their MACs, and ``a>b`` for each tensor; ``x`` is the input.

    A box is called by the letters of its id: ``zero1`` and ``zero2`` are of one class.
    """
    nodes = [
        FlowNode(box, "module", box, box.rstrip("0123456789"), (), order, {"macs": work})
        for order, (box, work) in enumerate(macs.items(), start=1)
    ]
    pairs = [arrow.split(">") for arrow in arrows.split()]
    edges = [
        FlowEdge(source, target, TensorSpec(f"of_{source}", "float32", (1,))) for source, target in pairs
    ]
    return FlowGraph("net", "net.onnx", 1, (FlowNode("x", "input", "x", "x"), *nodes), tuple(edges))


def branches(flow: FlowGraph) -> Sequence[Sequence[str]]:
    """The boxes of each branch, from the trunk on."""
    found = branches_of(flow)
    return [[box for box in found if found[box] == branch] for branch in sorted({0, *found.values()})]


def test_a_chain_with_its_residuals_is_all_trunk() -> None:
    chain = flow({"a": 5, "b": 5, "add": 0, "c": 5}, "x>a a>b a>add b>add add>c")
    assert branches(chain) == [["a", "b", "add", "c"]]


def test_the_back_edge_of_a_loop_changes_no_branch() -> None:
    arrows = "x>a a>b b>c c>d"
    loop = flow({"a": 5, "b": 9, "c": 5, "d": 1}, f"{arrows} c>a")
    assert (
        branches(loop) == branches(flow({"a": 5, "b": 9, "c": 5, "d": 1}, arrows)) == [["a", "b", "c", "d"]]
    )


def test_two_branches_of_like_work_are_a_branch_each_between_fork_and_join() -> None:
    net = flow(
        {"stem": 9, "a": HEAVY, "b": HEAVY, "c": 999, "d": 999, "join": 0, "head": 1},
        "x>stem stem>a a>b stem>c c>d b>join d>join join>head",
    )
    assert branches(net) == [["stem", "join", "head"], ["a", "b"], ["c", "d"]]


def test_a_small_branch_is_a_branch_and_leaves_the_trunk_a_trunk() -> None:
    net = flow({"a": 9, "b": HEAVY, "skip": 249, "add": 0}, "x>a a>b a>skip b>add skip>add")
    assert branches(net) == [["a", "b", "add"], ["skip"]]  # under a quarter of b's work
    even = flow({"a": 9, "b": HEAVY, "skip": 250, "add": 0}, "x>a a>b a>skip b>add skip>add")
    assert branches(even) == [["a", "add"], ["b"], ["skip"]]


def test_small_branches_of_one_class_share_a_branch_and_those_of_another_do_not() -> None:
    net = flow(
        {"a": HEAVY, "zero1": 1, "b": HEAVY, "zero2": 1, "c": HEAVY, "proj": 1, "sum": 0},
        "x>a a>b a>zero1 b>c b>zero2 b>proj c>sum zero1>sum zero2>sum proj>sum",
    )
    assert branches(net) == [["a", "b", "c", "sum"], ["zero1", "zero2"], ["proj"]]


def test_branches_after_a_join_continue_the_branches_before_it() -> None:
    net = flow(
        {"a": 8, "b": 8, "join": 0, "c": 8, "d": 8, "end": 0},
        "x>a x>b a>join b>join join>c join>d c>end d>end",
    )
    assert branches(net) == [["join", "end"], ["a", "c"], ["b", "d"]]


def test_three_equal_branches_have_three_branches() -> None:
    net = flow(
        {"norm": 0, "q": 8, "k": 8, "v": 8, "attend": 9},
        "x>norm norm>q norm>k norm>v q>attend k>attend v>attend",
    )
    assert branches(net) == [["norm", "attend"], ["q"], ["k"], ["v"]]


def test_a_control_network_and_an_encoder_are_parallel_up_to_the_decoder() -> None:
    net = flow(
        {
            "hint": HEAVY, "control": HEAVY, "zero1": 1, "deep": HEAVY, "zero2": 1,
            "encoder": HEAVY, "middle": HEAVY, "add1": 0, "decoder1": HEAVY, "add2": 0, "decoder2": HEAVY,
        },
        "x>hint hint>control control>zero1 control>deep deep>zero2 x>encoder encoder>middle "
        "middle>add1 zero2>add1 add1>decoder1 decoder1>add2 encoder>add2 zero1>add2 add2>decoder2",
    )  # fmt: skip
    assert branches(net) == [
        ["add1", "decoder1", "add2", "decoder2"],
        ["hint", "control", "deep", "zero2"],
        ["encoder", "middle"],
        ["zero1"],
    ]


def test_what_many_boxes_read_is_a_branch_and_does_not_bind_its_consumers() -> None:
    net = flow(
        {
            "time": 1,
            "a": HEAVY,
            "emb1": 1,
            "b": HEAVY,
            "emb2": 1,
            "c": HEAVY,
            "emb3": 1,
            "emb4": 1,
            "d": HEAVY,
        },
        "x>a time>emb1 time>emb2 time>emb3 time>emb4 a>b emb1>b b>c emb2>c c>d emb3>d emb4>d",
    )
    assert branches(net) == [["a", "b", "c", "d"], ["emb1", "emb2", "emb3", "emb4"], ["time"]]


def test_without_any_macs_the_path_with_most_boxes_is_the_trunk() -> None:
    net = flow(
        dict.fromkeys(("a", "b", "c", "d", "e", "side", "join"), 0), "a>b b>c c>d d>e e>join a>side side>join"
    )
    assert branches(net) == [["a", "join"], ["b", "c", "d", "e"], ["side"]]  # one box of four is a share


def test_a_folded_box_has_the_weight_of_all_its_repeats() -> None:
    net = flow({"a": 9, "b": 100, "c": 30, "add": 0}, "x>a a>b a>c b>add c>add")
    nodes = [
        FlowNode(n.id, n.kind, n.path, n.title, n.parents, n.order, n.costs, 9 if n.id == "c" else 1)
        for n in net.nodes
    ]
    assert branches(net) == [["a", "add"], ["b"], ["c"]]
    folded = FlowGraph("net", "net.onnx", 1, tuple(nodes), net.edges)
    assert branches(folded) == [["a", "add"], ["c"], ["b"]]  # 270 MACs against 100


def test_a_flow_without_boxes_has_no_branches() -> None:
    assert branches_of(flow({}, "")) == {}
