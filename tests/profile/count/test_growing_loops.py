"""Loops whose shapes change from round to round: what of them is shown, and which branch is the larger."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from onnx import NodeProto, ValueInfoProto, helper

from onnxlens.reports.model_explorer.node_data import with_bodies
from onnxlens.specs.ledger import Ledger
from tests.profile.count.test_repeats import BOOL, INT64, by_type, graph, scalar
from tests.profile.models import ledger_of, op, save, value, weight


def growing(branching: list[NodeProto], result: str) -> NodeProto:
    """A loop of 5 rounds that adds 2 rows to what it carries, after the nodes made ``result`` of it."""
    nodes = [op("Identity", "going", "on"), *branching, op("Concat", f"{result} x", "longer", axis=0)]
    body = helper.make_graph(
        nodes,
        "inside",
        [value("round", (), INT64), value("going", (), BOOL), value("held", None)],
        [value("on", (), BOOL), value("longer", None)],
    )
    return op("Loop", "five - x", "y", body=body)


def grown(folder: Path, nodes: list[NodeProto], inputs: list[ValueInfoProto]) -> Ledger:
    held = [weight("w", 4, 4), scalar("five", 5), scalar("two", 2)]
    inputs = [value("x", (2, 4)), *inputs]
    return ledger_of(save(folder, nodes, inputs, [value("y", None)], held, opsets={"": 18}))[1]


ROUNDS = [rows * 4 * 4 for rows in (2, 4, 6, 8, 10)]
"""MACs of a product of what grows with a (4, 4) weight, round by round."""


def test_of_a_body_whose_shapes_grow_all_runs_are_shown_together(tmp_path: Path) -> None:
    loop = by_type(grown(tmp_path, [growing([op("MatMul", "held w", "made")], "made")], []))["Loop"]
    (body,) = loop.bodies
    assert (body.macs, body.repeats, body.all_runs) == (sum(ROUNDS), 5, True)
    assert with_bodies(loop, "macs") == sum(ROUNDS)


def test_of_branches_that_each_run_in_some_rounds_all_runs_are_shown_together(tmp_path: Path) -> None:
    then = graph([op("MatMul", "held w", "made")], [], [value("made", None)])
    other = graph([op("MatMul", "held w", "once"), op("MatMul", "once w", "made")], [], [value("made", None)])
    chosen = [op("Less", "round two", "early"), op("If", "early", "r", then_branch=then, else_branch=other)]
    nodes = by_type(grown(tmp_path, [growing(chosen, "r")], []))
    early, late = sum(ROUNDS[:2]), 2 * sum(ROUNDS[2:])
    assert [body.macs for body in nodes["If"].bodies] == [early, late]
    assert [with_bodies(nodes[name], "macs") for name in ("If", "Loop")] == [early + late, early + late]


def test_branches_are_compared_by_what_all_rounds_inside_them_take(tmp_path: Path) -> None:
    """The last round times 5 is more than the other branch; all rounds together are less."""
    then = graph([growing([op("MatMul", "held w", "made")], "made")], [], [value("y", None)])
    steps = [f"step{index}" for index in range(20)]
    chain = [op("MatMul", f"{before} w", after) for before, after in pairwise(["x", *steps])]
    other = graph(chain, [], [value(steps[-1], (2, 4))])
    branch = op("If", "flag", "y", then_branch=then, else_branch=other)
    ledger = grown(tmp_path, [branch], [value("flag", (), BOOL)])
    assert sum(ROUNDS) < 20 * ROUNDS[0] < 5 * ROUNDS[-1]
    assert ledger.totals.macs == 20 * ROUNDS[0]
    assert [(body.macs, body.repeats) for body in by_type(ledger)["If"].bodies] == [(480, 0), (640, 1)]
