"""Memory plans: levels, places and orders derived by hand, and what holds for every graph there is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from random import Random

import pytest
from onnx import NodeProto, TensorProto, helper

import onnxlens as api
from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.chip.arena import Buffer, alive_bytes, plan_arena
from onnxlens.profile.chip.memory_plan import IN_PLACE, PlanRequest, plan_memory
from onnxlens.profile.chip.order import reordered
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.memory import MemoryPlan, PlannedTensor
from tests.profile.models import integers, op, save, value, weight

UNIT = 10 * 4
PLAIN = PlanRequest()
IN_PLACE_TOO = PlanRequest(in_place=True)
BETTER = PlanRequest(better_order=True)


def graph_of(folder: Path, nodes: Sequence[NodeProto], inputs: str = "x", outputs: str = "y") -> Graph:
    ends = [[value(name, (10,)) for name in names.split()] for names in (inputs, outputs)]
    return load_graph(save(folder, nodes, *ends, [integers("shape", [2, 5])]))


def planned(graph: Graph, request: PlanRequest = PLAIN) -> MemoryPlan:
    return plan_memory(graph, (), request)


def units(plan: MemoryPlan) -> list[float]:
    return [level / UNIT for level in plan.levels_bytes]


def places(plan: MemoryPlan) -> dict[str, int]:
    return {each.live.tensor.name: each.buffer for each in plan.tensors}


def test_in_place_an_output_takes_the_memory_of_an_input_that_ends_there(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Neg", "a", "b"), op("Softmax", "b", "c"), op("Add", "c x", "y")]
    graph = graph_of(tmp_path, nodes)
    # x a | x a b | x b c | x c y; in place: a, b, c and y are one; x is the caller's, and stays as it is
    assert units(planned(graph)) == [2, 3, 3, 3]
    plan = planned(graph, IN_PLACE_TOO)
    assert units(plan) == [2, 2, 2, 2]
    assert [plan.arena_bytes, plan.alive_bytes] == [2 * UNIT, 2 * UNIT]
    found = places(plan)
    assert found["a"] == found["b"] == found["c"] == found["y"] != found["x"]


def test_in_place_what_is_read_again_stays_and_views_are_followed(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a"),
        op("Reshape", "a shape", "v"),
        op("Neg", "v", "b"),  # a is read later: b has memory of its own
        op("Flatten", "v", "w", axis=0),
        op("Abs", "w", "c"),  # the last reader of a, by a view of a view: c takes its memory
        op("Flatten", "c", "d", axis=0),
        op("Reshape", "b shape", "e"),
        op("Flatten", "e", "e2", axis=0),
        op("Concat", "d e2", "y", axis=0),
        ]  # fmt: skip
    path = save(tmp_path, nodes, [value("x", (10,))], [value("y", (2, 10))], [integers("shape", [2, 5])])
    found = places(planned(load_graph(path), IN_PLACE_TOO))
    assert found["c"] == found["a"] != found["b"]
    assert not {"v", "w", "d", "e"} & set(found)  # views have no place of their own
    assert found["y"] not in (found["a"], found["b"])  # a Concat is not elementwise


def test_in_place_needs_as_many_elements_and_bytes(tmp_path: Path) -> None:
    nodes = [
        op("ReduceSum", "x", "s", keepdims=1),
        op("Relu", "x", "a"),
        op("Mul", "s a", "b"),  # s is broadcast: only a can be overwritten
        op("Cast", "b", "h", to=TensorProto.FLOAT16),  # half as large
        op("Cast", "h", "i", to=TensorProto.INT16),  # the same size
        op("Cast", "i", "y", to=TensorProto.FLOAT),
    ]
    found = places(planned(graph_of(tmp_path, nodes), IN_PLACE_TOO))
    assert found["b"] == found["a"] != found["s"]
    assert found["h"] == found["i"]
    assert len({found[name] for name in "xsahy"}) == 5


def test_in_place_an_output_of_the_graph_is_never_overwritten(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "early"), op("Neg", "early", "y")]
    found = places(planned(graph_of(tmp_path, nodes, outputs="y early"), IN_PLACE_TOO))
    assert found["early"] != found["y"]


def test_only_operators_that_work_position_by_position_are_in_place() -> None:
    assert {("", "Relu"), ("", "Sigmoid"), ("", "Where"), ("", "Softmax"), ("", "Clip")} <= IN_PLACE
    others = ("Conv", "MatMul", "Transpose", "Concat", "SwiGLU", "CumSum", "ReduceSum", "Gather")
    assert not {("", name) for name in others} & IN_PLACE


def loop(folder: Path) -> Graph:
    """Three rounds over h: t = relu(h + a), of which every round's is gathered in ``all``."""
    body = helper.make_graph(
        [op("Identity", "go", "go_on"), op("Add", "h a", "s"), op("Neg", "s", "n"), op("Relu", "n", "next"),
         op("Abs", "next", "each")],
        "body",
        [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("h", (10,))],
        [value("go_on", (), TensorProto.BOOL), value("next", (10,)), value("each", (10,))],
        value_info=[value("s", (10,)), value("n", (10,))],
    )  # fmt: skip
    node = op("Loop", "trips go h0", "last all", body=body)
    node.input[1] = ""
    nodes = [op("Exp", "x", "a"), op("Sin", "x", "h0"), node, op("Neg", "all", "negated")]
    outputs = [value("last", (10,)), value("negated", (3, 10))]
    return load_graph(save(folder, nodes, [value("x", (10,))], outputs, [integers("trips", 3)]))


