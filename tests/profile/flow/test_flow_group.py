from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.flow.alone import alone
from onnxlens.profile.flow.collapse import collapsed
from onnxlens.profile.flow.deepest import DeepestFlow, build_flow
from onnxlens.profile.flow.group import grouped
from onnxlens.profile.flow.pages import readable_depth
from onnxlens.specs.flow import FlowGraph, FlowNode, Group
from tests.profile.flow.flows import arrow, arrows, box, boxes, chain, grouped_at
from tests.profile.models import ledger_of, save_net


def test_without_a_group_it_is_the_flow_down_to_the_depth() -> None:
    flow = grouped_at(chain(), (), 1)
    # of block 0 the convolution's 1 and the norm's 2
    assert boxes(flow) == [
        "1 Blocks.0 3", "2 Blocks.1 4", "3 Blocks.2 8", "4 Add 0", "5 Blocks.3 16", "6 head 32"
    ]  # fmt: skip
    assert arrows(flow) == [
        "input/x n1", "n1 n2", "n2 n3", "n3 n4", "n1 n4", "n4 n5", "n5 n6", "n6 output/y",
    ]  # fmt: skip
    assert flow.depth == 1


def test_at_depth_0_the_model_is_one_box() -> None:
    flow = grouped_at(chain(), (Group("Pair", ("blocks.1..2",)),), 0)
    assert boxes(flow) == ["1 net 63"]
    assert arrows(flow) == ["input/x n1", "n1 output/y"]


def test_a_group_is_a_box_with_the_sums_of_its_modules() -> None:
    flow = grouped_at(chain(), (Group("Pair", ("blocks.1..2",)),), 1)
    assert boxes(flow) == ["1 Blocks.0 3", "2 Pair 12", "3 Add 0", "4 Blocks.3 16", "5 head 32"]
    pair = flow.nodes[2]
    assert (pair.path, pair.kind) == ("blocks.1..2", "module")
    # 4 + 8 MACs; two FLOPs each, over 4 bytes of each block; activation memory does not add up
    assert pair.costs == {
        "macs": 12, "params": 120, "flops": 24, "moved_bytes": 8, "arithmetic_intensity": 3.0,
    }  # fmt: skip


def test_one_level_deeper_the_group_is_a_cluster() -> None:
    flow = grouped_at(chain(), (Group("Pair", ("blocks.1..2",)),), 2)
    assert boxes(flow)[2:4] == ["3 Blocks.1 4", "4 Blocks.2 8"]
    assert [node.parents for node in flow.nodes[3:5]] == [(("blocks.1..2", "Pair"),)] * 2
    assert [node.path for node in flow.nodes[1:3]] == ["blocks.0.conv", "blocks.0.norm"]
    assert flow.nodes[1].parents == (("blocks.0", "Blocks.0"),)


def test_a_closed_group_is_a_box_at_every_depth() -> None:
    flow = grouped_at(chain(), (Group("Pair", ("blocks.1..2",), closed=True),), 9)
    assert boxes(flow)[:3] == ["1 blocks.0.conv 1", "2 blocks.0.norm 2", "3 Pair 12"]


def test_operators_that_only_the_group_reads_are_the_groups() -> None:
    flow = grouped_at(chain(), (Group("Last", ("blocks.3",)),), 1)
    assert boxes(flow) == ["1 Blocks.0 3", "2 Blocks.1 4", "3 Blocks.2 8", "4 Last 16", "5 head 32"]
    assert arrows(flow)[3:5] == ["n3 n4", "n1 n4"]


def test_operators_between_the_groups_modules_are_the_groups() -> None:
    flow = grouped_at(chain(), (Group("Tail", ("blocks.2..3", "head")),), 1)
    assert boxes(flow) == ["1 Blocks.0 3", "2 Blocks.1 4", "3 Tail 56"]
    assert flow.nodes[3].path == "blocks.2..3, head"
    assert flow.notes == ()


