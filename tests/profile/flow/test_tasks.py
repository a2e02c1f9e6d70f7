"""What is one task of a schedule, and what it waits for."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow.deepest import build_flow
from onnxlens.profile.flow.tasks import tasks_of
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.schedule import Rows
from tests.profile.flow.test_frames import SHAPE, body, branching
from tests.profile.models import integers, op, save, value, weight

Found = list[tuple[str, str, tuple[int, ...]]]


def found(path: Path, by: Rows = "module", depth: int | None = None) -> Found:
    """Path, title and what it waits for of each task; each node that runs is in one of them."""
    graph = load_graph(path)
    deepest = build_flow(graph, build_ledger(graph))
    tasks = tasks_of(graph, deepest, by, depth)
    held = [index for task in tasks for index in task.nodes]
    assert sorted(held) == sorted(index for nodes in deepest.nodes.values() for index in nodes)
    assert all(source < number for number, task in enumerate(tasks) for source in task.after)
    return [(task.path, task.title, task.after) for task in tasks]


@pytest.fixture
def diamond(tmp_path: Path) -> Path:
    """a.0 and b.0 read stem; a itself reads a.0; head joins a and b.0."""
    nodes = [
        op("Relu", "x", "s", "stem"), op("MatMul", "s w", "p", "a.0"), op("Tanh", "p", "q", "a"),
        op("Sigmoid", "s", "r", "b.0"), op("Add", "q r", "y", "head"),
    ]  # fmt: skip
    return save(tmp_path, nodes, [value("x", SHAPE)], [value("y", SHAPE)], [weight("w", *SHAPE)])


def test_a_module_waits_for_those_whose_outputs_it_reads(diamond: Path) -> None:
    innermost = [("stem", ()), ("a.0", (0,)), ("a", (1,)), ("b.0", (0,)), ("head", (2, 3))]
    assert [(path, after) for path, _, after in found(diamond)] == innermost
    assert [(path, after) for path, _, after in found(diamond, depth=1)] == [
        ("stem", ()), ("a", (0,)), ("b.0", (0,)), ("head", (1, 2)),
    ]  # fmt: skip


def test_a_task_may_be_a_node(diamond: Path) -> None:
    titles = ["Relu", "MatMul", "Tanh", "Sigmoid", "Add"]
    assert [(title, after) for _, title, after in found(diamond, "node")] == [
        *zip(titles, [(), (0,), (1,), (0,), (2, 3)], strict=True)
    ]


@pytest.mark.parametrize("by", ["module", "node"])
def test_an_if_is_one_task_with_its_branches(tmp_path: Path, by: Rows) -> None:
    assert [(title, after) for _, title, after in found(branching(tmp_path), by)] == [
        ("Relu", ()),
        ("If", (0,)),
    ]


@pytest.mark.parametrize("by", ["module", "node"])
def test_a_loop_is_one_task_with_its_rounds(tmp_path: Path, by: Rows) -> None:
    """Its state goes back from round to round, what is beside it does not wait for it."""
    inside = [op("Tanh", "h", "g", "inner"), op("Add", "g r", "k", "other"), op("Identity", "c", "c2")]
    rounds = body(inside, "i c h", "c2 k")
    nodes = [
        op("Relu", "x", "r", "before"), op("Loop", "n t x", "z", "loop", body=rounds),
        op("Sigmoid", "x", "e", "beside"), op("Add", "z e", "y", "head"),
    ]  # fmt: skip
    true = helper.make_tensor("t", TensorProto.BOOL, (), [True])
    between = [value(name, SHAPE) for name in "rze"]
    file = save(
        tmp_path, nodes, [value("x", SHAPE)], [value("y", SHAPE)], [integers("n", 3), true], between=between
    )
    tasks = found(file, by)
    names = ["Relu", "Sigmoid", "Add"] if by == "node" else ["before", "beside", "head"]
    place = {name: number for number, (path, title, _) in enumerate(tasks) for name in (path, title)}
    before, beside, head = (place[name] for name in names)
    assert {before, beside, head, place["Loop"]} == {0, 1, 2, 3} == set(range(len(tasks)))
    assert (tasks[place["Loop"]][2], tasks[beside][2]) == ((before,), ())
    assert tasks[head][2] == tuple(sorted((place["Loop"], beside)))
