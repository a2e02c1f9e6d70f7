"""Hand-made nets whose rewriting by ONNX Runtime is known: sources, kinds and modules, node by node."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import NodeProto

from onnxlens.profile.runtime.provenance import Provenance
from tests.profile.graph.test_optimized_files import drawn
from tests.profile.models import NET_WEIGHTS, net_nodes, op, save, value
from tests.profile.runtime.ort_profiles import profiled

CHANNELS = 16
"""They fill the blocks of every CPU: of other counts ONNX Runtime leaves a convolution as it is."""

SAME = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


def provenances(
    folder: Path, nodes: list[NodeProto], level: str, weights: dict[str, tuple[int, ...]], side: int = 8
) -> dict[str, Provenance]:
    """Of a net from x to y, both images of 16 channels or less, by operator: each is in it once."""
    shape = (1, next(iter(weights.values()))[1], side, side)
    path = save(folder, nodes, [value("x", shape)], [value("y", None)], drawn(weights))
    return {it.op_type: it for it in profiled(path, level).provenances.values()}


CONVOLUTIONS = [
    op("Conv", "x w1", "a", "stem", **SAME),
    op("Relu", "a", "b", "relu"),
    op("Conv", "b w2", "c", "body.0.conv", **SAME),
    op("Add", "c b", "d", "body.0"),
    op("Relu", "d", "e", "relu"),
    op("GlobalAveragePool", "e", "y", ""),
]
CONVOLUTION_WEIGHTS = {"w1": (CHANNELS, CHANNELS, 3, 3), "w2": (CHANNELS, CHANNELS, 3, 3)}


def test_a_convolution_is_fused_with_its_relu_and_a_residual_sum(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        CONVOLUTIONS,
        [value("x", (1, CHANNELS, 8, 8))],
        [value("y", (1, CHANNELS, 1, 1))],
        drawn(CONVOLUTION_WEIGHTS),
    )
    ran = profiled(path, "all")
    convs = [(it.sources, it.kind, it.module_path) for it in ran.of("Conv")]
    assert convs == [((0, 1), "fused", "stem"), ((2, 3, 4), "fused", "body.0.conv")]
    # the input is in blocks of channels, the output is not
    layouts = {it.op_type: it.module_path for it in ran.provenances.values() if it.kind == "layout"}
    assert layouts == {"ReorderInput": "stem", "ReorderOutput": ""}
    assert all(not it.sources for it in ran.provenances.values() if it.kind == "layout")


def test_the_bias_and_the_reshapes_around_it_belong_to_the_linear_layer(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a", "relu"),
        op("MatMul", "a w", "m", "head"),
        op("Add", "m b", "y", "head"),
    ]
    found = provenances(tmp_path, nodes, "basic", {"w": (8, 8), "b": (8,)})
    assert {name: (it.kind, it.sources, it.module_path) for name, it in found.items()} == {
        "Relu": ("node", (0,), "relu"),
        "Reshape": ("inserted", (), "head"),
        "Gemm": ("fused", (1, 2), "head"),
    }


def test_the_bias_of_a_layer_is_its_own_where_nothing_is_between_it_and_the_next(tmp_path: Path) -> None:
    layers = ("stem", "head")
    nodes = [
        step
        for index, layer in enumerate(layers)
        for step in (
            op("MatMul", f"{'xh'[index]} w{index}", f"m{index}", layer),
            op("Add", f"m{index} b{index}", "hy"[index], layer),
        )
    ]
    weights = {"w0": (8, 8), "b0": (8,), "w1": (8, 8), "b1": (8,)}
    path = save(tmp_path, nodes, [value("x", (2, 3, 8))], [value("y", (2, 3, 8))], drawn(weights))
    # ONNX Runtime makes one of the Reshapes between the two, so the value between has no name of the file's
    gemms = [(it.sources, it.module_path) for it in profiled(path, "all").of("Gemm")]
    assert gemms == [((0, 1), "stem"), ((2, 3), "head")]


@pytest.mark.parametrize("residual", ["body.0", "stem"])
def test_a_fused_node_belongs_to_the_module_that_does_most_of_its_work(tmp_path: Path, residual: str) -> None:
    nodes = [
        op("Add", "x x2", "s", residual),
        op("LayerNormalization", "s gamma beta", "y", "relu", axis=-1),
    ]
    inputs = [value(name, (2, 3, 8)) for name in ("x", "x2")]
    weights = drawn({"gamma": (8,), "beta": (8,)})
    path = save(tmp_path, nodes, inputs, [value("y", (2, 3, 8))], weights)
    (only,) = profiled(path, "all").provenances.values()
    # neither has MACs; the traffic of the sum is 3 x 48 elements, of the norm 2 x 48 + 2 x 8
    assert (only.op_type, only.kind, only.sources, only.module_path) == (
        "SkipLayerNormalization",
        "fused",
        (0, 1),
        residual,
    )


def test_a_file_that_does_not_name_modules_is_one_module(tmp_path: Path) -> None:
    nodes = net_nodes()
    for node in nodes:
        node.ClearField("metadata_props")
        for index, name in enumerate(node.input):
            node.input[index] = name.replace(".", "")
    weights = {name.replace(".", ""): shape for name, shape in NET_WEIGHTS.items()}
    path = save(tmp_path, nodes, [value("x", (1, 3, 8, 8))], [value("y", (1, 2))], drawn(weights))
    ran = profiled(path, "all")
    assert {it.module_path for it in ran.provenances.values()} == {""}
    assert ran.misattributed_macs == ran.unmatched_sources == []
