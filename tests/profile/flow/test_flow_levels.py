"""A file that names no modules has levels that its data flow shows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from onnx import NodeProto

import onnxlens as api
from onnxlens.errors import UsageError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow.levels import FOUND, with_levels
from onnxlens.profile.flow.pages import flow_pages, requested_flow
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.flow import FlowGraph, FlowRequest, Group
from tests.profile.flow.flows import box_count
from tests.profile.flow.stripped_nets import stripped
from tests.profile.models import far_weight, ledger_of, light_nets, op, save, save_net, value

SHAPE = (1, 4, 8, 8)


def net(folder: Path, nodes: Sequence[NodeProto], inputs: str = "x", out: str = "y") -> Path:
    """A file without module metadata; ``w`` is a convolution's weight."""
    ins, outs = ([value(name, SHAPE) for name in names.split()] for names in (inputs, out))
    between = [value(name, SHAPE) for node in nodes for name in node.output if name not in out.split()]
    return save(folder, nodes, ins, outs, [far_weight("w", 4, 4, 1, 1)], between=between)


def conv(source: str, target: str) -> NodeProto:
    return op("Conv", f"{source} w", target, kernel_shape=[1, 1])


def levels(path: Path) -> list[str]:
    """The path that each node of the file is given, in order."""
    return [node.module.path for node in with_levels(*ledger_of(path), most=6, share=3).nodes]


def flow_of(path: Path, depth: int | None, module: str = "") -> FlowGraph:
    return requested_flow(*ledger_of(path), FlowRequest(depth, module))


RESIDUAL = [
    conv("x", "a"), op("Relu", "a", "b"),  # a chain
    conv("b", "c"), op("Relu", "c", "d"), conv("d", "e"), op("Add", "b e", "f"), op("Relu", "f", "g"),
    conv("g", "y"),
]  # fmt: skip


def test_blocks_are_linked_by_one_tensor_and_a_group_begins_with_matrix_work(tmp_path: Path) -> None:
    assert levels(net(tmp_path, RESIDUAL)) == [
        "block1.node1", "block1.node2",
        "block2.group1.node1", "block2.group1.node2",
        "block2.group2.node1", "block2.group2.node2", "block2.group2.node3",  # the last is light
        "block3",
    ]  # fmt: skip


def test_the_levels_are_drawn_as_modules_would_be_titled_by_their_operators(tmp_path: Path) -> None:
    path = net(tmp_path, RESIDUAL)
    flow = flow_of(path, 1)
    assert [(node.path, node.title) for node in flow.nodes if node.order] == [
        ("block1", "Conv, Relu"), ("block2", "Conv, Relu, Add"), ("block3", "Conv"),
    ]  # fmt: skip
    block = "a block stands between two tensors that the flow narrows to"
    group = "a group begins with each convolution or matrix product"
    assert flow.notes == (f"{FOUND}; {block}",)
    # 4 channels at 64 positions, each a sum over 4 channels; the weight is counted where it is first used
    assert [node.macs for node in flow.nodes if node.order] == [1024, 2048, 1024]
    assert [node.params for node in flow.nodes if node.order] == [16, 0, 0]
    opened = flow_of(path, 3, "block2")
    assert [(node.title, node.parents) for node in opened.nodes if node.order][1:3] == [
        ("Relu", (("block2", ""), ("block2.group1", ""))),
        ("Conv", (("block2", ""), ("block2.group2", ""))),
    ]
    assert flow_of(path, 2, "block2").notes == (f"{FOUND}; {block}; {group}; a node is one of the file's",)
    assert flow_of(path, 0, "block2").notes == (f"{FOUND}; {block}",)
    assert (flow_of(path, 0).notes, flow_of(path, 0).nodes[1].title) == ((), "made")


def test_a_chain_is_one_block_which_is_left_out_and_light_branches_are_part_of_it(tmp_path: Path) -> None:
    nodes = [conv("x", "a"), op("Sigmoid", "a", "b"), op("Mul", "a b", "c"), conv("c", "y")]
    assert levels(net(tmp_path, nodes)) == ["group1.node1", "group1.node2", "group1.node3", "group2"]


def test_a_file_of_one_node_has_no_levels_and_no_note(tmp_path: Path) -> None:
    path = net(tmp_path, [conv("x", "y")])
    assert levels(path) == [""]
    assert (box_count(flow_of(path, 1)), flow_of(path, 1).notes) == (1, ())


def chain(length: int) -> list[NodeProto]:
    names = ["x", *(f"a{index}" for index in range(1, length)), "y"]
    return [conv(*pair) for pair in pairwise(names)]


