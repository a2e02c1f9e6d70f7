"""The annotators' constants in the exported nodes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.export.test_opsets import attributes, nodes_of


@pytest.mark.parametrize(
    ("graph", "convs", "relus"),
    [
        # features, first stage and five refinements of seven layers in each branch; a branch's last layer in
        # each stage has no ReLU, but for the body's last heatmap
        ("openpose-body", 12 + 2 * (5 + 5 * 7), 12 + 2 * (4 + 5 * 6) + 1),
        ("openpose-hand", 15 + 2 + 5 * 7, 15 + 1 + 5 * 6),
    ],
)
def test_openpose_is_convolutions_and_relus(graph: str, convs: int, relus: int, tmp_path: Path) -> None:
    nodes = nodes_of(graph, 18, tmp_path)
    assert Counter(node.op_type for node in nodes) == {
        "Conv": convs, "Relu": relus, "MaxPool": 3, "Concat": 5
    }  # fmt: skip


@pytest.mark.parametrize("graph", ["mlsd-large", "mlsd-tiny"])
def test_mlsd_keeps_its_epsilon_its_corners_and_its_dilation(graph: str, tmp_path: Path) -> None:
    nodes = nodes_of(graph, 18, tmp_path)
    epsilons = {round(value or 1e-5, 9) for value in attributes(nodes, "BatchNormalization", "epsilon")}
    assert epsilons == {1e-5}
    assert [*attributes(nodes, "Resize", "coordinate_transformation_mode")] == [b"align_corners"] * 3
    assert [*attributes(nodes, "Resize", "mode")] == [b"linear"] * 3
    assert [*attributes(nodes, "Conv", "dilations")].count([5, 5]) == 1
    operators = Counter(node.op_type for node in nodes)
    # the stem; a depthwise convolution and, but for the first, an expansion in each inverted residual
    assert operators["Clip"] == {"mlsd-large": 1 + 13 + 12, "mlsd-tiny": 1 + 10 + 9}[graph]
    assert operators["Pad"] == 4


def test_hed_bsds_brings_five_scores_to_the_image_s_size(tmp_path: Path) -> None:
    nodes = nodes_of("hed-bsds", 18, tmp_path)
    modes = [*attributes(nodes, "Resize", "coordinate_transformation_mode")]
    assert modes == [b"pytorch_half_pixel"] * 5 or modes == [b"half_pixel"] * 5
    assert Counter(node.op_type for node in nodes)["Sigmoid"] == 1


@pytest.mark.parametrize("opset", [18, 23])
def test_depth_keeps_both_of_its_epsilons_and_its_exact_gelu(opset: int, tmp_path: Path) -> None:
    nodes = nodes_of("midas-dpt-hybrid", opset, tmp_path)
    operators = Counter(node.op_type for node in nodes)
    group_norm = "GroupNormalization" if opset >= 21 else "InstanceNormalization"
    # the stem's, three in each of 16 bottlenecks, and one in each of 3 shortcuts
    epsilons = [*attributes(nodes, group_norm, "epsilon")]
    assert [value or 1e-5 for value in epsilons] == [pytest.approx(1e-5)] * (1 + 16 * 3 + 3)
    assert [*attributes(nodes, "LayerNormalization", "epsilon")] == [pytest.approx(1e-6)] * (12 * 2)
    # in 12 blocks and 2 readouts
    assert operators["Gelu" if opset >= 20 else "Erf"] == 12 + 2
    assert {value for value in attributes(nodes, "Gelu", "approximate")} <= {None, b"none"}
    # three fusions of two maps and one of one, the head; and the position embeddings, with other corners
    modes = Counter(attributes(nodes, "Resize", "coordinate_transformation_mode"))
    assert modes.pop(b"align_corners") == 4 + 1
    assert sum(modes.values()) == 1


@pytest.mark.parametrize("opset", [18, 23])
def test_segmentation_keeps_its_epsilons_its_exact_gelu_and_its_grids(opset: int, tmp_path: Path) -> None:
    nodes = nodes_of("uniformer-seg", opset, tmp_path)
    operators = Counter(node.op_type for node in nodes)
    # patches; six in a local block, one in a global one; 12 of the head and what classifies
    assert operators["Conv"] == 4 + 7 * 6 + 11 + 12 + 1
    assert [*attributes(nodes, "BatchNormalization", "epsilon")] == [pytest.approx(1e-5)] * (7 * 2 + 12)
    epsilons = Counter(
        round(value or 1e-5, 9) for value in attributes(nodes, "LayerNormalization", "epsilon")
    )
    assert epsilons == {1e-5: 4, 1e-6: 11 * 2 + 4}
    assert operators["Gelu" if opset >= 20 else "Erf"] == 7 + 11
    # four grids to the coarsest map, three maps to the next finer one, three to the finest
    modes = [*attributes(nodes, "Resize", "coordinate_transformation_mode")]
    assert len(modes) == 4 + 3 + 3
    assert set(modes) <= {b"pytorch_half_pixel", b"half_pixel"}
