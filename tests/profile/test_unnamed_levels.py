"""A file that names no modules has levels that its data flow shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from onnx import NodeProto

from onnxlens.errors import UsageError
from onnxlens.profile.flow_pages import flow_pages, requested_flow
from onnxlens.profile.graph import Graph
from onnxlens.profile.ledger import build_ledger
from onnxlens.profile.loading import load_graph
from onnxlens.profile.unnamed import NOTE, with_levels
from onnxlens.specs.flow import FlowGraph, FlowRequest
from tests.profile.flows import box_count
from tests.profile.models import far_weight, ledger_of, light_nets, op, save, save_net, value

SHAPE = (1, 4, 8, 8)


def net(folder: Path, nodes: Sequence[NodeProto], inputs: str = "x", out: str = "y") -> Path:
    """A file without module metadata; ``w`` is a convolution's weight."""
    names = inputs.split()
    between = [value(name, SHAPE) for node in nodes for name in node.output if name != out]
    weights = [far_weight("w", 4, 4, 1, 1)]
    return save(
        folder, nodes, [value(name, SHAPE) for name in names], [value(out, SHAPE)], weights, between=between
    )


def conv(source: str, target: str) -> NodeProto:
    return op("Conv", f"{source} w", target, kernel_shape=[1, 1])


def levels(path: Path) -> list[str]:
    """The path that each node of the file is given, in order."""
    return [node.owner.path for node in with_levels(*ledger_of(path)).nodes]


def flow_of(path: Path, depth: int | None, module: str = "") -> FlowGraph:
    return requested_flow(*ledger_of(path), FlowRequest(depth, module))


RESIDUAL = [
    conv("x", "a"), op("Relu", "a", "b"),  # a chain
    conv("b", "c"), op("Relu", "c", "d"), conv("d", "e"), op("Add", "b e", "f"), op("Relu", "f", "g"),
    conv("g", "y"),
]  # fmt: skip


def test_a_block_is_what_one_tensor_links_and_a_group_begins_with_matrix_work(tmp_path: Path) -> None:
    assert levels(net(tmp_path, RESIDUAL)) == [
        "block1.node1", "block1.node2",
        "block2.group1.node3", "block2.group1.node4",
        "block2.group2.node5", "block2.group2.node6", "block2.group2.node7",  # the last is light
        "block3",
    ]  # fmt: skip


def test_the_levels_are_drawn_as_modules_would_be_titled_by_their_operators(tmp_path: Path) -> None:
    path = net(tmp_path, RESIDUAL)
    flow = flow_of(path, 1)
    assert [(node.path, node.title) for node in flow.nodes if node.order] == [
        ("block1", "Conv, Relu"), ("block2", "Conv, Relu, Add"), ("block3", "Conv"),
    ]  # fmt: skip
    assert flow.notes == (NOTE,)
    # 4 channels at 64 positions, each a sum over 4 channels; the weight is counted where it is first used
    assert [node.macs for node in flow.nodes if node.order] == [1024, 2048, 1024]
    assert [node.params for node in flow.nodes if node.order] == [16, 0, 0]
    opened = flow_of(path, 3, "block2")
    assert [(node.title, node.parents) for node in opened.nodes if node.order][1:3] == [
        ("Relu", (("block2", ""), ("block2.group1", ""))),
        ("Conv", (("block2", ""), ("block2.group2", ""))),
    ]
    assert (flow_of(path, 0).notes, flow_of(path, 0).nodes[1].title) == ((), "made")


def test_a_chain_is_one_block_and_light_branches_are_part_of_it(tmp_path: Path) -> None:
    nodes = [conv("x", "a"), op("Sigmoid", "a", "b"), op("Mul", "a b", "c"), conv("c", "y")]
    assert levels(net(tmp_path, nodes)) == [
        "block1.group1.node1", "block1.group1.node2", "block1.group1.node3", "block1.group2",
    ]  # fmt: skip


def test_what_is_read_all_over_the_graph_binds_nothing_together(tmp_path: Path) -> None:
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
    assert levels(path) == ["block1.group1.node1", "block1.group1.node2", "block1.group2"]


def test_a_file_that_names_modules_keeps_them(tmp_path: Path) -> None:
    graph, ledger = ledger_of(save_net(tmp_path))
    assert with_levels(graph, ledger) is graph


def test_an_unknown_block_is_refused_with_those_near_it(tmp_path: Path) -> None:
    path = net(tmp_path, RESIDUAL)
    with pytest.raises(UsageError, match=r"no module 'block9'; there is block3, block2, block1"):
        flow_of(path, 1, "block9")


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("light_resnet50", 18),  # a stem, 3 + 4 + 6 + 3 residual blocks, a head
        ("light_shufflenet", 18),  # 4 + 8 + 4 units likewise
        ("light_inception_v1", 11),  # a stem, 2 + 5 + 2 inceptions, and a head with a light tail
        ("light_vgg19", 1),
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


def test_vgg_19_has_a_box_for_each_matrix_product() -> None:
    graph = load_graph(light_nets() / "light_vgg19.onnx")
    flow = requested_flow(graph, build_ledger(graph), FlowRequest(2))
    assert box_count(flow) == 19
    folded = requested_flow(graph, build_ledger(graph), FlowRequest(2, fold=True))
    # of four in a stage the first is narrower and the last has the pooling; the last stage has one width
    equal = [(node.path.removeprefix("block1.group"), node.repeats) for node in folded.nodes]
    assert [pair for pair in equal if pair[1] > 1] == [("6..7", 2), ("10..11", 2), ("13..15", 3)]