@pytest.mark.parametrize("request_", [PlanRequest(), IN_PLACE_TOO], ids=["plain", "in-place"])
def test_what_a_loop_reads_and_gathers_is_alive_in_every_round(tmp_path: Path, request_: PlanRequest) -> None:
    plan = planned(loop(tmp_path), request_)
    found = {each.live.tensor.name.split("/")[-1]: each for each in plan.tensors}
    names = [step.node.split("/")[-1] for step in plan.steps]
    loops, first = names.index("node_last"), names.index("node_go_on")
    # a is read by the first sum of the body, and again in the next round; all is filled round by round
    assert (found["a"].last_step, found["h0"].last_step) == (loops, loops)
    assert (found["all"].first_step, found["all"].last_step) == (first, loops + 1)
    # at the first sum: a, h0, all (3 units) and s
    assert plan.levels_bytes[names.index("node_s")] / UNIT == 6
    require_disjoint(plan)


def test_a_branch_adds_its_inner_peak_to_what_waits_outside(tmp_path: Path) -> None:
    big = helper.make_graph(
        [op("Relu", "a", "p"), op("Neg", "p", "q"), op("Add", "p q", "r")], "big", [],
        [value("r", (10,))], value_info=[value("p", (10,)), value("q", (10,))],
    )  # fmt: skip
    small = helper.make_graph([op("Abs", "a", "s")], "small", [], [value("s", (10,))])
    nodes = [op("Exp", "x", "a"), op("If", "cond", "b", then_branch=big, else_branch=small),
             op("Add", "b x", "y")]  # fmt: skip
    inputs = [value("cond", (), TensorProto.BOOL), value("x", (10,))]
    plan = api.memory_plan(save(tmp_path, nodes, inputs, [value("y", (10,))]))
    # x a | x a p | x p q | x p q r | x r | x r y; and the condition until the If has run
    condition = 1 / UNIT
    inside = {
        step.node.split("/")[-1]: level / UNIT
        for step, level in zip(plan.steps, plan.levels_bytes, strict=True)
    }
    assert inside == {
        "node_a": 2 + condition, "node_p": 3 + condition, "node_q": 3 + condition, "node_r": 4 + condition,
        "node_b": 2 + condition, "node_y": 3,
    }  # fmt: skip


def test_a_better_order_finishes_one_branch_before_it_starts_the_next(tmp_path: Path) -> None:
    """Each branch makes four units and leaves one; the file starts all of them first."""
    nodes = [op("Tile", "x repeats", f"wide{k}") for k in range(3)]
    nodes += [op("ReduceMax", f"wide{k} axes", f"thin{k}", keepdims=0) for k in range(3)]
    nodes += [op("Sum", "thin0 thin1 thin2", "y")]
    weights = [integers("repeats", [4, 1]), integers("axes", [0])]
    graph = load_graph(save(tmp_path, nodes, [value("x", (1, 10))], [value("y", (10,))], weights))
    assert units(planned(graph)) == [5, 9, 13, 13, 10, 7, 4]
    # x wide | x wide thin | x thin wide | x thin wide thin | x 2 thin wide | 2 thin wide thin | 3 thin y
    plan = planned(graph, BETTER)
    assert units(plan) == [5, 6, 6, 7, 7, 7, 4]
    assert (plan.peak.live_bytes, plan.file_peak_bytes, plan.order) == (7 * UNIT, 13 * UNIT, "greedy")


