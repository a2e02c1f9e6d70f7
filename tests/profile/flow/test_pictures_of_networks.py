"""Pictures of exported networks satisfy the invariants of every picture."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow.pages import flow_pages
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.reference_model import catalog
from onnxlens.specs.flow import FlowRequest
from tests.reports.drawing.readable import require_readable


def require_readable_pages(graph: Graph) -> None:
    """At every depth, folded and not."""
    ledger = build_ledger(graph)
    for depth in range(max(module.depth for module in ledger.modules) + 1):
        for fold in (False, True):
            for page in flow_pages(graph, ledger, FlowRequest(depth, fold=fold)):
                require_readable(page.flow)


def test_pictures_of_the_soft_edge_network_are_readable(hed: Graph) -> None:
    require_readable_pages(hed)


def test_pictures_of_the_text_encoder_are_readable(clip_text: Graph) -> None:
    require_readable_pages(clip_text)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names())
def test_pictures_of_every_graph_of_the_catalog_are_readable(name: str, tmp_path: Path) -> None:
    exported = api.export_graph(name, tmp_path, api.Settings(weights="none"))
    require_readable_pages(load_graph(exported.onnx_path))
