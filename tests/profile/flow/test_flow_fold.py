"""Equal blocks that follow each other are one box or cluster, which says how many it represents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from onnx import NodeProto

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.measured import with_measurements
from onnxlens.profile.flow.blocks import joint_path
from onnxlens.profile.flow.costs import merged_costs
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.flow import FlowGraph, FlowNode
from onnxlens.specs.measured import ModuleTiming
from tests.profile.flow.flows import flow_at, require_whole
from tests.profile.models import far_weight, ledger_of, op, save, value

SHAPE = (1, 4, 8, 8)
CONV_MACS = 4 * 64 * 4 * 9  # 4 channels at 64 positions, each a sum over 4 channels x 9 taps


def conv(source: str, target: str, at: str, pad: int = 1, weight_of: str = "") -> NodeProto:
    """A convolution that keeps the shape, dilated by its padding; its weight may be that of ``weight_of``."""
    inputs = f"{source} {weight_of or at}.w"
    return op("Conv", inputs, target, at, kernel_shape=[3, 3], pads=[pad] * 4, dilations=[pad] * 2)


def net(folder: Path, nodes: Sequence[NodeProto], out: str = "y") -> Path:
    """From ``x`` to ``out``; all tensors are of one shape, and all weights."""
    made = dict.fromkeys(name for node in nodes for name in node.output)
    weights = dict.fromkeys(name for node in nodes for name in node.input if name.endswith(".w"))
    between = [value(name, SHAPE) for name in made if name != out]
    tensors = [far_weight(name, 4, 4, 3, 3) for name in weights]
    return save(folder, nodes, [value("x", SHAPE)], [value(out, SHAPE)], tensors, between=between)


def folded(path: Path, depth: int = 1) -> FlowGraph:
    graph, ledger = ledger_of(path)
    flow = flow_at(graph, ledger, depth, fold=True)
    assert sum(node.macs * node.repeats for node in flow.nodes) == ledger.totals.macs
    return flow


def boxes(flow: FlowGraph) -> list[tuple[int, str, int]]:
    return [(node.order, node.path, node.repeats) for node in flow.nodes if node.order]


def arrows(flow: FlowGraph) -> list[str]:
    return [f"{edge.source} -{edge.tensor.name}> {edge.target}" for edge in flow.edges]


def box(flow: FlowGraph, path: str) -> FlowNode:
    return next(node for node in flow.nodes if node.path == path)


def test_a_chain_of_equal_layers_is_one_box_with_the_costs_of_one(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a0", "stem")]
    nodes += [conv(f"a{index}", f"a{index + 1}", f"layers.{index}") for index in range(3)]
    nodes += [op("Relu", "a3", "y", "head")]
    flow = folded(net(tmp_path, nodes))
    assert boxes(flow) == [(1, "stem", 1), (2, "layers.0..2", 3), (5, "head", 1)]  # numbered as unfolded
    assert arrows(flow) == ["input/x -x> n1", "n1 -a0> n2", "n2 -a3> n5", "n5 -y> output/y"]
    assert (box(flow, "layers.0..2").macs, box(flow, "layers.0..2").params) == (CONV_MACS, 4 * 4 * 9)
    assert flow.notes == ("xN stands for N equal blocks, one after the other",)
    assert flow.frames == {}


def test_opened_layers_are_one_cluster(tmp_path: Path) -> None:
    nodes = []
    for index, source in enumerate(("x", "a1", "a2")):
        nodes += [conv(source, f"b{index}", f"layers.{index}.conv")]
        nodes += [op("Add", f"{source} b{index}", f"a{index + 1}", f"layers.{index}")]
    flow = folded(net(tmp_path, nodes, "a3"), 2)
    assert boxes(flow) == [(1, "layers.0..2.conv", 3), (2, "layers.0..2", 3)]
    assert {node.parents for node in flow.nodes if node.order} == {(("layers.0..2", "Made"),)}
    assert flow.frames == {"layers.0..2": 3}
    assert arrows(flow) == ["input/x -x> n1", "input/x -x> n2", "n1 -b0> n2", "n2 -a3> output/a3"]


def test_a_block_of_several_boxes_is_a_cluster_and_begins_with_matrix_work(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "r0", "relu")]
    for index in range(3):
        nodes += [conv(f"r{index}", f"c{index}", f"convs.{index}")]
        nodes += [op("Relu", f"c{index}", f"r{index + 1}", "relu")]
    flow = folded(net(tmp_path, nodes, "r3"))
    assert boxes(flow) == [(1, "relu", 1), (2, "convs.0..2", 3), (3, "relu", 3)]
    assert box(flow, "convs.0..2").parents == (("convs.0..2 + relu", "repeated"),)
    assert flow.frames == {"convs.0..2 + relu": 3}


def test_numbers_that_rise_by_two_are_listed(tmp_path: Path) -> None:
    nodes = []
    for index in range(0, 6, 2):
        nodes += [conv(f"a{index}" if index else "x", f"a{index + 1}", f"features.{index}")]
        nodes += [op("Relu", f"a{index + 1}", f"a{index + 2}", f"features.{index + 1}")]
    flow = folded(net(tmp_path, nodes, "a6"))
    assert boxes(flow) == [(1, "features.0,2,4", 3), (2, "features.1,3,5", 3)]
    assert flow.frames == {"features.0,2,4 + features.1,3,5": 3}


def test_equal_parallel_blocks_are_folded_and_a_note_says_so(tmp_path: Path) -> None:
    nodes = [conv("x", f"h{index}", f"heads.{index}") for index in range(4)]
    flow = folded(net(tmp_path, [*nodes, op("Sum", "h0 h1 h2 h3", "y", "join")]))
    assert boxes(flow) == [(1, "heads.0..3", 4), (5, "join", 1)]
    assert arrows(flow)[1:] == [*(f"n1 -h{index}> n5" for index in range(4)), "n5 -y> output/y"]
    assert flow.notes[0].endswith("; side by side are heads.0..3")


def test_an_edge_out_of_the_middle_of_a_chain_is_kept(tmp_path: Path) -> None:
    nodes = [conv("x", "a", "down.0"), conv("a", "b", "down.1"), op("Add", "a b", "y", "up")]
    flow = folded(net(tmp_path, nodes))
    assert arrows(flow) == ["input/x -x> n1", "n1 -a> n3", "n1 -b> n3", "n3 -y> output/y"]


def test_folds_are_nested(tmp_path: Path) -> None:
    nodes = []
    for stage, source in enumerate(("x", "s1")):
        nodes += [op("Relu", source, f"t{stage}0", f"stages.{stage}.act")]
        nodes += [
            conv(f"t{stage}{index}", f"t{stage}{index + 1}", f"stages.{stage}.blocks.{index}")
            for index in range(3)
        ]
        nodes += [op("Neg", f"t{stage}3", f"s{stage + 1}", f"stages.{stage}")]
    flow = folded(net(tmp_path, nodes, "s2"), 2)
    assert boxes(flow) == [
        (1, "stages.0..1.act", 2), (2, "stages.0..1.blocks.0..2", 6), (5, "stages.0..1", 2),
    ]  # fmt: skip
    assert flow.frames == {"stages.0..1": 2}


def chain(**changes: NodeProto) -> list[NodeProto]:
    """Three convolutions one after the other, some of them replaced."""
    layers = {"first": conv("x", "a", "l.0"), "second": conv("a", "b", "l.1"), "third": conv("b", "y", "l.2")}
    return list({**layers, **changes}.values())


NEITHER = [conv("x", "a", "l.0"), conv("a", "b", "l.1"), conv("a", "c", "l.2"), op("Add", "b c", "y", "add")]
SHARED = [conv("x", "a", "l.0"), conv("a", "y", "l.1", weight_of="l.0")]


@pytest.mark.parametrize(
    ("nodes", "shown"),
    [
        (chain(), ["l.0..2"]),
        (chain(second=conv("a", "b", "l.1", pad=2)), ["l.0", "l.1", "l.2"]),  # as costly, and dilated
        (chain(second=conv("a", "b", "m.1")), ["l.0", "m.1", "l.2"]),
        (chain(third=conv("b", "y", "l.7")), ["l.0..1", "l.7"]),
        (NEITHER, ["l.0..1", "l.2", "add"]),  # l.2 reads l.0, as l.1 does: no chain, and not side by side
        (SHARED, ["l.0", "l.1"]),  # the second has no params of its own
    ],
    ids=["equal", "structure", "name", "number", "wiring", "shared"],
)
def test_only_blocks_that_are_equal_in_all_are_folded(
    nodes: Sequence[NodeProto], shown: Sequence[str], tmp_path: Path
) -> None:
    assert [path for _, path, _ in boxes(folded(net(tmp_path, nodes)))] == shown


def test_a_skip_connection_from_block_to_block_keeps_them_apart(tmp_path: Path) -> None:
    nodes = [
        conv("x", "c0", "l.0.conv"), op("Add", "c0 x", "a1", "l.0"),
        conv("a1", "c1", "l.1.conv"), op("Add", "c1 c0", "y", "l.1"),
    ]  # fmt: skip
    flow = folded(net(tmp_path, nodes), 2)
    assert [path for _, path, _ in boxes(flow)] == ["l.0.conv", "l.0", "l.1.conv", "l.1"]
    assert flow.notes == ("nothing is folded: no equal blocks follow each other",)


def test_measured_seconds_are_summed_and_of_activation_memory_the_peak_is_kept(tmp_path: Path) -> None:
    nodes = [conv("x", "a", "l.0"), conv("a", "b", "l.1"), op("Add", "x b", "y", "add")]
    graph, ledger = ledger_of(net(tmp_path, nodes))
    timed = with_measurements(ledger, [ModuleTiming("l.0", 0.25), ModuleTiming("l.1", 0.75)])
    costs = box(flow_at(graph, timed, 1, fold=True), "l.0..1").costs
    assert costs["latency_s"] == 0.5  # twice that is their sum
    assert costs["achieved_macs_per_s"] == CONV_MACS / 0.5
    assert costs["live_bytes"] == 3 * 4 * 64 * 4  # x, a and b while l.1 runs
    partly = with_measurements(ledger, [ModuleTiming("l.0", 0.25)])
    assert "latency_s" not in box(flow_at(graph, partly, 1, fold=True), "l.0..1").costs


def test_figures_that_differ_by_nature_are_joined_and_others_are_those_of_the_first() -> None:
    first = {"macs": 8, "bound_s": 1.0, "parity_error": 1e-6, "latency_s": 2.0, "achieved_macs_per_s": 4.0}
    second = {"macs": 8, "bound_s": 3.0, "parity_error": 1e-5, "live_bytes": 7}
    assert merged_costs([first, second]) == {"macs": 8, "bound_s": 2.0, "parity_error": 1e-5}
    tool = [{"error@k230": 0.5, "cycles@k230": 3}, {"error@k230": 0.1, "cycles@k230": 4}]
    assert merged_costs(tool) == {"error@k230": 0.5, "cycles@k230": 3.5}  # the largest, and half of the sum


@pytest.mark.parametrize(
    ("paths", "joint"),
    [
        (["a", "a"], "a"),
        (["l.0", "l.1"], "l.0..1"),
        (["l.9", "l.10", "l.11"], "l.9..11"),
        (["l.0.c2", "l.1.c2"], "l.0..1.c2"),
        (["c.3", "c.5"], "c.3,5"),
        (["c.0", "c.3", "c.6", "c.9"], "c.0,3..9"),
        (["conv3_2", "conv3_3"], "conv3_2..3"),
        (["l.0", "l.1", "l.3"], None),
        (["l.1", "l.0"], None),
        (["l.0.a1", "l.1.a2"], None),
        (["a", "b"], None),
        (["l.0", "m.1"], None),
        (["l.1", "l.1.2"], None),
    ],
)
def test_paths_are_joined_where_one_number_in_them_rises(paths: Sequence[str], joint: str | None) -> None:
    assert joint_path(paths) == joint


def test_the_twelve_layers_of_the_text_encoder_are_one(clip_text: Graph) -> None:
    ledger = build_ledger(clip_text)
    layers = "transformer.text_model.encoder.layers.0..11"
    closed = flow_at(clip_text, ledger, 4, fold=True)
    assert [path for _, path, times in boxes(closed) if times == 12] == [layers]
    opened = flow_at(clip_text, ledger, 6, fold=True)
    assert opened.frames == {layers: 12}
    assert len(boxes(opened)) == 3 + 12  # of 147: two in the embeddings and a norm; twelve in a layer


def test_convolutions_are_folded_where_their_widths_are_equal(hed: Graph) -> None:
    flow = flow_at(hed, build_ledger(hed), 2, fold=True)
    # 3-64-64, 64-128-128, 128-256-256-256, 256-512-512-512, 512-512-512-512
    expected: Mapping[str, int] = {
        "block3.convs.1..2 + relu": 2, "block4.convs.1..2 + relu": 2, "block5.convs.0..2 + relu": 3,
    }  # fmt: skip
    assert flow.frames == expected


@pytest.mark.parametrize("name", ["hed", "clip_text"])
def test_a_folded_flow_has_the_costs_of_the_whole_at_every_depth(
    name: str, request: pytest.FixtureRequest
) -> None:
    require_whole(request.getfixturevalue(name))


def test_many_equal_blocks_that_no_name_joins_are_soon_given_up(tmp_path: Path) -> None:
    """Every length is tried from every position, so a try must not scan the rest of the flow."""
    nodes = [op("Relu", f"a{index}", f"a{index + 1}", f"stage{index}.{index}") for index in range(500)]
    nodes[0].input[0] = "x"
    flow = folded(net(tmp_path, nodes, "a500"))
    assert len(boxes(flow)) == 500
    assert flow.notes == ("nothing is folded: no equal blocks follow each other",)
