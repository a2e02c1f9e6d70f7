"""Every graph of the reference model at every depth: whole when it is folded, and readable on its pages."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.reference_model import catalog
from onnxlens.reports.drawing.branches import branches_of
from tests.profile.flow.flows import flow_at, require_readable, require_whole

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("catalog")


def graph_of(name: str, folder: Path) -> Graph:
    path = folder / f"{name}.onnx"
    if not path.exists():
        api.export_graph(name, folder, api.Settings(weights="none"))
    return load_graph(path)


@pytest.mark.parametrize("name", catalog.names())
def test_a_graph_of_the_catalog_is_whole_when_it_is_folded_and_readable_at_every_depth(
    name: str, folder: Path
) -> None:
    graph = graph_of(name, folder)
    require_whole(graph)
    require_readable(graph)


@pytest.mark.parametrize(
    ("name", "depth", "clusters"),
    [
        # 64 x 64 channels of 320 twice on the way down, 8 x 8 twice on the way down and up, 64 x 64 up again
        ("sd-unet", 2, ["input_blocks.1..2", "input_blocks.10..11", "output_blocks.10..11"]),
        ("midas-dpt-hybrid", 8, [
            "pretrained.model.blocks.0..11",
            "pretrained.model.patch_embed.backbone.stages.0.blocks.1..2",  # 3, 4 and 9; the first is wider
            "pretrained.model.patch_embed.backbone.stages.1.blocks.1..3",
            "pretrained.model.patch_embed.backbone.stages.2.blocks.1..8",
        ]),
        # five stages of seven convolutions and a concatenation
        ("openpose-hand", 1, ["Concat + Mconv1_stage2..6 + Mconv2_stage2..6 + 5 more"]),
    ],
)  # fmt: skip
def test_what_repeats_in_a_network_is_folded(
    name: str, depth: int, clusters: list[str], folder: Path
) -> None:
    graph = graph_of(name, folder)
    flow = flow_at(graph, build_ledger(graph), depth, fold=True)
    for cluster in clusters:
        assert any(cluster in path for path in flow.frames), (cluster, dict(flow.frames))


def test_control_network_encoder_and_decoder_are_distinguished(folder: Path) -> None:
    graph = graph_of("control-ldm", folder)
    flow = flow_at(graph, build_ledger(graph), 3)
    branches = branches_of(flow)
    of_path = {node.path: branches[node.id] for node in flow.nodes if node.order}
    assert of_path["control_model.input_blocks.8.0"] == 1
    assert {of_path[f"model.diffusion_model.input_blocks.{index}"] for index in range(12)} == {2}
    assert {of_path[f"model.diffusion_model.output_blocks.{index}"] for index in range(12)} == {0}
    assert len({of_path[f"control_model.zero_convs.{index}.0"] for index in range(12)}) == 1
