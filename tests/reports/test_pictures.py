from __future__ import annotations

import os
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html import unescape
from pathlib import Path

import graphviz
import pytest

from onnxlens.errors import ToolError, UsageError
from onnxlens.reports.pictures import FILL, HEAT, HEAT_SHARES, dot_source, write_picture
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec
from tests.reports.ledgers import flow

needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None and os.environ.get("CI") != "true", reason="Graphviz's dot is not installed"
)


def arrows(source: str) -> set[tuple[str, str]]:
    found = re.findall(r'^\s*("[^"]+"|\w+) -> ("[^"]+"|\w+) ', source, re.MULTILINE)
    return {(a.strip('"'), b.strip('"')) for a, b in found}


def label_of(source: str, box: str) -> str:
    """What a reader sees in a box: its lines, joined by a slash."""
    found = re.search(rf'^\s*"?{re.escape(box)}"? \[label=<(.*)> fillcolor', source, re.MULTILINE)
    assert found
    return unescape(re.sub("<[^>]*>", "", found[1].replace("<BR/>", " / ")))


def fill_of(source: str, box: str) -> str:
    found = re.search(rf'^\s*"?{re.escape(box)}"? \[.*fillcolor="([^"]*)"', source, re.MULTILINE)
    assert found
    return found[1]


def test_every_box_and_every_pair_of_boxes_is_drawn_once() -> None:
    source = dot_source(flow())
    for node in flow().nodes:
        assert len(re.findall(rf'^\s*"?{re.escape(node.id)}"? \[label', source, re.MULTILINE)) == 1
    assert arrows(source) == {(edge.source, edge.target) for edge in flow().edges}
    assert source.count(" -> ") == 5  # of six tensors two share an arrow


def test_boxes_say_their_place_class_name_and_costs() -> None:
    source = dot_source(flow())
    assert label_of(source, "n1") == "1  Conv2d / conv / 1.77 M MACs (73.0 %), 448 params"
    assert label_of(source, "n2") == "2  Exp, Add"
    assert label_of(source, "n3") == "3  Linear / head / 655.36 k MACs (27.0 %), 655.36 k params"
    assert label_of(source, "input/image") == "image"


def test_the_model_as_one_box_has_no_empty_line() -> None:
    whole = FlowGraph("net", "net.onnx", 0, (FlowNode("n1", "module", "", "Net", (), 1, {"macs": 7}),), ())
    assert label_of(dot_source(whole), "n1") == "1  Net / 7 MACs (100.0 %)"


def test_arrows_carry_shapes_and_a_dtype_that_is_not_float32() -> None:
    labels = re.findall(r'<TR><TD BGCOLOR="white">(.*?)</TD></TR>', dot_source(flow()))
    assert labels == [
        "(1, 3, 64, 64)", "(1, 3, 64, 64)",
        "(1, 16, 64, 64)", "(1, 16, 64, 64)<BR/>(1, 4096) int64", "(1, 10)",
    ]  # fmt: skip


def test_the_title_says_what_is_drawn_from_which_file() -> None:
    assert "net: data flow between modules, depth 2, from net.onnx" in dot_source(flow())


def nested() -> FlowGraph:
    outer, inner = ("a", "Outer"), ("a.b.0", "Inner")
    nodes = (
        FlowNode("n1", "module", "a.b.0.conv", "Conv2d", (outer, inner), 1),
        FlowNode("n2", "operators", "a", "Add", (outer,), 2),
        FlowNode("n3", "module", "head", "Linear", (), 3),
    )
    return FlowGraph("net", "net.onnx", 3, nodes, ())


def test_frames_nest_as_the_modules_do_and_hold_their_own_boxes() -> None:
    lines = [line.strip() for line in dot_source(nested()).splitlines()]
    steps = [
        line.split(" [")[0]
        for line in lines
        if line.startswith(("subgraph", "n", "}")) and "=" not in line[:6]
    ]
    boxes = [step for step in steps if not step.startswith("node")]
    assert boxes == ["n3", "subgraph cluster_a {", "n2", 'subgraph "cluster_a.b.0" {', "n1", "}", "}", "}"]


def test_a_frame_is_titled_by_class_and_by_its_name_in_the_frame_around_it() -> None:
    source = dot_source(nested())
    assert 'label="Outer   a"' in source
    assert 'label="Inner   b.0"' in source
    assert label_of(source, "n1") == "1  Conv2d / conv"


@pytest.mark.parametrize(
    ("macs", "step"), [(0, 0), (9, 0), (10, 1), (49, 1), (50, 2), (150, 3), (299, 3), (300, 4)]
)
def test_fill_goes_by_the_share_of_all_macs(macs: int, step: int) -> None:
    nodes = (
        FlowNode("n1", "module", "a", "A", (), 1, {"macs": macs}),
        FlowNode("n2", "operators", "", "MatMul", (), 2, {"macs": 1000 - macs}),
    )
    source = dot_source(FlowGraph("net", "net.onnx", 1, nodes, ()))
    assert fill_of(source, "n1") == HEAT[step]
    assert fill_of(source, "n2") == FILL["operators"]
    assert (
        f"over {', '.join(f'{share:.0%}'.replace('%', ' %') for share in HEAT_SHARES[1:])} of all" in source
    )


def strange() -> FlowGraph:
    """Names that mean something to Graphviz: markup, ports, quotes, back-slashes."""
    odd = 'a<b>&"c"\\n:n'
    tensor = TensorSpec(odd, "float32", ("<batch>", 3))
    nodes = (
        FlowNode(f"input/{odd}", "input", odd, odd),
        FlowNode("n1", "module", f"m.{odd}", odd, (("m", odd),), 1, {"macs": 5, "params": 5}),
    )
    return FlowGraph(odd, odd, 1, nodes, (FlowEdge(f"input/{odd}", "n1", tensor),))


@needs_dot
def test_strange_names_are_shown_as_they_are(tmp_path: Path) -> None:
    write_picture(strange(), tmp_path / "strange.svg")
    texts = svg_texts(tmp_path / "strange.svg")
    assert texts.count('a<b>&"c"\\n:n') >= 2  # the input, and the name of the box
    assert "(<batch>, 3)" in texts


def svg_texts(path: Path) -> list[str]:
    tree = ElementTree.parse(path)
    return ["".join(text.itertext()) for text in tree.iter("{http://www.w3.org/2000/svg}text")]


@needs_dot
def test_an_svg_holds_every_box_arrow_and_frame(tmp_path: Path) -> None:
    path = tmp_path / "net.svg"
    write_picture(flow(), path)
    groups = [group.get("class") for group in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}g")]
    assert (groups.count("node"), groups.count("edge"), groups.count("cluster")) == (5, 5, 1)
    texts = svg_texts(path)
    for text in ("Conv2d", "Exp, Add", "Linear", "image", "logits", "(1, 16, 64, 64)", "Block   block"):
        assert text.replace("   ", " ") in [" ".join(shown.split()) for shown in texts], text


@needs_dot
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

    monkeypatch.setattr(graphviz.Source, "pipe", fail)
    with pytest.raises(ToolError, match="Graphviz could not draw net.svg") as raised:
        write_picture(flow(), tmp_path / "net.svg")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["net", "net.jpeg", "net.SVG.gz"])
def test_a_suffix_that_cannot_be_drawn_is_refused_with_those_that_can(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be drawn; choose one of \.svg, \.png, \.pdf, \.dot"):
        write_picture(flow(), tmp_path / name)


def test_the_same_flow_gives_the_same_source() -> None:
    assert dot_source(flow()) == dot_source(replace(flow()))