@pytest.mark.parametrize("in_place", [False, True])
def test_what_runs_inside_a_branch_moves_with_the_node_that_runs_it(tmp_path: Path, in_place: bool) -> None:
    """The file widens x before the If; a better order does so after it, as only a unit of that is used."""
    big = helper.make_graph(
        [op("Relu", "a", "p"), op("Neg", "p", "q"), op("Add", "p q", "r")], "big", [],
        [value("r", (10,))], value_info=[value("p", (10,)), value("q", (10,))],
    )  # fmt: skip
    small = helper.make_graph([op("Abs", "a", "s")], "small", [], [value("s", (10,))])
    nodes = [op("Exp", "x", "a"), op("Tile", "x four", "w"),
             op("If", "cond", "b", then_branch=big, else_branch=small),
             op("Slice", "w zero ten", "t"), op("Add", "b t", "y")]  # fmt: skip
    weights = [integers("four", [4]), integers("zero", [0]), integers("ten", [10])]
    inputs = [value("cond", (), TensorProto.BOOL), value("x", (10,))]
    path = save(tmp_path, nodes, inputs, [value("y", (10,))], weights)
    plan = api.memory_plan(path, in_place=in_place, order="better")
    names = [step.node.split("/")[-1] for step in plan.steps]
    inside = [names.index(f"node_{name}") for name in "pqrb"]
    assert inside == list(range(inside[0], inside[0] + 4))
    require_disjoint(plan)
    # in the file's order w waits (4 units) with p, q and r, where r may take p's place, and the condition
    assert plan.file_peak_bytes == (4 + (2 if in_place else 3)) * UNIT + 1
    assert plan.peak.live_bytes == (1 + 1 + 4) * UNIT  # x, b and w


def test_the_files_order_stays_where_no_search_lowers_the_peak(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, [op("Relu", "x", "a"), op("Neg", "a", "b"), op("Abs", "b", "y")])
    assert planned(graph, BETTER).order == "file"


def test_an_order_in_which_a_node_runs_before_its_producer_is_refused(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, [op("Relu", "x", "a"), op("Neg", "a", "y")])
    with pytest.raises(GraphError, match="node_y would run before what it reads, a"):
        reordered(graph, [1, 0], ())


def require_disjoint(plan: MemoryPlan) -> None:
    """No two buffers overlap in time and place; in a buffer each begins where the one before ends."""
    by_buffer: dict[int, list[PlannedTensor]] = {}
    for each in plan.tensors:
        assert each.offset_bytes % plan.alignment_bytes == 0
        assert each.offset_bytes + (each.live.size_bytes or 0) <= plan.arena_bytes
        by_buffer.setdefault(each.buffer, []).append(each)
    for own in by_buffer.values():
        assert len({(each.offset_bytes, each.live.size_bytes) for each in own}) == 1
        assert all(one.last_step == other.first_step for one, other in pairwise(own))
    spans = sorted(
        (own[0].first_step, own[-1].last_step, own[0].offset_bytes, own[0].live.size_bytes or 0)
        for own in by_buffer.values()
    )
    alive: list[tuple[int, int, int, int]] = []
    for span in spans:
        alive = [other for other in alive if other[1] >= span[0]]
        for _, _, offset, size in alive:
            assert offset + size <= span[2] or span[2] + span[3] <= offset, span
        alive.append(span)
    assert plan.arena_bytes >= plan.alive_bytes


def random_graph(folder: Path, seed: int) -> Graph:
    """Operators of all kinds over tensors of three sizes, read any number of times; some are outputs."""
    random = Random(seed)
    sizes = {"x": 8, "z": 32}
    nodes = []
    for number in range(40):
        name, source = f"t{number}", random.choice(list(sizes)[-8:])
        size = sizes[source]
        kind = random.choice(["Relu", "Add", "Concat", "Flatten", "Slice", "Identity", "Softmax"])
        if kind == "Add":
            other = random.choice([each for each in sizes if sizes[each] == size])
            nodes.append(op("Add", f"{source} {other}", name))
        elif kind == "Concat" and size < 1024:
            nodes.append(op("Concat", f"{source} {source}", name, axis=0))
            size *= 2
        elif kind == "Slice" and size > 2:
            nodes.append(op("Slice", f"{source} zero four", name))
            size = min(size, 4)
        elif kind == "Flatten":
            nodes += [op("Flatten", source, f"{name}f", axis=0), op("Reshape", f"{name}f flat", name)]
        else:
            nodes.append(op(kind if kind in ("Identity", "Softmax") else "Relu", source, name))
        sizes[name] = size
    outputs = random.sample(list(sizes)[2:], 3)
    weights = [integers("zero", [0]), integers("four", [4]), integers("flat", [-1])]
    ends = [[value(name, (sizes[name],)) for name in names] for names in (("x", "z"), outputs)]
    return load_graph(save(folder, nodes, *ends, weights))


@pytest.mark.parametrize("seed", range(12))
def test_no_two_tensors_of_a_random_graph_overlap_in_time_and_place(tmp_path: Path, seed: int) -> None:
    graph = random_graph(tmp_path, seed)
    file_peak = planned(graph).peak.live_bytes
    for request in (PlanRequest(), IN_PLACE_TOO, BETTER, PlanRequest(True, True, "float16", 64)):
        plan = planned(graph, request)
        require_disjoint(plan)
        assert plan.peak.live_bytes == max(plan.levels_bytes) <= plan.file_peak_bytes
        assert plan.peak.live_bytes <= file_peak
        assert plan == planned(graph, request)  # the search draws no dice


