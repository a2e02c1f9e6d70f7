"""What runs inside If, Loop and Scan is in a frame of its own; what only renames a tensor is nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow.pages import flow_pages, requested_flow
from onnxlens.profile.graph.loading import load_graph
from onnxlens.reports.drawing.branches import branches_of
from onnxlens.specs.flow import FlowGraph, FlowNode, FlowRequest
from tests.profile.flow.flows import arrows
from tests.profile.models import integers, op, save, value, weight

SHAPE = (4, 4)


def body(nodes: Sequence[NodeProto], inputs: str, outputs: str) -> GraphProto:
    """A graph to run inside a node; ``i`` is a number, ``c`` and ``c2`` are conditions."""
    kinds = {"i": TensorProto.INT64, "c": TensorProto.BOOL, "c2": TensorProto.BOOL}
    ins, outs = (
        [value(name, () if name in kinds else SHAPE, kinds.get(name, 1)) for name in names.split()]
        for names in (inputs, outputs)
    )
    return helper.make_graph(list(nodes), "body", ins, outs)


def branching(folder: Path, at: str | None = None) -> Path:
    """y = f x w if s else f x, for f the ReLU; the branch with the product is named ``then``."""
    both = [op("MatMul", "r w", "m", at), op("Tanh", "m", "t", at)], [op("Sigmoid", "r", "e", at)]
    bodies = {"then_branch": body(both[0], "", "t"), "else_branch": body(both[1], "", "e")}
    nodes = [
        op("Relu", "x", "r", at), op("If", "s", "z", at, **bodies),
        op("Identity", "z", "y", at),
    ]  # fmt: skip
    ends = [value("x", SHAPE), value("s", (), TensorProto.BOOL)], [value("y", SHAPE)]
    return save(folder, nodes, *ends, [weight("w", *SHAPE)], between=[value("r", SHAPE), value("z", SHAPE)])


def flow_of(path: Path, depth: int | None = None, module: str = "", s: int | None = None) -> FlowGraph:
    graph = load_graph(path, values={} if s is None else {"s": [s]})
    return requested_flow(graph, build_ledger(graph), FlowRequest(depth, module))


def ran(flow: FlowGraph) -> list[FlowNode]:
    return [box for box in flow.nodes if box.order]


def boxes(flow: FlowGraph) -> list[tuple[str, str, tuple[str, ...]]]:
    """Title, path, and titles of what is around every box."""
    return [(box.title, box.path, tuple(title for _, title in box.parents)) for box in ran(flow)]


def test_an_if_is_one_box_then_its_branches_then_what_is_in_them(tmp_path: Path) -> None:
    path = branching(tmp_path)
    assert [box.title for box in ran(flow_of(path, 1))] == ["Relu", "If"]
    larger, smaller = "then_branch: counted, as the larger", "else_branch: not counted, as the smaller"
    frame = "node_z"
    assert boxes(flow_of(path, 9))[-4:] == [
        ("MatMul", f"{frame}.then_branch.node1", ("If", larger)),
        ("Tanh", f"{frame}.then_branch.node2", ("If", larger)),
        ("Sigmoid", f"{frame}.else_branch", ("If", smaller)),
        ("If", frame, ("If",)),
    ]


@pytest.mark.parametrize(("s", "taken"), [(1, "then_branch"), (0, "else_branch")])
def test_the_branch_that_is_not_taken_is_one_box_without_costs_at_every_depth(
    tmp_path: Path, s: int, taken: str
) -> None:
    path = branching(tmp_path)
    for depth in range(2, 6):
        found = {box.title: box for box in ran(flow_of(path, depth, s=s))}
        dead = next(box for title, box in found.items() if title.endswith(": not taken"))
        assert taken not in dead.title
        assert dead.costs.keys() <= {"params"}
    whole = {title for _, _, around in boxes(flow_of(path, 9, s=s)) for title in around}
    assert f"{taken}: taken" in whole
    # opened on request: the two nodes of the branch with the product
    inside = flow_of(path, 9, "node_z.then_branch", s=s)
    assert ", ".join(box.title for box in ran(inside)) == "MatMul, Tanh"


def test_a_named_module_contains_the_frame_of_the_if_that_it_runs(tmp_path: Path) -> None:
    flow = flow_of(branching(tmp_path, at="stem"), 9)
    assert {box.parents[0] for box in ran(flow)} == {("stem", "Conv2d")}
    assert [box.parents[-1][0] for box in ran(flow)][-1] == "stem.node_z"
    assert [box.kind for box in ran(flow)] == ["operators"] * len(ran(flow))


def test_branches_of_an_if_do_not_run_at_the_same_time(tmp_path: Path) -> None:
    flow = flow_of(branching(tmp_path), 9)
    numbers = branches_of(flow)
    inside = [numbers[box.id] for box in ran(flow) if "_branch" in box.path]
    assert inside == [0, 0, 0]


def test_what_only_renames_a_tensor_is_no_box_and_its_reader_reads_the_source(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a", "stem"), op("Identity", "a", "b", "relu"), op("Identity", "b", "c", ""),
        op("Tanh", "c", "d", "head"), op("Identity", "d", "y", ""), op("Identity", "x", "z", ""),
    ]  # fmt: skip
    between = [value(name, SHAPE) for name in "abcd"]
    path = save(tmp_path, nodes, [value("x", SHAPE)], [value("y", SHAPE), value("z", SHAPE)], between=between)
    flow = flow_of(path, 1)
    assert [box.path for box in ran(flow)] == ["stem", "head"]
    assert arrows(flow) == ["input/x n1", "n1 n2", "n2 output/y", "input/x output/z"]
    assert flow.edges[1].tensor.name == "a"


def test_a_loop_is_a_frame_with_its_trip_count_fed_from_outside(tmp_path: Path) -> None:
    inner = body(
        [op("MatMul", "h w", "m"), op("Tanh", "m", "h2"), op("Identity", "c", "c2")], "i c h", "c2 h2"
    )
    nodes = [op("Relu", "x", "r"), op("Loop", "five - r", "y", body=inner)]
    path = save(
        tmp_path, nodes, [value("x", SHAPE)], [value("y", SHAPE)],
        [weight("w", *SHAPE), integers("five", 5)], between=[value("r", SHAPE)],
    )  # fmt: skip
    flow = flow_of(path, 9)
    frame = next(box.parents for box in ran(flow) if box.title == "MatMul")
    assert frame[-1][1] == "Loop: 5 trips"
    # the ReLU is read by the product inside, and by the Loop through it alone
    assert [box.title for box in ran(flow)] == ["Relu", "MatMul", "Tanh", "Loop"]
    assert arrows(flow) == ["input/x n1", "n1 n2", "n2 n3", "n3 n4", "n4 output/y"]
    assert next(box.macs for box in ran(flow) if box.title == "MatMul") == 5 * 4 * 4 * 4


def test_a_scan_has_as_many_trips_as_there_are_slices(tmp_path: Path) -> None:
    inner = body([op("Add", "s v", "s2"), op("Identity", "s2", "o")], "s v", "s2 o")
    nodes = [op("Scan", "x seq", "last all", body=inner, num_scan_inputs=1)]
    ends = [value("x", SHAPE), value("seq", (7, *SHAPE))], [value("last", SHAPE), value("all", (7, *SHAPE))]
    flow = flow_of(save(tmp_path, nodes, *ends), 9)
    assert {title for _, _, around in boxes(flow) for title in around} == {"Scan: 7 trips"}


def test_a_long_row_of_modules_is_paged_in_parts(tmp_path: Path) -> None:
    """200 different modules of the model, one after the other, no two of which are equal neighbors."""
    kinds = ("Relu", "Tanh", "Abs", "Neg", "Exp")
    names = ["x", *(f"t{number}" for number in range(199)), "y"]
    nodes = [
        op(kinds[number**2 // 7 % 5], names[number], names[number + 1], f"m{number * 7 % 200}")
        for number in range(200)
    ]
    between = [value(name, SHAPE) for name in names[1:-1]]
    path = save(tmp_path, nodes, [value("x", SHAPE)], [value("y", SHAPE)], between=between)
    graph = load_graph(path)
    first, *others = flow_pages(graph, build_ledger(graph), FlowRequest())
    assert [box.path for box in ran(first.flow)] == [f"part{number}" for number in range(1, 6)]
    assert ran(first.flow)[0].title == f"m0 to m{39 * 7 % 200}"
    assert [len(ran(page.flow)) for page in others] == [40] * 5  # parts of 40
    assert "a part is a share of a long row of modules, cut by number alone" in first.flow.notes
