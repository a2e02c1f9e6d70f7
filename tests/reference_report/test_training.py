"""The trained parameters of each training mode, on a small step written by hand and on the real one."""

from __future__ import annotations

import re

import pytest

from onnxlens import TrainingRequest, training_cost
from onnxlens.profile.flow.collapse import collapsed
from onnxlens.profile.flow.deepest import DeepestFlow
from onnxlens.profile.flow.group import grouped
from onnxlens.profile.flow.group_file import read_groups
from onnxlens.reference_model.catalog import groups_file
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec
from onnxlens.specs.training import MODES as PUBLISHED
from onnxlens.specs.training import TrainingMode
from reference_report.figures.figures import STEP_DEPTH, Sources, figure
from reference_report.figures.training import (
    MODES,
    Mode,
    Trained,
    links,
    trained,
    training_flow,
    used_links,
)
from reference_report.report import deepest_flow, weightless_ledger

MIDDLE, LOCKED, UNLOCKED = MODES
UNET = "model.diffusion_model"


def box(order: int, path: str, params: int) -> FlowNode:
    return FlowNode(
        f"n{order}", "module", path, path.rpartition(".")[2], (), order, {"params": params, "macs": 1}
    )


def arrow(source: str, target: str) -> FlowEdge:
    return FlowEdge(source, target, TensorSpec(f"{source}>{target}", "float32", (1,)))


def step() -> FlowGraph:
    """An encoder block, a middle block and a zero convolution of each, into a UNet of four parts."""
    nodes = (
        FlowNode("input/x", "input", "x", "x"),
        box(1, "control_model.input_blocks.1..3", 1),
        box(2, "control_model.zero_convs.1..3", 2),
        box(3, "control_model.middle_block", 4),
        box(4, "control_model.middle_block_out", 8),
        box(5, f"{UNET}.input_blocks.1..3", 16),
        box(6, f"{UNET}.output_blocks.0", 32),
        box(7, f"{UNET}.output_blocks.8..11", 64),
        box(8, f"{UNET}.out", 128),
        FlowNode("output/eps", "output", "eps", "eps"),
    )
    edges = (
        arrow("input/x", "n1"), arrow("n1", "n2"), arrow("n1", "n3"), arrow("n3", "n4"),
        arrow("input/x", "n5"), arrow("n4", "n6"), arrow("n5", "n6"), arrow("n5", "n7"), arrow("n2", "n7"),
        arrow("n6", "n7"), arrow("n7", "n8"), arrow("n8", "output/eps"),
    )  # fmt: skip
    return FlowGraph("step", "step.onnx", 3, nodes, edges)


def test_links_go_from_the_controlnet_to_the_unet() -> None:
    assert [(edge.source, edge.target) for edge in links(step())] == [("n4", "n6"), ("n2", "n7")]
    assert [edge.source for edge in used_links(step(), MIDDLE)] == ["n4"]
    assert used_links(step(), UNLOCKED) == used_links(step(), LOCKED) == links(step())


def test_params_that_are_trained() -> None:
    # with the middle control alone nothing reads the other zero convolution's 2
    assert trained(step(), MIDDLE) == Trained(listed=1 + 2 + 4 + 8, reached=1 + 4 + 8)
    assert trained(step(), LOCKED) == Trained(15, 15)
    assert trained(step(), UNLOCKED) == Trained(15 + 32 + 64 + 128, 15 + 32 + 64 + 128)


def test_boxes_say_what_happens_to_them_and_show_the_params_that_are_trained() -> None:
    def said(flow: FlowGraph) -> list[str]:
        return [f"{node.title.partition(': ')[2]} {node.params}" for node in flow.nodes if node.order]

    passes, without = "locked, passes gradients on 0", "locked, without gradients 0"
    assert said(training_flow(step(), MIDDLE)) == [
        "trained 1", "no gradient arrives 0", "trained 4", "trained 8", without, passes, passes, passes,
    ]  # fmt: skip
    assert said(training_flow(step(), LOCKED)) == [
        "trained 1", "trained 2", "trained 4", "trained 8", without, passes, passes, passes,
    ]  # fmt: skip
    assert said(training_flow(step(), UNLOCKED)) == [
        "trained 1", "trained 2", "trained 4", "trained 8", without,
        "trained 32", "trained 64", "trained 128",
    ]  # fmt: skip


def test_a_control_that_is_not_used_is_not_drawn_and_the_notes_say_how_many_are() -> None:
    flow = training_flow(step(), MIDDLE)
    assert ("n2", "n7") not in [(edge.source, edge.target) for edge in flow.edges]
    assert len(flow.edges) == len(step().edges) - 1
    assert flow.graph == "step, a training step: SD locked, middle control alone"
    assert flow.notes[0].startswith("trained: the ControlNet alone, 15 params")
    assert flow.notes[1].startswith("controls used: 1 of 2")
    assert flow.notes[2].startswith("to 2 of the trained params no gradient arrives")
    assert len(training_flow(step(), LOCKED).notes) == 2


def within(path: str, box: str) -> bool:
    """Whether a module is of a box: ``input_blocks.1..3`` is of three."""
    if span := re.fullmatch(r"(.*)\.(\d+)\.\.(\d+)", box):
        parent, first, last = span.groups()
        return any(within(path, f"{parent}.{index}") for index in range(int(first), int(last) + 1))
    return path == box or path.startswith(f"{box}.")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "published"), [*zip(MODES, PUBLISHED, strict=True)])
def test_a_box_shows_what_a_recorded_step_trains_in_it(mode: Mode, published: TrainingMode) -> None:
    """Box by box what ``onnxlens training`` counts, which knows nothing of the graph's data flow."""
    found = figure(mode.name, Sources(deepest_flow, weightless_ledger))
    (cost,) = training_cost("control-ldm", request=TrainingRequest((published,))).costs
    modules = {each.path: each for each in cost.modules}
    own = {
        path: each.reached_params
        - sum(modules[child].reached_params for child in modules if child.rpartition(".")[0] == path)
        for path, each in modules.items()
        if path
    }
    boxes = [node for node in found.nodes if node.kind == "module"]
    shown = {node.path: node.params for node in boxes}
    assert shown == {box: sum(n for path, n in own.items() if within(path, box)) for box in shown}
    assert sum(shown.values()) == cost.totals.reached_params


@pytest.mark.slow
def test_the_real_step_has_13_links_and_trains_what_is_published() -> None:
    found = grouped(DeepestFlow(deepest_flow("control-ldm")), read_groups(groups_file("control-ldm")))
    flow = collapsed(found, STEP_DEPTH)
    assert sum(node.macs for node in flow.nodes) == 283_291_975_680 + 803_273_441_280
    assert flow.notes == ()
    assert [len(used_links(flow, mode)) for mode in MODES] == [1, 13, 13]
    assert len(links(flow)) == 13
    # 340 tensors of the ControlNet; with the UNet's output_blocks and out 728
    assert [trained(flow, mode).listed for mode in MODES] == [361_279_120, 361_279_120, 872_087_124]
    # the zero convolutions: 1x1 with bias, 4 of 320 channels, 3 of 640, 5 of 1280
    zero = sum(
        times * (channels * channels + channels) for times, channels in ((4, 320), (3, 640), (5, 1280))
    )
    assert trained(flow, MIDDLE).reached == 361_279_120 - zero == 351_439_120
