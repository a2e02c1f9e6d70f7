"""Netron draws every graph of the reference model, whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

import onnxlens as api
from onnxlens.reference_model import catalog
from onnxlens.reports.netron.pictures import NetronPictures, netron_pictures


@pytest.fixture(scope="module")
def pictures(chromium: str, netron: None) -> Iterator[NetronPictures]:
    with netron_pictures(chromium) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("name", catalog.names())
def test_every_node_of_a_graph_is_in_its_picture(name: str, pictures: NetronPictures, tmp_path: Path) -> None:
    path = api.export_graph(name, tmp_path, api.Settings(weights="none")).onnx_path
    drawing = pictures.draw(path.read_bytes(), path.name)
    drawn = re.findall(r'class="node-item node-item-type[^>]*>.*?<text[^>]*>(\w+)</text>', drawing.svg)
    nodes = onnx.load(path, load_external_data=False).graph.node
    # A constant that one node reads is drawn inside that node.
    constants = {"Constant"}
    assert Counter(op for op in drawn if op not in constants) == Counter(
        node.op_type for node in nodes if node.op_type not in constants
    )
