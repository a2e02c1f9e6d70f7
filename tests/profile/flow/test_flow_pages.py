"""What does not fit on a readable page is collapsed, split or folded, and a note says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from onnxlens.api.render import render_pages
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow import pages as flow_pages
from onnxlens.profile.flow.deepest import build_flow
from onnxlens.profile.flow.pages import readable_depth, widest
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.flow import FlowPage, FlowRequest, Group
from tests.profile.flow.flows import box_count, flow_at, require_readable
from tests.profile.models import ledger_of, op, save, save_net, value

# The net of models.py has 6 boxes at depth 1 and 7 at depth 2, where body.0 is two of them.


def pages_of(path: Path, depth: int | None, module: str = "", fold: bool = False) -> Sequence[FlowPage]:
    return flow_pages.flow_pages(*ledger_of(path), FlowRequest(depth, module, fold))


def shown(pages: Sequence[FlowPage]) -> list[tuple[str, int, int]]:
    """Module, depth and boxes of every page."""
    return [(page.flow.module, page.flow.depth, box_count(page.flow)) for page in pages]


def few(monkeypatch: pytest.MonkeyPatch, boxes: int, small: int = 0) -> None:
    monkeypatch.setattr(flow_pages, "PAGE_BOXES", boxes)
    monkeypatch.setattr(flow_pages, "SMALL_PAGE", small)


def test_what_fits_is_one_page_without_notes(tmp_path: Path) -> None:
    (page,) = pages_of(save_net(tmp_path), 2)
    assert (shown([page]), page.flow.notes, page.opens) == ([("", 2, 7)], (), {})


def test_a_depth_that_does_not_fit_is_an_overview_and_a_page_for_each_module_it_shows_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, 6)
    pages = pages_of(save_net(tmp_path), 2)
    assert shown(pages) == [("", 1, 6), ("body.0", 1, 2)]
    assert pages[0].opens == {"n3": "body.0"}
    assert pages[0].flow.notes == (
        "collapsed to depth 1: at depth 2 there are 7 boxes, too many for a page; "
        "1 module is opened on a page of its own",
    )
    assert pages[1].flow == flow_at(*ledger_of(tmp_path / "graph.onnx"), 1, "body.0")


def test_levels_that_the_net_does_not_have_make_no_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, 6)
    assert shown(pages_of(save_net(tmp_path), 9)) == [("", 1, 6), ("body.0", 1, 2)]
    assert shown(pages_of(save_net(tmp_path), 0)) == [("", 0, 1)]


def test_without_a_depth_one_page_is_collapsed_to_a_readable_size_and_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_pages, "READABLE_BOXES", 6)
    (page,) = pages_of(save_net(tmp_path), None)
    assert shown([page]) == [("", 1, 6)]
    assert page.flow.notes == ("collapsed to depth 1; at depth 2 there are 7 boxes",)
    (page,) = pages_of(save_net(tmp_path), None, "body.0")
    assert (shown([page]), page.flow.notes) == ([("body.0", 1, 2)], ())


def traced(folder: Path, length: int) -> Path:
    """Equal modules, one after the other, of two boxes each."""
    nodes = []
    for index in range(length):
        nodes += [op("Relu", f"a{index}", f"b{index}", f"l.{index}.act")]
        nodes += [op("Neg", f"b{index}", f"a{index + 1}", f"l.{index}")]
    tensors = [value(name, (2,)) for node in nodes for name in node.output]
    return save(folder, nodes, [value("a0", (2,))], tensors[-1:], between=tensors[:-1])


def test_small_pages_are_not_made_where_folding_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, 8, small=2)
    (page,) = pages_of(traced(tmp_path, 6), 2)
    assert shown([page]) == [("", 2, 2)]
    assert page.flow.notes[-1] == "equal blocks are folded: 12 boxes are too many for a page"
    few(monkeypatch, 8, small=1)
    assert shown(pages_of(tmp_path / "graph.onnx", 2)) == [("", 1, 6), *((f"l.{i}", 1, 2) for i in range(6))]


def test_of_equal_modules_that_are_folded_the_first_has_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, 1)
    pages = pages_of(traced(tmp_path, 6), 2, fold=True)
    assert shown(pages) == [("", 1, 1), ("l.0", 1, 2)]
    assert pages[0].opens == {"n1": "l.0"}


def test_what_cannot_be_collapsed_is_folded_or_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, 5)
    path = save_net(tmp_path)
    assert shown(pages_of(path, 1)) == [("", 1, 6)]  # nothing in it is equal
    nodes = [op("Relu", f"a{index}", f"a{index + 1}", f"l.{index}") for index in range(6)]
    tensors = [value(f"a{index}", (2,)) for index in range(7)]
    (page,) = pages_of(save(tmp_path, nodes, tensors[:1], tensors[6:], between=tensors[1:6]), 1)
    assert (shown([page]), page.flow.nodes[1].repeats) == ([("", 1, 1)], 6)


def save_nested(tmp_path: Path) -> Path:
    """A net of two modules of two, each an operator and a module; 6 pages of 2 boxes at depth 3."""
    nodes = []
    for outer in range(2):
        for inner in range(2):
            index = 2 * outer + inner
            at = f"o.{outer}.i.{inner}"
            nodes += [op("Relu", f"a{index}", f"b{index}", f"{at}.act")]
            nodes += [op("Neg", f"b{index}", f"a{index + 1}", at)]
    nodes += [op("Abs", "a4", "y", "o.1")]
    trace_outer = [op("Identity", "a0", "unused", "o.0")]
    tensors = [value(name, (2,)) for node in nodes for name in node.output]
    return save(tmp_path, [*trace_outer, *nodes], [value("a0", (2,))], tensors[-1:], between=tensors[:-1])


def test_pages_that_do_not_fit_are_split_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, 2)
    assert [module for module, _, _ in shown(pages_of(save_nested(tmp_path), 3))] == [
        "", "o.0", "o.0.i.0", "o.0.i.1", "o.1", "o.1.i.0",  # the last has 3 boxes: its equal two are folded
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("most", "modules"), [(5, ["", "o.0", "o.1"]), (3, ["", "o.0", "o.1"]), (2, [""]), (6, None)]
)
def test_a_level_of_pages_is_left_out_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, modules: list[str] | None
) -> None:
    few(monkeypatch, 2)
    path = save_nested(tmp_path)
    everything = pages_of(path, 3)
    monkeypatch.setattr(flow_pages, "MOST_PAGES", most)
    pages = pages_of(path, 3)
    if modules is None:
        assert pages == everything
        return
    assert [page.flow.module for page in pages] == modules
    last = pages[-1] if most == 2 else pages[1]
    assert not last.opens and last.flow.notes[-1].endswith(
        f"; 2 modules stay closed: all would be more than {most} pages; --module PATH draws one"
    )
    opened = {module for page in pages for module in page.opens.values()}
    assert opened == set(modules[1:])  # every link leads to a page


def test_parallel_boxes_count_and_those_that_only_read_what_many_read_are_above_their_consumer(
    tmp_path: Path,
) -> None:
    nodes = [op("Relu", "x", "a0", "stem")]
    for index in range(4):
        nodes += [op("Neg", "x", f"e{index}", f"emb.{index}")]
        nodes += [op("Add", f"a{index} e{index}", f"a{index + 1}", f"add.{index}")]
    tensors = [value(name, (2,)) for node in nodes for name in node.output]
    path = save(tmp_path, nodes, [value("x", (2,))], tensors[-1:], between=tensors[:-1])
    assert widest(flow_at(*ledger_of(path), 1)) == 2
    heads = [op("Relu", "x", f"h{index}", f"side.{index}") for index in range(5)]
    heads += [op("Sum", "h0 h1 h2 h3 h4", "y", "join")]
    tensors = [value(name, (2,)) for node in heads for name in node.output]
    path = save(tmp_path, heads, [value("x", (2,))], tensors[-1:], between=tensors[:-1])
    assert widest(flow_at(*ledger_of(path), 1)) == 5


def test_a_page_that_is_too_wide_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_pages, "PAGE_WIDTH", 4)
    heads = [op("Relu", "x", f"h{index}", f"side.{index}") for index in range(5)]
    heads += [op("Sum", "h0 h1 h2 h3 h4", "y", "join")]
    tensors = [value(name, (2,)) for node in heads for name in node.output]
    path = save(tmp_path, heads, [value("x", (2,))], tensors[-1:], between=tensors[:-1])
    (page,) = pages_of(path, 1)
    assert shown([page]) == [("", 1, 2)]  # the five are folded


@pytest.mark.parametrize("name", ["hed", "clip_text"])
def test_every_depth_of_a_graph_is_readable(name: str, request: pytest.FixtureRequest) -> None:
    require_readable(request.getfixturevalue(name))


def test_the_text_encoder_at_its_deepest_has_a_page_for_each_layer(clip_text: Graph) -> None:
    pages = flow_pages.flow_pages(clip_text, build_ledger(clip_text), FlowRequest(6))
    layers = [f"transformer.text_model.encoder.layers.{index}" for index in range(12)]
    assert shown(pages) == [("", 4, 15), *((layer, 2, 12) for layer in layers)]


FIRST, REST = Group("First", ("l.0..2",)), Group("Rest", ("l.3..5",))


def pages_of_groups(path: Path, depth: int | None, *groups: Group, module: str = "") -> Sequence[FlowPage]:
    return flow_pages.flow_pages(*ledger_of(path), FlowRequest(depth, module, groups=groups))


def test_groups_have_pages_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, 6)
    pages = pages_of_groups(traced(tmp_path, 6), 3, FIRST, REST)
    assert shown(pages) == [("", 1, 2), ("First", 2, 6), ("Rest", 2, 6)]
    assert pages[0].opens == {"n1": "First", "n2": "Rest"}
    assert pages[0].flow.notes == (
        "collapsed to depth 1: at depth 3 there are 12 boxes, too many for a page; "
        "2 modules and groups are opened on pages of their own",
    )
    assert [node.title for node in pages[1].flow.nodes if not node.order] == ["a0", "to Rest"]
    path = tmp_path / "graph.onnx"
    assert pages[1].flow == pages_of_groups(path, 2, FIRST, REST, module="First")[0].flow
    few(monkeypatch, 3)
    assert shown(pages_of_groups(path, 3, FIRST)) == [
        ("", 1, 4), ("First", 1, 3), *((f"l.{index}", 1, 2) for index in range(3)),
        *((f"l.{index}", 2, 2) for index in range(3, 6)),
    ]  # fmt: skip


def test_a_closed_group_has_a_page_only_if_it_is_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, 5)
    closed = replace(REST, closed=True)
    path = traced(tmp_path, 6)
    assert shown(pages_of_groups(path, 3, FIRST, closed)) == [
        ("", 2, 4), *((f"l.{index}", 1, 2) for index in range(3))
    ]  # fmt: skip
    assert shown(pages_of_groups(path, 1, FIRST, closed, module="Rest")) == [("Rest", 1, 3)]


def test_a_group_named_like_another_module_has_a_page_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, 4)
    alike = replace(FIRST, name="l.3")
    path = traced(tmp_path, 6)
    pages = pages_of_groups(path, 3, alike)
    assert [page.flow.module for page in pages] == [
        "",
        "l.3 (l.0..2)",
        "l.0",
        "l.1",
        "l.2",
        "l.3",
        "l.4",
        "l.5",
    ]
    assert pages[0].opens == {"n1": "l.3 (l.0..2)", "n2": "l.3", "n3": "l.4", "n4": "l.5"}
    written = render_pages(path, tmp_path / "net.dot", FlowRequest(3, groups=(alike,)))
    assert len({page.name for page in written}) == len(pages)
    group, module = (tmp_path / "net" / name for name in ("l.3_l.0..2_.dot", "l.3.dot"))
    assert '"l.0"' in group.read_text() and '"l.0"' not in module.read_text()


def test_groups_without_a_depth_are_collapsed_to_a_readable_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_pages, "READABLE_BOXES", 6)
    (page,) = pages_of_groups(traced(tmp_path, 6), None, FIRST, REST)
    assert shown([page]) == [("", 2, 6)]
    assert page.flow.notes == ("collapsed to depth 2; at depth 3 there are 12 boxes",)


@pytest.mark.parametrize("groups", [(), (FIRST, REST)], ids=["modules", "groups"])
@pytest.mark.parametrize("fold", [False, True])
def test_the_deepest_flow_is_built_once_for_all_pages(
    groups: tuple[Group, ...], fold: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, 3)
    build, built = flow_pages.build_flow, []
    monkeypatch.setattr(flow_pages, "build_flow", lambda *read: built.append(1) or build(*read))
    request = FlowRequest(3, fold=fold and not groups, groups=groups)
    written = render_pages(traced(tmp_path, 6), tmp_path / "net.dot", request)
    assert (len(written) > 1, len(built)) == (not request.fold, 1)


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
    assert readable_depth(build_flow(*ledger_of(save_net(tmp_path)))) == depth


def test_a_graph_without_modules_is_drawn_at_depth_1(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "y")], [value("x", (2,))], [value("y", (2,))])
    assert readable_depth(build_flow(*ledger_of(path))) == 1


@pytest.mark.parametrize("name", ["hed", "clip_text"])
def test_the_picture_at_that_depth_is_within_the_limit_and_one_deeper_is_not(
    name: str, request: pytest.FixtureRequest
) -> None:
    graph: Graph = request.getfixturevalue(name)
    ledger = build_ledger(graph)
    deepest = max(module.depth for module in ledger.modules)

    def boxes(depth: int) -> int:
        return sum(node.order > 0 for node in flow_at(graph, ledger, depth).nodes)

    chosen = readable_depth(build_flow(graph, ledger))
    assert boxes(chosen) <= flow_pages.READABLE_BOXES
    assert chosen == deepest or boxes(chosen + 1) > flow_pages.READABLE_BOXES
