"""Graphs with the shapes, trip counts and branches of one run; the MACs are derived from what must run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

import onnxlens as api
from onnxlens.specs.ledger import Ledger
from tests.profile.graph.test_optimized_files import drawn
from tests.profile.models import integers, op, save, value

SIDE = 16
X, Y = value("x", (8, SIDE)), value("y", (8, SIDE))
FLAG, COUNT = value("flag", (), TensorProto.BOOL), value("count", (), TensorProto.INT64)
TRUE = numpy_helper.from_array(np.array(True), "true")
WEIGHTS = {"w1": (SIDE, SIDE), "w2": (SIDE, SIDE)}
PRODUCT = 8 * SIDE * SIDE
"""MACs of x times a weight."""


def counted(folder: Path, node: list[NodeProto], inputs: list[Any], output: Any = Y, **given: Any) -> Ledger:
    """The ledger of a run on these inputs; the file holds two weights and TRUE."""
    path = save(folder, node, [X, *inputs], [output], [*drawn(WEIGHTS), TRUE, integers("axis", [0])])
    arrays = path.with_name("given.npz")
    np.savez(arrays, **given)
    return api.profile_graph(path, api.Settings(run=True, inputs=arrays))


def branch(name: str, *nodes: NodeProto) -> GraphProto:
    return helper.make_graph(nodes, name, [], [value(nodes[-1].output[0], (8, SIDE))])


def loop(count: str, *nodes: NodeProto, carried: Any, inside: str = "b", out: str = "a") -> NodeProto:
    """A loop over ``carried``, which the nodes make ``out`` of ``inside``."""
    given = [value("turn", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value(inside, None)]
    still = op("Identity", "go", "still")
    made = [value("still", (), TensorProto.BOOL), value(out, None)]
    body = helper.make_graph([still, *nodes], "body", given, made)
    return op("Loop", f"{count} true {carried}", "y", body=body)


def test_what_the_runtime_writes_out_counts_as_the_file_says(tmp_path: Path) -> None:
    product = helper.make_graph([op("MatMul", "e v", "p")], "b", [value("e", None), value("v", None)], [])
    product.output.extend([value("p", None)])
    nodes = [
        op("SplitToSequence", "x", "s", axis=0),
        op("SequenceMap", "s w1", "t", body=product),
        op("ConcatFromSequence", "t", "y", axis=0),
    ]
    ledger = counted(tmp_path, nodes, [])  # 8 rows; ONNX Runtime runs a Loop in the SequenceMap's place
    assert (ledger.totals.macs, ledger.totals.unknown_nodes) == (PRODUCT, 0)


@pytest.mark.parametrize("taken", [True, False])
def test_the_branch_that_ran_counts_though_the_other_is_larger(tmp_path: Path, taken: bool) -> None:
    then = branch("small", op("MatMul", "x w1", "m"))
    other = branch("large", op("MatMul", "x w1", "n"), op("MatMul", "n w2", "o"))
    ledger = counted(
        tmp_path, [op("If", "flag", "y", then_branch=then, else_branch=other)], [FLAG], flag=np.array(taken)
    )
    assert ledger.totals.macs == (1 if taken else 2) * PRODUCT
    assert not any(note.startswith("If ") for note in ledger.notes)
    assert any(
        note == "shapes, trip counts and branches are those of one run, on given.npz" for note in ledger.notes
    )


@pytest.mark.parametrize("turns", [0, 1, 7])
def test_a_loop_counts_as_often_as_it_ran(tmp_path: Path, turns: int) -> None:
    node = loop("count", op("MatMul", "b w1", "a"), carried="x")
    ledger = counted(tmp_path, [node], [COUNT], count=np.array(turns))
    assert ledger.totals.macs == turns * PRODUCT
    assert not any("one iteration" in note for note in ledger.notes)


def test_iterations_of_different_sizes_are_added_up(tmp_path: Path) -> None:
    # x (8, 16) is put behind what there is: products of 8, 16, 24 rows with a weight
    nodes = [op("MatMul", "b w1", "m"), op("Concat", "m x", "a", axis=0)]
    ledger = counted(
        tmp_path, [loop("count", *nodes, carried="x")], [COUNT], value("y", None), count=np.array(3)
    )
    assert ledger.totals.macs == (8 + 16 + 24) * SIDE * SIDE
    assert ledger.totals.unknown_nodes == 0


def test_a_branch_inside_a_loop_counts_as_often_as_it_was_taken(tmp_path: Path) -> None:
    # five turns, of which the first two take the product; the others pass the value on
    take = [op("Less", "turn two", "less")]
    two = numpy_helper.from_array(np.array(2), "two")
    then = branch("product", op("MatMul", "b w1", "m"))
    other = branch("pass", op("Identity", "b", "i"))
    nodes = [*take, op("If", "less", "a", then_branch=then, else_branch=other)]
    path = save(tmp_path, [loop("count", *nodes, carried="x")], [X, COUNT], [Y], [*drawn(WEIGHTS), TRUE, two])
    arrays = tmp_path / "given.npz"
    np.savez(arrays, count=np.array(5))
    ledger = api.profile_graph(path, api.Settings(run=True, inputs=arrays))
    assert ledger.totals.macs == 2 * PRODUCT
    repeats = {cost.op_type: cost.repeats for cost in ledger.nodes}
    assert (repeats["MatMul"], repeats["Less"], repeats["If"]) == (2, 5, 5)


def test_shapes_that_hang_on_the_data_are_those_of_the_run(tmp_path: Path) -> None:
    nodes = [op("Compress", "x keep", "c", axis=0), op("MatMul", "c w1", "y")]
    keep = value("keep", (8,), TensorProto.BOOL)
    ledger = counted(tmp_path, nodes, [keep], value("y", None), keep=np.arange(8) < 3)
    assert ledger.totals.macs == 3 * SIDE * SIDE
    assert ledger.totals.unknown_nodes == 0


def test_branches_that_cannot_be_told_apart_count_as_without_a_run(tmp_path: Path) -> None:
    bodies = {name: branch(name, op("MatMul", f"x {weight}", "m"))
              for name, weight in (("then_branch", "w1"), ("else_branch", "w2"))}  # fmt: skip
    ledger = counted(tmp_path, [op("If", "flag", "y", **bodies)], [FLAG], flag=np.array(True))
    assert ledger.totals.macs == PRODUCT
    assert any(note.startswith("If ") for note in ledger.notes)
