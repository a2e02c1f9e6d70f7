"""What can run at the same time, on flows written by hand and on random ones."""

from __future__ import annotations

import random
from dataclasses import replace

from onnxlens.profile.flow.deepest import DeepestFlow
from onnxlens.profile.flow.parallelism import parallelism_of
from onnxlens.reports.drawing.title import description
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode, Independent, Parallelism
from tests.profile.flow.flows import arrow, box


def flow_of(boxes: list[FlowNode], edges: list[FlowEdge]) -> FlowGraph:
    return FlowGraph("net", "net.onnx", 2, tuple(boxes), tuple(edges))


def found_in(boxes: list[FlowNode], edges: list[FlowEdge]) -> Parallelism | None:
    return parallelism_of(DeepestFlow(flow_of(boxes, edges)))


def two_encoders() -> tuple[list[FlowNode], list[FlowEdge]]:
    """a.0 (40) -> a.1 (20) and b.0 (10) -> b.1 (30) -> b.2 (1), both into head (50)."""
    boxes = [
        box(1, "a.0", 40, ["a"]),
        box(2, "b.0", 10, ["b"]),
        box(3, "a.1", 20, ["a"]),
        box(4, "b.1", 30, ["b"]),
        box(5, "b.2", 1, ["b"]),
        box(6, "head", 50),
    ]
    pairs = [(1, 3), (2, 4), (4, 5), (3, 6), (5, 6)]
    return boxes, [arrow(f"n{source}", f"n{target}") for source, target in pairs]


def test_two_encoders_run_beside_each_other() -> None:
    found = found_in(*two_encoders())
    # a 60 then head 50; b's 41 fit beside a: nothing waits
    assert found == Parallelism(151, 110, 2, 110, (Independent("a", 60, ("b",), 41),))


def test_a_dependency_divides_what_is_independent() -> None:
    boxes, edges = two_encoders()
    found = found_in(boxes, [*edges, arrow("n1", "n4")])  # a.0 -> b.1
    # a.0 40, b.1 30, b.2 1, head 50; beside them b.0, a.1
    assert found is not None
    assert (found.longest_path, found.schedule) == (121, 121)
    # b.0 is independent of all of a; b as a whole of a.1 alone, which takes more of both
    assert found.independent == (Independent("b", 41, ("a.1",), 20),)


def test_more_work_than_engines_is_scheduled_by_what_depends_on_it() -> None:
    """Three branches of 5, 4, 3 and a tail of 6 behind the last: the tail's branch goes first."""
    boxes = [box(1, "x", 5), box(2, "y", 4), box(3, "z", 3), box(4, "tail", 6)]
    found = found_in(boxes, [arrow("n3", "n4")])
    # z 0-3 then tail 3-9 on one engine, x 0-5 then y 5-9 on the other
    assert found is not None
    assert (found.macs, found.longest_path, found.schedule) == (18, 9, 9)


def test_a_chain_says_nothing() -> None:
    boxes = [box(1, "x", 5), box(2, "y", 4)]
    assert found_in(boxes, [arrow("n1", "n2")]) is None
    assert "longest path" not in description(flow_of(boxes, []))


def test_unknown_work_says_nothing() -> None:
    boxes, edges = two_encoders()
    boxes[1] = replace(boxes[1], lower_bounds=frozenset({"macs"}))
    assert found_in(boxes, edges) is None


def test_words() -> None:
    boxes, edges = two_encoders()
    flow = replace(flow_of(boxes, edges), parallelism=found_in(boxes, edges))
    assert (
        "longest path 110 of 151 MACs, on 2 engines 110. independent: a (60 MACs) and b (41)"
        in description(flow)
    )


def test_siblings_are_named_together_and_small_ones_are_left_out() -> None:
    boxes = [
        box(1, "c", 100),
        *(box(index, f"m.{index}", macs) for index, macs in ((2, 30), (3, 40))),
        box(4, "s", 1),
    ]
    found = found_in(boxes, [arrow("n2", "n3")])
    assert found is not None
    assert found.independent == (Independent("c", 100, ("2 of m.*",), 70),)


def test_random_flows_keep_their_bounds() -> None:
    """No schedule is below the longest path or half of the work, and none takes longer than one engine."""
    draw = random.Random(0)
    for _ in range(200):
        boxes = [
            box(index, f"m{index % 5}.{index}", draw.randrange(9), [f"m{index % 5}"])
            for index in range(1, 15)
        ]
        edges = [
            arrow(f"n{source}", f"n{target}")
            for source in range(1, 15)
            for target in range(source + 1, 15)
            if draw.random() < 0.12
        ]
        found = found_in(boxes, edges)
        if found is None:
            continue
        assert max(found.longest_path, found.macs / 2) <= found.schedule <= found.macs
        # Graham's bound for list scheduling on two engines
        assert found.schedule <= found.macs / 2 + found.longest_path / 2
        reach = {index: {index} for index in range(1, 15)}
        for edge in sorted(edges, key=lambda edge: -int(edge.source[1:])):
            reach[int(edge.source[1:])] |= reach[int(edge.target[1:])]
        for pair in found.independent:
            names = {pair.module, *pair.beside}
            sides = [
                {
                    b.order
                    for b in boxes
                    if (b.path == name or b.path.startswith(name.removesuffix("*").rstrip(".") + "."))
                }
                for name in [
                    pair.module,
                    *(name for name in names if name != pair.module and not name.endswith("*")),
                ]
            ]
            for other in sides[1:]:
                assert not any(reach[one] & other for one in sides[0])
                assert not any(reach[one] & sides[0] for one in other)