@pytest.mark.parametrize("seed", range(40))
def test_an_arena_of_random_buffers_is_no_smaller_than_what_is_alive(seed: int) -> None:
    random = Random(seed)
    starts = [random.randrange(30) for _ in range(60)]
    buffers = [Buffer(random.randrange(100), start, start + random.randrange(12)) for start in starts]
    align = random.choice([1, 4, 64])
    arena = plan_arena(buffers, align)
    rows = list(zip(buffers, arena.offsets, strict=True))
    for (one, at), (other, there) in combinations(rows, 2):
        if one.first <= other.last and other.first <= one.last and one.size_bytes and other.size_bytes:
            assert at + one.size_bytes <= there or there + other.size_bytes <= at
    assert all(offset % align == 0 for offset in arena.offsets)
    by_step = [sum(each.size_bytes for each in buffers if each.first <= t <= each.last) for t in range(60)]
    assert alive_bytes(buffers) == max(by_step) <= arena.size_bytes
    assert arena.size_bytes == max(at + each.size_bytes for each, at in rows)


def test_best_fit_takes_the_smallest_gap() -> None:
    # by size: 8 at 0, 6 at 8 (both in time with it), 5 over the first gap; the 4 fits where the 6 was
    buffers = [Buffer(8, 0, 1), Buffer(6, 1, 2), Buffer(5, 0, 0), Buffer(4, 2, 2)]
    arena = plan_arena(buffers)
    assert (list(arena.offsets), arena.size_bytes) == ([0, 8, 8, 0], 14)


def test_more_than_an_arena_can_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 4 EiB together"):
        plan_arena([Buffer(2**61, 0, 0), Buffer(2**61, 1, 1)])


def test_what_has_no_known_size_is_in_no_arena(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Neg", "a", "y")]
    plan = planned(load_graph(save(tmp_path, nodes, [value("x", ("n", 4))], [value("y", ("n", 4))])))
    assert (plan.unsized, plan.tensors, plan.arena_bytes, plan.levels_bytes) == (3, (), 0, (0, 0))


def test_a_graph_of_which_nothing_runs_holds_its_inputs(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Neg", "w", "y")], [value("x", (10,))], [value("y", (3,))], [weight("w", 3)])
    plan = planned(load_graph(path))
    assert (plan.steps, plan.peak.node, plan.peak.live_bytes, plan.arena_bytes) == ((), "", UNIT, UNIT)


ONNXSIM_BYTES = {
    "clip-text": 13_694_976,
    "control-ldm": 2_254_135_296,
    "controlnet": 2_200_395_776,
    "hed": 135_266_304,
    "hed-bsds": 134_217_728,
    "midas-dpt-hybrid": 167_772_160,
    "mlsd-large": 100_663_296,
    "mlsd-tiny": 50_528_640,
    "openpose-body": 134_217_728,
    "openpose-hand": 134_217_728,
    "sd-unet": 2_254_135_296,
    "uniformer-seg": 268_435_456,
    "vae-decoder": 805_322_880,
    "vae-encoder": 403_177_984,
}
"""Of onnxsim 0.8.1's plan, which reuses places too; benchmarks/memory_plans.py makes them again."""


def require_no_larger(graph: Graph, onnxsim_bytes: int) -> None:
    plain = planned(graph)
    for request in (IN_PLACE_TOO, BETTER, PlanRequest(in_place=True, better_order=True)):
        plan = planned(graph, request)
        require_disjoint(plan)
        assert plan.peak.live_bytes <= plain.peak.live_bytes
        assert not request.in_place or plan.arena_bytes <= onnxsim_bytes
    require_disjoint(plain)


def test_a_small_graph_of_the_catalog_takes_no_more_than_onnxsims_plan(hed: Graph) -> None:
    require_no_larger(hed, ONNXSIM_BYTES["hed"])
    # the first two convolutions' outputs of 64 channels at 512 x 512, which a Relu would overwrite
    assert planned(hed).arena_bytes == 2 * 64 * 512 * 512 * 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ONNXSIM_BYTES)
def test_a_graph_of_the_catalog_takes_no_more_than_onnxsims_plan(name: str) -> None:
    with api.OpenedTarget(name) as it:
        require_no_larger(it.graph, ONNXSIM_BYTES[name])


def test_the_catalog_is_whole() -> None:
    assert set(ONNXSIM_BYTES) == {each.name for each in api.list_graphs()}
