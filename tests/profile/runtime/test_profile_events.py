"""ONNX Runtime's profile: the node of each event, in real profiles; times and memory, in made-up ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from onnxlens.errors import GraphError
from onnxlens.profile.runtime.profile_events import (
    arena_peak_bytes,
    node_runs,
    nodes_by_provider,
    read_events,
    self_times_us,
)
from onnxlens.profile.runtime.session import LEVELS
from tests.profile.models import op, save, value
from tests.profile.runtime.ort_profiles import Profiled, profiled

RUNS = 2


def nameless(*nodes: NodeProto) -> list[NodeProto]:
    for node in nodes:
        node.ClearField("name")
    return list(nodes)


def branches(folder: Path, level: str, *, named: bool) -> Profiled:
    """ReLU, then an If whose two branches compute the same, under the same names or none."""
    bodies = {}
    for branch in ("then_branch", "else_branch"):
        inner = [op("Sigmoid", "r", "s"), op("Tanh", "s", "t")]
        nodes = inner if named else nameless(*inner)
        bodies[branch] = helper.make_graph(nodes, branch, [], [value("t", (64, 64))])
    nodes = [op("Relu", "x", "r"), op("If", "flag", "y", **bodies)]
    inputs = [value("x", (64, 64)), value("flag", (), TensorProto.BOOL)]
    path = save(folder, nodes, inputs, [value("y", (64, 64))])
    fed = {"x": np.ones((64, 64), np.float32), "flag": np.array(True)}
    return profiled(path, level, fed, RUNS)


@pytest.mark.parametrize("level", LEVELS)
def test_unnamed_nodes_are_found_by_their_position(tmp_path: Path, level: str) -> None:
    # not the order in which they run: ONNX Runtime begins with what the last output needs
    nodes = nameless(op("Sigmoid", "x", "s"), op("Tanh", "x", "t"), op("Sigmoid", "t", "u"))
    outputs = [value(name, (4,)) for name in "su"]
    ran = profiled(save(tmp_path, nodes, [value("x", (4,))], outputs), level, runs=RUNS)
    met = [event["args"]["node_index"] for event in ran.events]
    assert len(met) == RUNS * 3 and met != sorted(met)
    assert dict(zip(met, ran.keys, strict=True)) == {"0": "Sigmoid:s", "1": "Tanh:t", "2": "Sigmoid:u"}
    assert [ran.provenances[key].sources for key in ("Sigmoid:s", "Tanh:t", "Sigmoid:u")] == [
        (0,),
        (1,),
        (2,),
    ]


def test_a_rewritten_graph_without_names_is_in_the_order_of_the_run(tmp_path: Path) -> None:
    nodes = nameless(
        op("Sigmoid", "x", "s"), op("Identity", "x", "i"), op("Tanh", "i", "t"), op("Sigmoid", "t", "u")
    )
    outputs = [value(name, (4,)) for name in "su"]
    ran = profiled(save(tmp_path, nodes, [value("x", (4,))], outputs), "all", runs=RUNS)
    assert list(ran.keys) == ["Tanh:t", "Sigmoid:u", "Sigmoid:s"] * RUNS
    assert ran.provenances["Tanh:t"].sources == (1, 2)


def test_named_nodes_inside_a_branch_have_their_own_events(tmp_path: Path) -> None:
    body = helper.make_graph([op("Tanh", "r", "t")], "body", [], [value("t", (4,))])
    other = helper.make_graph([op("Sigmoid", "r", "s")], "other", [], [value("s", (4,))])
    nodes = [op("Relu", "x", "r"), op("If", "flag", "y", then_branch=body, else_branch=other)]
    inputs = [value("x", (4,)), value("flag", (), TensorProto.BOOL)]
    path = save(tmp_path, nodes, inputs, [value("y", (4,))])
    ran = profiled(path, "all", {"x": np.ones(4, np.float32), "flag": np.array(False)})
    assert set(ran.keys) == {"node_r", "y/else_branch/node_s", "node_y"}
    assert ran.op_types(ran.provenances["y/else_branch/node_s"]) == ["Sigmoid"]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("level", LEVELS)
def test_ambiguous_nodes_count_for_the_node_around_them(tmp_path: Path, named: bool, level: str) -> None:
    ran = branches(tmp_path, level, named=named)
    assert len(ran.events) == RUNS * 4
    assert set(ran.keys) == {"node_r", "node_y"}


def test_times_inside_a_branch_are_taken_from_the_node_around(tmp_path: Path) -> None:
    ran = branches(tmp_path, "all", named=True)
    outer = [event["dur"] for event in ran.events if event["args"]["op_name"] in ("Relu", "If")]
    own = self_times_us(ran.events, ran.keys)
    assert sum(own.values()) == sum(outer)
    assert all(time >= 0 for time in own.values())


def test_an_event_of_another_kind_has_no_self_time() -> None:
    event = {"cat": "Session", "name": "model_run", "ts": 0, "dur": 9, "args": {}}
    assert self_times_us([event], [None]) == {}


Event = dict[str, Any]


def span(ts: int, dur: int) -> Event:
    return {"cat": "Session", "name": "model_run", "ts": ts, "dur": dur, "args": {}}


def kernel(name: str, ts: int, dur: int, op_type: str = "Conv", **args: str) -> Event:
    details = {"op_name": op_type, "provider": "CPUExecutionProvider", **args}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": details}


def run_at(start: int, *durations: int) -> list[Event]:
    """A run of the nodes a, b, ..., one after the other, each a microsecond after the last."""
    events, now = [], start + 5
    for name, duration in zip("abcdef", durations, strict=False):
        events.append(kernel(name, now, duration))
        now += duration + 1
    return [*events, span(start, now - start + 5)]  # ONNX Runtime writes the run after its nodes


def keys_of(events: Sequence[Event]) -> list[str | None]:
    """Every node is known by its name."""
    return [
        event["name"].removesuffix("_kernel_time") if event["cat"] == "Node" else None for event in events
    ]


def seconds(events: list[Event], warmup: int) -> dict[str, list[float]]:
    ran = node_runs(events, keys_of(events), warmup)
    return {node.node: [round(value * 1e6, 6) for value in node.seconds] for node in ran}


THREE_RUNS = [*run_at(100, 900, 800), *run_at(5000, 10, 20), *run_at(7000, 30, 40)]


def test_each_node_has_its_time_in_every_run_in_the_order_in_which_they_ran() -> None:
    assert list(seconds(THREE_RUNS, 0)) == ["a", "b"]
    assert seconds(THREE_RUNS, 0) == {"a": [900, 10, 30], "b": [800, 20, 40]}


@pytest.mark.parametrize(("warmup", "left"), [(1, [10, 30]), (2, [30])])
def test_warm_up_runs_are_left_out(warmup: int, left: list[int]) -> None:
    assert seconds(THREE_RUNS, warmup)["a"] == left


def test_warm_ups_alone_leave_nothing_to_count() -> None:
    with pytest.raises(GraphError, match="holds 3 runs, of which 3 are warm-ups; none is left"):
        seconds(THREE_RUNS, 3)


def test_a_node_that_does_not_run_in_every_run_took_no_time_in_the_others() -> None:
    events = [*run_at(100, 10, 20), *run_at(1000, 30)]
    assert seconds(events, 0) == {"a": [10, 30], "b": [20, 0]}


def test_the_time_of_nodes_inside_another_counts_once() -> None:
    # a loop of 100 us runs x twice, for 30 and 20 us, and in its second turn an If of 10 us with y of 4 us
    events = [
        kernel("loop", 110, 100, "Loop"),
        kernel("x", 112, 30),
        kernel("x", 150, 20),
        kernel("if", 175, 10, "If"),
        kernel("y", 176, 4),
        kernel("after", 210, 7),
        span(100, 130),
    ]
    got = seconds(events, 0)
    assert got == {"loop": [100 - 30 - 20 - 10], "x": [30 + 20], "if": [10 - 4], "y": [4], "after": [7]}
    assert sum(times[0] for times in got.values()) == 100 + 7


def test_an_unknown_node_inside_another_counts_for_that_one() -> None:
    # of 50 us, 20 are of something unknown, in which a known node runs for 5
    events = [
        kernel("if", 110, 50, "If"),
        kernel("what", 112, 20),
        kernel("y", 114, 5),
        span(100, 90),
    ]
    ran = node_runs(events, ["if", None, "y", None], 0)
    assert [(node.node, round(node.seconds[0] * 1e6)) for node in ran] == [("if", 45), ("y", 5)]


def test_rounding_puts_no_node_outside_its_parent_or_inside_its_successor() -> None:
    # times are rounded down: x seems to end after the If, and z starts when the If seems to end
    inside = [kernel("if", 10, 5, "If"), kernel("x", 11, 5), kernel("z", 15, 0)]
    assert self_times_us(inside, ["if", "x", None]) == {0: 0, 1: 5}
    assert self_times_us(inside, ["if", "x", "z"]) == {0: 0, 1: 5, 2: 0}
    # z takes less than a microsecond, and the convolution starts within the same one
    in_turn = [kernel("z", 10, 0), kernel("conv", 10, 7)]
    assert self_times_us(in_turn, [None, None]) == {0: 0, 1: 7}


def test_a_node_without_a_key_keeps_its_name_and_is_not_known() -> None:
    events = run_at(100, 10, 20)
    ran = node_runs(events, ["the first", None, None], 0)
    assert [(node.node, node.known, node.op_type) for node in ran] == [
        ("the first", True, "Conv"), ("b", False, "Conv"),
    ]  # fmt: skip


def test_other_events_are_not_nodes() -> None:
    fence = {**kernel("a", 104, 1), "name": "a_fence_before"}
    assert list(seconds([fence, *run_at(100, 10)], 0)) == ["a"]


def test_the_peak_of_the_arena_includes_warm_ups() -> None:
    events = [
        kernel("a", 0, 1, mem_in_use_peak="900", mem_arena_held="1000"),
        kernel("b", 2, 1, mem_in_use_peak="700", mem_arena_held="4000"),
        span(0, 9),
    ]
    assert arena_peak_bytes(events) == 900
    assert arena_peak_bytes(THREE_RUNS) is None


def test_nodes_are_counted_once_by_the_provider_that_ran_them() -> None:
    events = [*run_at(0, 1, 2), *run_at(100, 1, 2), kernel("z", 200, 1, provider="CUDAExecutionProvider")]
    assert nodes_by_provider(events) == {"CPUExecutionProvider": 2, "CUDAExecutionProvider": 1}


def test_a_profile_is_read_and_any_other_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(THREE_RUNS), encoding="utf-8")
    assert read_events(path) == THREE_RUNS
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(GraphError, match=r"profile\.json: not a profile of ONNX Runtime: a dict, expected"):
        read_events(path)
    path.write_text("[", encoding="utf-8")
    with pytest.raises(GraphError, match=r"profile\.json: ONNX Runtime's profile cannot be read"):
        read_events(path)
