"""Events of ONNX Runtime's profile find their nodes, with a name of their own or without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from onnxlens.profile.runtime.provenance import own_times_us
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
def test_nodes_without_a_name_are_found_by_their_place(tmp_path: Path, level: str) -> None:
    # not the order in which they run: ONNX Runtime begins with what the last output needs
    nodes = nameless(op("Sigmoid", "x", "s"), op("Tanh", "x", "t"), op("Sigmoid", "t", "u"))
    outputs = [value(name, (4,)) for name in "su"]
    ran = profiled(save(tmp_path, nodes, [value("x", (4,))], outputs), level, runs=RUNS)
    met = [event["args"]["node_index"] for event in ran.events]
    assert len(met) == RUNS * 3 and met != sorted(met)
    assert dict(zip(met, ran.keys, strict=True)) == {"0": "Sigmoid:s", "1": "Tanh:t", "2": "Sigmoid:u"}
    assert [ran.origins[key].sources for key in ("Sigmoid:s", "Tanh:t", "Sigmoid:u")] == [(0,), (1,), (2,)]


def test_a_rewritten_graph_without_names_is_in_the_order_of_the_run(tmp_path: Path) -> None:
    nodes = nameless(
        op("Sigmoid", "x", "s"), op("Identity", "x", "i"), op("Tanh", "i", "t"), op("Sigmoid", "t", "u")
    )
    outputs = [value(name, (4,)) for name in "su"]
    ran = profiled(save(tmp_path, nodes, [value("x", (4,))], outputs), "all", runs=RUNS)
    assert list(ran.keys) == ["Tanh:t", "Sigmoid:u", "Sigmoid:s"] * RUNS
    assert ran.origins["Tanh:t"].sources == (1, 2)


def test_named_nodes_inside_a_branch_have_their_own_events(tmp_path: Path) -> None:
    body = helper.make_graph([op("Tanh", "r", "t")], "body", [], [value("t", (4,))])
    other = helper.make_graph([op("Sigmoid", "r", "s")], "other", [], [value("s", (4,))])
    nodes = [op("Relu", "x", "r"), op("If", "flag", "y", then_branch=body, else_branch=other)]
    inputs = [value("x", (4,)), value("flag", (), TensorProto.BOOL)]
    path = save(tmp_path, nodes, inputs, [value("y", (4,))])
    ran = profiled(path, "all", {"x": np.ones(4, np.float32), "flag": np.array(False)})
    assert set(ran.keys) == {"node_r", "y/else_branch/node_s", "node_y"}
    assert ran.op_types(ran.origins["y/else_branch/node_s"]) == ["Sigmoid"]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("level", LEVELS)
def test_what_cannot_be_told_apart_goes_to_the_node_around(tmp_path: Path, named: bool, level: str) -> None:
    ran = branches(tmp_path, level, named=named)
    assert len(ran.events) == RUNS * 4
    assert set(ran.keys) == {"node_r", "node_y"}


def test_times_inside_a_branch_are_taken_from_the_node_around(tmp_path: Path) -> None:
    ran = branches(tmp_path, "all", named=True)
    outer = [event["dur"] for event in ran.events if event["args"]["op_name"] in ("Relu", "If")]
    own = own_times_us(ran.events)
    assert sum(own) == sum(outer)
    assert all(time >= 0 for time in own)


def test_what_is_no_node_takes_no_time() -> None:
    event = {"cat": "Session", "name": "model_run", "ts": 0, "dur": 9, "args": {}}
    assert own_times_us([event]) == (0,)
