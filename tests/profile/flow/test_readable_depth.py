"""The depth that a picture is drawn at: the deepest that a person can still follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow import pages as flow_pages
from onnxlens.profile.flow.building import build_flow
from onnxlens.profile.flow.pages import readable_depth
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from tests.profile.models import op, save, save_net, value

# the net of models.py: stem, relu, block, relu, operators, head at depth 1; its block is two boxes at depth 2
AT_DEPTH_1 = 6
AT_DEPTH_2 = 7


@pytest.mark.parametrize(
    ("limit", "depth"), [(100, 2), (AT_DEPTH_2, 2), (AT_DEPTH_2 - 1, 1), (AT_DEPTH_1, 1), (0, 1)]
)
def test_the_deepest_depth_within_the_limit_is_taken(
    limit: int, depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_pages, "READABLE_BOXES", limit)
    assert readable_depth(load_graph(save_net(tmp_path))) == depth


def test_a_graph_without_modules_is_drawn_at_depth_1(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "y")], [value("x", (2,))], [value("y", (2,))])
    assert readable_depth(load_graph(path)) == 1


@pytest.mark.parametrize("name", ["hed", "clip_text"])
def test_the_picture_at_that_depth_is_within_the_limit_and_one_deeper_is_not(
    name: str, request: pytest.FixtureRequest
) -> None:
    graph: Graph = request.getfixturevalue(name)
    ledger = build_ledger(graph)
    deepest = max(module.depth for module in ledger.modules)

    def boxes(depth: int) -> int:
        return sum(node.order > 0 for node in build_flow(graph, ledger, depth).nodes)

    chosen = readable_depth(graph)
    assert boxes(chosen) <= flow_pages.READABLE_BOXES
    assert chosen == deepest or boxes(chosen + 1) > flow_pages.READABLE_BOXES