def test_groups_nest_and_each_is_a_level() -> None:
    inner = Group("Pair", ("blocks.1..2",))
    groups = (Group("All", ("blocks.0",), (inner,)),)
    assert boxes(grouped_at(chain(), groups, 1)) == ["1 All 15", "2 Add 0", "3 Blocks.3 16", "4 head 32"]
    flow = grouped_at(chain(), groups, 2)
    assert boxes(flow)[:3] == ["1 Blocks.0 3", "2 Pair 12", "3 Add 0"]
    assert flow.nodes[2].parents == (("blocks.0, 1..2", "All"),)
    opened = grouped_at(chain(), groups, 3)
    assert opened.nodes[3].parents == (("blocks.0, 1..2", "All"), ("blocks.1..2", "Pair"))


def test_a_group_of_one_module_is_that_module_renamed() -> None:
    groups = (Group("Start", ("blocks.0",)), Group("End", ("head",)))
    assert boxes(grouped_at(chain(), groups, 1))[:2] == ["1 Start 3", "2 Blocks.1 4"]
    flow = grouped_at(chain(), groups, 2)
    assert flow.nodes[1].parents == (("blocks.0", "Start"),)
    assert boxes(flow)[-1] == "7 End 32"
    assert flow.nodes[-2].parents == ()


def test_a_parent_that_is_not_a_module_can_be_named() -> None:
    assert boxes(grouped_at(chain(), (Group("Body", ("blocks",)),), 1)) == ["1 Body 31", "2 head 32"]


def interleaved() -> FlowGraph:
    """Encoder blocks that each pass a result to a projection, which runs before the next block does."""
    nodes = (
        box(1, "enc.0", 1), box(2, "out.0", 10), box(3, "enc.1", 2), box(4, "out.1", 20),
        FlowNode("output/a", "output", "a", "a"), FlowNode("output/b", "output", "b", "b"),
    )  # fmt: skip
    edges = (
        arrow("n1", "n2"), arrow("n1", "n3"), arrow("n3", "n4"),
        arrow("n2", "output/a"), arrow("n4", "output/b"),
    )  # fmt: skip
    return FlowGraph("net", "net.onnx", 1, nodes, edges)


def test_interleaved_groups_are_one_box_each_where_the_data_flows_one_way() -> None:
    flow = grouped_at(interleaved(), (Group("Encoder", ("enc.0..1",)), Group("Out", ("out.0..1",))), 1)
    assert boxes(flow) == ["1 Encoder 3", "2 Out 30"]
    assert arrows(flow) == ["n1 n2", "n1 n2", "n2 output/a", "n2 output/b"]
    assert flow.notes == ()


def test_a_group_that_others_would_close_into_a_cycle_runs_in_segments_and_a_note_says_so() -> None:
    groups = (Group("Ends", ("blocks.0", "blocks.2..3")),)  # block 1 takes from it and gives to it
    flow = grouped_at(chain(), groups, 1)
    # of the rest the sum of blocks 2 and 3 and what the model adds between them
    assert boxes(flow) == ["1 Ends 3", "2 Blocks.1 4", "3 Ends 24", "4 head 32"]
    assert flow.notes == ("Ends runs in 2 segments, a box each: others run between them",)
    assert arrows(flow) == ["input/x n1", "n1 n2", "n2 n3", "n1 n3", "n3 n4", "n4 output/y"]


def test_without_a_depth_it_is_as_deep_as_a_person_can_follow() -> None:
    assert readable_depth(grouped(DeepestFlow(chain()), (Group("Pair", ("blocks.1..2",)),))) == 3
    many = tuple(box(order, f"m.{order}", 1, ["m"]) for order in range(1, 42))
    flow = DeepestFlow(FlowGraph("net", "net.onnx", 2, many, ()))
    assert readable_depth(flow) == 1
    assert boxes(collapsed(flow, 1)) == ["1 M 41"]


