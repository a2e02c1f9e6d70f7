"""Names that fit: shortened in the middle, broken where words begin; ids that links can hold."""

from __future__ import annotations

import pytest

from onnxlens.reports.drawing.dot import cluster_identity, identities
from onnxlens.reports.drawing.labels import shortened, shortened_path, text_width, wrapped
from onnxlens.specs.flow import FlowGraph, FlowNode


def test_a_name_is_shortened_in_the_middle_and_keeps_both_ends() -> None:
    assert shortened("transformer", 11) == "transformer"
    assert shortened("transformers", 7) == "tra…ers"
    assert shortened("transformers", 6) == "tr…ers"


def test_a_path_is_shortened_by_whole_parts_at_its_front() -> None:
    assert shortened_path("a.b.attn1.to_q", 20) == "a.b.attn1.to_q"
    assert shortened_path("blocks.0.attn1.to_q", 14) == "…0.attn1.to_q"
    assert shortened_path("blocks.0.attn1.to_q", 12) == "…attn1.to_q"
    assert len(shortened_path("x" * 50, 12)) == 12


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Conv2d", ("Conv2d",)),
        ("BasicTransformerBlock", ("Basic", "Transformer", "Block")),
        ("Resize, Concat, Add", ("Resize,", "Concat, Add")),
        ("HTTPServerThing", ("HTTPServer", "Thing")),
    ],
)
def test_a_name_is_broken_where_a_word_begins(text: str, lines: tuple[str, ...]) -> None:
    assert wrapped(text, 12, 3) == lines


@pytest.mark.parametrize("length", [1, 12, 13, 24, 25, 300])
@pytest.mark.parametrize("letter", ["a", "A", "é", "a "])
def test_no_line_is_longer_and_there_are_no_more_than_allowed(length: int, letter: str) -> None:
    broken = wrapped(letter * length, 12, 2)
    assert len(broken) <= 2
    assert max(map(len, broken)) <= 12


def test_a_width_grows_with_size_weight_and_letters() -> None:
    assert text_width("mm", 10) == 2 * text_width("m", 10)
    assert text_width("m", 20) == 2 * text_width("m", 10)
    assert text_width("m", 10, bold=True) > text_width("m", 10) > text_width("i", 10)
    assert text_width("漢", 10) > 10  # a full em and a little more


def test_an_id_is_the_modules_path_and_numbered_where_it_repeats() -> None:
    nodes = (
        FlowNode("input/x", "input", "x", "my x"),
        FlowNode("n1", "module", "blocks.0", "Net", (), 1),
        FlowNode("n2", "operators", "blocks.0", "Add", (), 2),
        FlowNode("n3", "module", "blocks.0", "Net", (), 3),
        FlowNode("n4", "operators", "", "Add", (), 4),
        FlowNode("n5", "module", 'odd "<path>"', "Net", (), 5),
    )
    names = identities(FlowGraph("net", "net.onnx", 1, nodes, ()))
    assert list(names.values()) == [
        "input.my_x", "blocks.0", "blocks.0.ops", "blocks.0-2", "model.ops", "odd_path_",
    ]  # fmt: skip
    assert cluster_identity("a b", 3) == "cluster.a_b-3"
