"""Graphs in Model Explorer itself: its page loads them, nests them by module, and colors them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from onnx import TensorProto

import onnxlens as api
from onnxlens.reports.model_explorer.node_data import HEAT
from tests.profile.count.test_repeats import ELSE, THEN
from tests.profile.models import op, save, save_net, value, weight

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("model_explorer", "chromium")]

BLOCK = "body.0 (Block)"
STEM_MACS = 8 * 8 * 4 * 3 * 9
"""8 x 8 positions of 4 channels, each over 3 channels x 9 taps."""
BLOCK_MACS = 8 * 8 * 4 * 4
MACS = STEM_MACS + BLOCK_MACS + 2 * 4
MAP = 4 * 8 * 8 * 4
"""Bytes of 4 channels of 8 x 8 floats."""
TRAFFIC = (
    (3 * 8 * 8 + 4 * 3 * 9 + 4) * 4 + MAP  # stem: image, weight, bias; its output
    + 2 * 2 * MAP  # ReLU, twice
    + MAP + 4 * 4 * 4 + MAP  # convolution of the block
    + 3 * MAP  # add
    + MAP + 4 * 4  # pool; the flattening is a view
    + (4 + 2 * 4 + 2 + 2) * 4  # head
)  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    folder = tmp_path_factory.mktemp("net")
    return api.explore_graph(save_net(folder), folder / "net.json")


@pytest.fixture(scope="module")
def app(written: Sequence[Path], chromium: str) -> Iterator[object]:
    from tests.reports.model_explorer.app import running

    graph, macs, moved = written
    with running(graph, [moved, macs], chromium) as app:
        yield app


def test_the_page_draws_modules_as_levels_and_their_costs(app, written: Sequence[Path]) -> None:
    graph, macs, moved = written
    assert app.address == app.address_of(graph, [moved, macs])
    with app.explored(app.address) as explorer:
        # a level with one node is drawn as that node; the ReLU runs twice, so it is a level
        assert sorted(explorer.drawn().values()) == sorted(
            ["x", "Conv", "relu (ReLU)", BLOCK, "GlobalAveragePool", "Flatten", "Gemm", "y"]
        )
        assert f"macs 7.94 k ({MACS:,})" in explorer.text()
        assert f"Sum {TRAFFIC} {MACS}" in explorer.text()  # of the node data
        colors = explorer.colors()
        assert (colors["node_a"], colors["node_c"], colors["node_b"]) == (HEAT[4], HEAT[1], "transparent")
        explorer.open("node_c")
        assert {BLOCK, "Add"} < set(explorer.drawn().values())
        text = explorer.text()
        assert "module body.0.conv (Conv2d)" in text
        assert "input 1 W weight body.0.conv.weight float32(4, 4, 1, 1)" in text
        assert "shape 1 x 4 x 8 x 8" in text
        explorer.open(f"{BLOCK}___group___")
        assert f"class Block macs 1.02 k ({BLOCK_MACS:,}) macs_percent 12.9 %" in explorer.text()
        assert explorer.problems == []


@pytest.mark.slow
def test_the_page_opens_the_branches_of_an_if_and_leaves_constants_out(app, tmp_path: Path) -> None:
    nodes = [
        op("If", "flag", "joined", then_branch=THEN, else_branch=ELSE),
        op("Constant", "", "shape", value_ints=[12]),
        op("Reshape", "joined shape", "y"),
    ]
    inputs = [value("x", (3, 4)), value("flag", (), TensorProto.BOOL)]
    path = save(tmp_path, nodes, inputs, [value("y", (12,))], [weight("w", 4, 4)])
    graph, macs, _ = api.explore_graph(path, tmp_path / "if.json")
    with app.explored(app.address_of(graph, [macs])) as explorer:
        assert explorer.graphs() == ["made", "joined/then_branch", "joined/else_branch"]
        assert sorted(explorer.drawn().values()) == ["If", "Reshape", "flag", "x", "y"]
        # the If as a whole costs what its larger branch does: (3, 4) times (4, 4)
        assert f"Sum {3 * 4 * 4}" in explorer.text()
        explorer.choose("joined/then_branch")
        assert sorted(explorer.drawn().values()) == ["MatMul", "Relu", "joined/then_branch/out", "x"]
        assert explorer.problems == []


@pytest.mark.slow
def test_the_page_draws_a_whole_unet_and_adds_it_up(app, tmp_path: Path) -> None:
    graph, macs, _ = api.explore_graph("sd-unet", tmp_path / "sd-unet.json")
    with app.explored(app.address_of(graph, [macs])) as explorer:
        assert "Sum 803273441280" in explorer.text()
        explorer.open("input_blocks.1 (EncoderBlock)___group___")
        assert "macs 53.83 G (53,831,761,920)" in explorer.text()
        assert explorer.problems == []
