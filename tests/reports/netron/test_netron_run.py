"""Netron's pictures of a whole run."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from onnxlens.reports.netron.pictures import drawn_by_netron
from onnxlens.specs.progress import unwatched
from onnxlens.specs.summary import GraphSummary
from tests.reports.netron.netron_models import small


@pytest.mark.browser
def test_a_picture_that_fails_is_a_note_on_its_graph_alone(
    chromium: str, netron: None, tmp_path: Path
) -> None:
    names = ("broken", "small", "failed")
    for name, content in zip(names, (b"no model", small().SerializeToString()), strict=False):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.onnx").write_bytes(content)
    graphs = [
        GraphSummary(name, "annotator", "done", files={"onnx": f"{name}/{name}.onnx"}, note="earlier")
        for name in names[:2]
    ]
    graphs.append(GraphSummary("failed", "annotator", "failed", reason="no memory"))
    broken, good, failed = drawn_by_netron(graphs, tmp_path, chromium, unwatched)
    assert broken.note == "earlier; broken: Netron cannot draw it: Unsupported file content."
    assert broken.files == graphs[0].files
    assert (good.note, good.files["netron svg"]) == ("earlier", "small/netron.svg")
    assert (
        ElementTree.parse(tmp_path / "small" / "netron.svg").getroot().tag
        == "{http://www.w3.org/2000/svg}svg"
    )
    assert failed == graphs[2]