def test_more_items_than_a_level_takes_are_in_parts_of_like_size(tmp_path: Path) -> None:
    assert levels(net(tmp_path, chain(6))) == [f"group{index}" for index in range(1, 7)]
    # 7 in threes are 3 parts, so that the first two have 3, the last 1
    assert levels(net(tmp_path, chain(7)))[2:5] == ["part1.group3", "part2.group1", "part2.group2"]
    # 22 in threes are 8 parts of 3; those are more than 6 again, so they are 3 parts of 3, 3 and 2
    paths = levels(net(tmp_path, chain(22)))
    assert (paths[0], paths[9], paths[21]) == (
        "part1.part1.group1", "part2.part1.group1", "part3.part2.group1",
    )  # fmt: skip


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("depth", [None, 1, 2, 3])
def test_a_chain_of_a_thousand_is_readable(tmp_path: Path, depth: int | None, fold: bool) -> None:
    path = net(tmp_path, chain(1000))
    pages = flow_pages(*ledger_of(path), FlowRequest(depth, fold=fold))
    assert max(box_count(page.flow) for page in pages) <= 40
    if not fold:
        assert box_count(pages[0].flow) == 25  # parts of 40
        assert len(pages) == (26 if depth in (2, 3) else 1)


@pytest.mark.parametrize("in_rows", [False, True])
def test_a_hundred_branches_are_folded_into_one(tmp_path: Path, in_rows: bool) -> None:
    pairs = [(conv("x", f"a{index}"), op("Relu", f"a{index}", f"b{index}")) for index in range(100)]
    rows = list(zip(*pairs, strict=True)) if in_rows else pairs
    nodes = [node for row in rows for node in row]
    path = net(tmp_path, [*nodes, op("Sum", " ".join(f"b{index}" for index in range(100)), "y")])
    [page] = flow_pages(*ledger_of(path), FlowRequest())
    assert [node.repeats for node in page.flow.nodes if node.order] == [
        1,
        98,
        1,
    ]  # weights count at the first
    assert "equal blocks are folded: 100 boxes are too many for a page" in page.flow.notes
    assert page.flow.notes[1].startswith(FOUND)


def test_branches_from_the_input_are_one_block_and_a_skip_connection_over_all_is_none(tmp_path: Path) -> None:
    first = [conv("x", "a"), op("Relu", "a", "b"), conv("b", "c")]
    second = [conv("x", "d"), op("Relu", "d", "e"), conv("e", "f")]
    towers = net(tmp_path, [*first, *second, op("Add", "c f", "y")])
    assert {path.partition(".")[0] for path in levels(towers)} == {f"group{index}" for index in range(1, 5)}
    residual = net(tmp_path, [*RESIDUAL[:-1], conv("g", "h"), op("Add", "x h", "y")])
    assert [path.partition(".")[0] for path in levels(residual)] == ["block1"] * 2 + ["block2"] * 5 + [
        "block3"
    ] * 2


def test_a_graph_output_on_the_way_joins_no_block(tmp_path: Path) -> None:
    """``b`` leaves the graph too, as the features of a backbone do."""
    path = net(tmp_path, RESIDUAL, out="b y")
    assert [name.partition(".")[0] for name in levels(path)] == ["block1"] * 2 + ["block2"] * 5 + ["block3"]


def test_a_tensor_read_all_over_the_graph_joins_no_block(tmp_path: Path) -> None:
    masked = []
    for index in range(4):
        source = f"d{index - 1}" if index else "x"
        masked += [conv(source, f"a{index}"), op("Add", f"a{index} mask", f"b{index}")]
        masked += [conv(f"b{index}", f"c{index}"), op("Add", f"{source} c{index}", f"d{index}")]
    path = net(tmp_path, masked, "x mask", "d3")
    assert [name.partition(".")[0] for name in levels(path)] == [
        f"block{index + 1}" for index in range(4) for _ in range(4)
    ]


def test_matrix_work_that_cannot_be_counted_begins_a_group_too(tmp_path: Path) -> None:
    nodes = [op("MatMul", "x v", "a"), op("Relu", "a", "b"), op("MatMul", "b v", "y")]
    tensors = [value(name, ("n", "n")) for name in ("x", "v", "a", "b", "y")]
    path = save(tmp_path, nodes, tensors[:2], tensors[4:], between=tensors[2:4])
    assert levels(path) == ["group1.node1", "group1.node2", "group2"]


def test_a_file_that_names_modules_keeps_them(tmp_path: Path) -> None:
    graph, ledger = ledger_of(save_net(tmp_path))
    assert with_levels(graph, ledger, 6, 3) is graph


