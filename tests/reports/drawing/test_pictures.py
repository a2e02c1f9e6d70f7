"""A flow written as a file that a person looks at."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import graphviz
import pytest

from onnxlens.errors import ToolError, UsageError
from onnxlens.reports.drawing.dot import FONT, dot_source
from onnxlens.reports.drawing.files import write_picture, write_pictures
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec
from tests.reports.drawing.random_flows import random_flow
from tests.reports.ledgers import flow

SVG = "{http://www.w3.org/2000/svg}"


def strange() -> FlowGraph:
    """Names that mean something to Graphviz: markup, ports, quotes, back-slashes."""
    odd = 'a<b>&"c"\\n:n'
    tensor = TensorSpec(odd, "float32", ("<batch>", 3))
    nodes = (
        FlowNode(f"input/{odd}", "input", odd, odd),
        FlowNode("n1", "module", f"m.{odd}", odd, (("m", odd),), 1, {"macs": 5, "params": 5}),
    )
    return FlowGraph(odd, odd, 1, nodes, (FlowEdge(f"input/{odd}", "n1", tensor),))


@pytest.mark.usefixtures("dot")
def test_strange_names_are_shown_as_they_are(tmp_path: Path) -> None:
    write_picture(strange(), tmp_path / "strange.svg")
    texts = svg_texts(tmp_path / "strange.svg")
    assert texts.count('a<b>&"c"\\n:n') == 2  # the input, and the cluster
    assert '1 a<b>&"c"\\n:n' in texts
    assert 'm.a<b>&"c"\\n:n' in texts
    assert "(<batch>, 3) float32" in texts


def svg_texts(path: Path) -> list[str]:
    tree = ElementTree.parse(path)
    return [" ".join("".join(text.itertext()).split()) for text in tree.iter(f"{SVG}text")]


@pytest.mark.usefixtures("dot")
def test_an_svg_shows_every_box_line_and_cluster(tmp_path: Path) -> None:
    path = tmp_path / "net.svg"
    write_picture(flow(), path)
    texts = svg_texts(path)
    for text in ("1 Conv2d", "block.conv", "1.77 M MACs (73.0 %), 448 params", "2 Exp, Add", "3 Linear",
                 "image", "logits", "(1, 16, 64, 64) float32", "(1, 4096) int64", "Block"):  # fmt: skip
        assert text in texts, text


@pytest.mark.usefixtures("dot")
def test_an_svg_has_a_description_and_tooltips(tmp_path: Path) -> None:
    path = tmp_path / "net.svg"
    write_picture(replace(flow(), notes=("one thing to know",)), path)
    root = ElementTree.parse(path).getroot()
    title, description = root[0], root[1]
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text == "net: data flow between modules, depth 2"
    # 1,769,472 + 655,360 MACs; 448 + 655,360 params
    assert description.text == "from net.onnx; 3 boxes, 2.42 M MACs, 655.81 k params. one thing to know"
    tooltips = {group.get("id"): group.findtext(f"{SVG}title") for group in root.iter(f"{SVG}g")}
    assert tooltips["block.conv"] == "1 Conv2d\nblock.conv\nmacs: 1,769,472\nparams: 448"
    assert not [element for element in root.iter() if element.tag == f"{SVG}a"]


@pytest.mark.usefixtures("dot")
def test_an_svg_is_the_same_every_time_and_names_no_version(tmp_path: Path) -> None:
    for name in ("one.svg", "other.svg"):
        write_picture(flow(), tmp_path / name)
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "other.svg").read_text(encoding="utf-8")
    assert "version 1" not in text and "graphviz" not in text.lower()


@pytest.mark.usefixtures("dot")
@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_each_format_is_what_its_suffix_says(tmp_path: Path, suffix: str, start: bytes) -> None:
    path = tmp_path / f"net{suffix}"
    write_picture(flow(), path)
    assert path.read_bytes().startswith(start)


def test_a_dot_file_needs_no_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    write_picture(flow(), tmp_path / "net.dot")
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == dot_source(flow())


def test_without_graphviz_the_error_says_what_to_install_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"dot is missing; install it \(apt-get install graphviz\)"):
        write_picture(flow(), tmp_path / "net.svg")
    assert not (tmp_path / "net.svg").exists()


def test_a_graphviz_that_fails_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> bytes:
        raise graphviz.CalledProcessError(1, ["dot"], b"", b"syntax error\nin line 3")

    monkeypatch.setattr(graphviz, "pipe", fail)
    with pytest.raises(ToolError, match="Graphviz could not draw net.svg") as raised:
        write_picture(flow(), tmp_path / "net.svg")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["net", "net.jpeg", "net.SVG.gz"])
def test_a_suffix_that_cannot_be_drawn_is_refused_with_those_that_can(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be drawn; choose one of \.svg, \.png, \.pdf, \.dot"):
        write_picture(flow(), tmp_path / name)


@pytest.mark.usefixtures("dot")
def test_an_svg_says_its_font_once_and_hides_lines_as_svg_does(tmp_path: Path) -> None:
    write_picture(flow(), tmp_path / "net.svg")
    text = (tmp_path / "net.svg").read_text(encoding="utf-8")
    assert text.count("font-family") == 1
    assert ElementTree.fromstring(text).get("font-family") == FONT
    assert "transparent" not in text  # a color of CSS alone


@pytest.mark.usefixtures("dot")
@pytest.mark.parametrize("suffix", [".svg", ".png", ".dot"])
def test_pictures_drawn_together_are_those_drawn_alone(tmp_path: Path, suffix: str) -> None:
    flows = {tmp_path / f"{seed}{suffix}": random_flow(seed) for seed in range(8)}
    write_pictures(flows)
    together = [path.read_bytes() for path in flows]
    for path, net in flows.items():
        write_picture(net, path)
    assert [path.read_bytes() for path in flows] == together


@pytest.mark.usefixtures("dot")
def test_pdfs_drawn_together_are_whole_files(tmp_path: Path) -> None:
    flows = {tmp_path / f"{seed}.pdf": random_flow(seed) for seed in range(8)}
    write_pictures(flows)
    for path in flows:
        drawn = path.read_bytes()
        assert drawn.startswith(b"%PDF-") and drawn.endswith(b"%%EOF\n")
        assert drawn.count(b"/Type /Catalog") == 1
        start = int(drawn.rsplit(b"startxref\n", 1)[1].split()[0])  # where its own table of objects is
        assert drawn[start : start + 4] == b"xref"


@pytest.mark.usefixtures("dot")
@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_graphviz_is_started_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    started = []
    pipe = graphviz.pipe

    def counted(*args: object, **kwargs: object) -> bytes:
        started.append(args)
        return pipe(*args, **kwargs)

    monkeypatch.setattr(graphviz, "pipe", counted)
    write_pictures({tmp_path / f"{seed}{suffix}": random_flow(seed) for seed in range(3)})
    assert len(started) == 1
