"""The boxes of a file depend on its graph, not on the order in which it lists the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from onnx import NodeProto

from onnxlens.profile.flow.alone import alone
from onnxlens.profile.flow.collapse import collapsed_with_parts
from onnxlens.profile.flow.deepest import DeepestFlow, build_flow
from onnxlens.profile.flow.group import grouped
from onnxlens.specs.flow import Group
from tests.profile.models import ledger_of, op, save, value

SHAPE = (4, 4)
Boxes = set[frozenset[str]]


def detector() -> list[NodeProto]:
    """A trunk of three, each read by two in a row of the head; written rank by rank, as an exporter does."""
    nodes, source = [], "x"
    for rank in range(5):
        if rank < 3:
            nodes.append(op("Relu", source, f"t{rank}", f"trunk.{rank}"))
            source = f"t{rank}"
        if 0 < rank < 4:
            nodes.append(op("Tanh", f"t{rank - 1}", f"a{rank}", "head.a"))
        if rank > 1:
            nodes.append(op("Abs", f"a{rank - 1}", f"b{rank}", "head.b"))
    return [*nodes, op("Concat", "b2 b3 b4", "y", "head", axis=0)]


def flow_of(folder: Path, nodes: Sequence[NodeProto]) -> DeepestFlow:
    between = [value(name, SHAPE) for node in nodes for name in node.output if name != "y"]
    return build_flow(
        *ledger_of(save(folder, nodes, [value("x", SHAPE)], [value("y", (12, 4))], between=between))
    )


def boxes_of(deepest: DeepestFlow, depth: int) -> Boxes:
    """The names of what each box runs; every node is in one."""
    _, parts = collapsed_with_parts(deepest, depth)
    boxes = [[node.view.name for node in deepest.run_by(held)] for held in parts.values()]
    assert len(sum(boxes, [])) == len(set(sum(boxes, []))) == len(deepest.run_by(deepest.flow.nodes))
    return {frozenset(box) for box in boxes}


def paths(deepest: DeepestFlow, depth: int) -> list[str]:
    return [box.path for box in collapsed_with_parts(deepest, depth)[0].nodes if box.order]


def shuffled(nodes: Sequence[NodeProto], random: Random) -> list[NodeProto]:
    """The nodes in another order in which each reads what is already there."""
    left, known, order = list(nodes), {"x"}, []
    while left:
        ready = [node for node in left if known.issuperset(node.input)]
        node = random.choice(ready)
        left.remove(node)
        known.update(node.output)
        order.append(node)
    return order


def test_the_branches_of_a_head_are_a_box_each(tmp_path: Path) -> None:
    deepest = flow_of(tmp_path, detector())
    assert paths(deepest, 1) == ["trunk.0", "trunk.1", "trunk.2", "head"]
    assert paths(deepest, 2) == ["trunk.0", "trunk.1", "trunk.2", "head.a", "head.b", "head"]
    assert paths(alone(deepest, "head"), 1) == ["head.a", "head.b", "head"]


@pytest.mark.parametrize("seed", range(8))
def test_another_order_of_the_nodes_makes_the_same_boxes(tmp_path: Path, seed: int) -> None:
    first, other = flow_of(tmp_path, detector()), flow_of(tmp_path, shuffled(detector(), Random(seed)))
    groups = [Group("Ends", ("trunk.0", "trunk.2"))]  # with the middle between them: two boxes
    for depth in range(4):
        assert boxes_of(first, depth) == boxes_of(other, depth)
        assert boxes_of(grouped(first, groups), depth) == boxes_of(grouped(other, groups), depth)
        assert boxes_of(alone(first, "head"), depth) == boxes_of(alone(other, "head"), depth)
    assert paths(grouped(other, groups), 1).count("trunk.0, 2") == 2