def test_an_unknown_block_is_an_error_that_suggests_others(tmp_path: Path) -> None:
    path = net(tmp_path, RESIDUAL)
    with pytest.raises(UsageError, match=r"no module 'block9'; there is block3, block2, block1"):
        flow_of(path, 1, "block9")


def test_the_levels_can_be_grouped_and_shown_by_the_groups_name(tmp_path: Path) -> None:
    read = ledger_of(net(tmp_path, RESIDUAL))
    groups = (Group("Body", ("block1..block2",)),)
    flow = requested_flow(*read, FlowRequest(1, groups=groups))
    assert [(node.title, node.macs) for node in flow.nodes if node.order] == [("Body", 3072), ("Conv", 1024)]
    inside = requested_flow(*read, FlowRequest(1, "Body", groups=groups))
    assert [node.title for node in inside.nodes] == ["x", "Conv, Relu", "Conv, Relu, Add", "to block3"]


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("light_resnet50", 18),  # a stem, 3 + 4 + 6 + 3 residual blocks, a head
        ("light_shufflenet", 18),  # 4 + 8 + 4 units likewise
        ("light_inception_v1", 11),  # a stem, 2 + 5 + 2 inceptions, and a head with a light tail
        ("light_vgg19", 19),  # a chain: a group for each product
    ],
)
def test_published_networks_fall_into_their_blocks(name: str, blocks: int) -> None:
    graph = load_graph(light_nets() / f"{name}.onnx")
    flow = requested_flow(graph, build_ledger(graph), FlowRequest(1))
    assert box_count(flow) == blocks
    require_whole_pages(graph)


def require_whole_pages(graph: Graph) -> None:
    ledger = build_ledger(graph)
    for depth in (1, 2, 3):
        flow = requested_flow(graph, ledger, FlowRequest(depth))
        assert sum(node.macs for node in flow.nodes) == ledger.totals.macs
        assert all(box_count(page.flow) <= 120 for page in flow_pages(graph, ledger, FlowRequest(depth)))


def test_equal_convolutions_of_vgg_19_are_folded() -> None:
    graph = load_graph(light_nets() / "light_vgg19.onnx")
    folded = requested_flow(graph, build_ledger(graph), FlowRequest(1, fold=True))
    # of four in a stage the first is narrower and the last has the pooling; the last stage has one width
    equal = [(node.path.removeprefix("group"), node.repeats) for node in folded.nodes]
    assert [pair for pair in equal if pair[1] > 1] == [("6..7", 2), ("10..11", 2), ("13..15", 3)]


def modules_and_blocks(name: str, folder: Path) -> list[tuple[str, str]]:
    """Of what runs, the module that the exporter named and the block found in the file without names."""
    path = api.export_graph(name, folder, api.Settings(weights="none")).onnx_path
    plain = load_graph(stripped(path))
    assert plain.attribution == "weights"
    found = with_levels(plain, build_ledger(plain), most=120, share=40).nodes
    pairs = zip(load_graph(path).nodes, found, strict=True)
    return [
        (node.module.path, same.module.path.partition(".")[0])
        for node, same in pairs
        if not node.constant_folded
    ]


def test_the_blocks_of_a_stripped_resnet_are_its_modules(tmp_path: Path) -> None:
    blocks: dict[str, set[str]] = defaultdict(set)
    for path, block in modules_and_blocks("tests.profile.flow.stripped_nets:resnet", tmp_path):
        module = re.match(r"stem|blocks\.\d|head|$", path)
        assert module is not None, path
        blocks[module[0]].add(block)
    residual = {f"blocks.{index}": {f"block{index + 2}"} for index in range(8)}
    mean = {"block9"}  # of no module, light, so with what comes before it
    assert blocks == {"stem": {"block1"}, **residual, "": mean, "head": {"block10"}}


def test_a_stripped_transformer_has_a_block_for_each_half_of_a_layer(tmp_path: Path) -> None:
    halves: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path, block in modules_and_blocks("tests.profile.small_networks:text_encoder", tmp_path):
        if half := re.search(r"layers\.(\d)\.(layer_norm1|self_attn|layer_norm2|mlp)", path):
            halves[half[1], half[2]].add(block)
    assert halves == {
        (layer, part): {f"block{first + (part in ('layer_norm2', 'mlp'))}"}
        for layer, first in (("0", 2), ("1", 4))  # the first is the embeddings
        for part in ("layer_norm1", "self_attn", "layer_norm2", "mlp")
    }