@pytest.mark.parametrize(
    ("modules", "complaint"),
    [
        (
            ["blocks.9"],
            "group 'G': no module 'blocks.9' runs in this graph; the nearest are blocks.3, blocks.2, ",
        ),
        (["quite.else"], "no module 'quite.else' runs in this graph; 'onnxlens profile' lists them"),
        (["blocks.1..9"], "no module 'blocks.9' runs"),
        (["blocks.1..blocks.2.conv"], "the ends of 'blocks.1..blocks.2.conv' are not siblings"),
        (["blocks.1..head"], "the ends of 'blocks.1..head' are not siblings"),
        (["blocks.3..1"], "'blocks.1' runs before 'blocks.3'; reverse the range 'blocks.3..1'"),
        (["blocks.1..2", "blocks.2"], "module 'blocks.2' is in group 'G' and in 'G'; leave it in one"),
        (["blocks.1", "blocks.1.conv"], "module 'blocks.1.conv' is in group 'G' and in 'G'"),
        (["blocks.1.conv", "blocks.2"], "'blocks.1.conv' and 'blocks.2' have different parents"),
    ],
)
def test_a_group_of_invalid_modules_is_an_error_of_one_line(modules: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        grouped_at(chain(), (Group("G", tuple(modules)),), 1)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_module_in_two_groups_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"module 'blocks\.2' is in group 'A' and in 'B'"):
        grouped_at(chain(), (Group("A", ("blocks.1..2",)), Group("B", ("blocks.2..3",))), 1)


PAIR = (("blocks.1..2", "Pair"),)
GROUPS = (Group("Pair", ("blocks.1..2",)), Group("Start", ("blocks.0",)))


def test_a_group_alone_ends_at_its_neighbors() -> None:
    flow = collapsed(alone(grouped(DeepestFlow(chain()), GROUPS), "Pair"), 1)
    assert [node.title for node in flow.nodes] == ["from Start", "Blocks.1", "Blocks.2", "to Add"]
    assert arrows(flow) == ["input/from Start n1", "n1 n2", "n2 output/to Add"]
    assert (flow.module, flow.depth) == ("Pair", 1)
    assert [node.parents for node in flow.nodes] == [(), PAIR, PAIR, ()]


def test_a_module_alone_ends_at_the_graphs_ends_and_at_neighboring_groups() -> None:
    flow = collapsed(alone(grouped(DeepestFlow(chain()), GROUPS), "blocks.0"), 1)
    # the sum and block 1 read the same tensor
    assert [node.title for node in flow.nodes] == ["x", "blocks.0.conv", "blocks.0.norm", "to Pair", "to Add"]
    assert arrows(flow) == ["input/x n1", "n1 n2", "n2 output/to Pair", "n2 output/to Add"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blocks.7", r"net has no module 'blocks\.7'; there is blocks\.\d, blocks\.\d, blocks\.\d"),
        ("Pairs", r"net has no module 'Pairs'; there is Pair$"),
    ],
)
def test_a_module_or_group_that_does_not_exist_cannot_be_shown_alone(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        alone(grouped(DeepestFlow(chain()), GROUPS), name)


def test_next_to_a_group_a_module_has_its_row_of_the_ledger_and_the_group_sums_alone(tmp_path: Path) -> None:
    graph, ledger = ledger_of(save_net(tmp_path))
    groups = (Group("Start", ("stem",)), Group("Body", ("body.0",)))
    flow = collapsed(grouped(build_flow(graph, ledger), groups), 1)
    head = next(node for node in flow.nodes if node.path == "head")
    body = next(node for node in flow.nodes if node.title == "Body")
    row = next(module for module in ledger.modules if module.path == "head")
    assert (head.costs["live_bytes"], head.params) == (row.live_bytes, row.params)
    assert (body.macs, body.params) == (4 * 64 * 4, 16)  # 4 channels at 64 positions over 4
    assert "live_bytes" not in body.costs
