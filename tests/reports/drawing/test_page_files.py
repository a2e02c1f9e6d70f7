"""The first page is the file itself, the others are in a folder next to it, and boxes link to them."""

from __future__ import annotations

from dataclasses import replace

from onnxlens.reports.drawing.files import linked_pages
from onnxlens.specs.flow import FlowPage
from tests.reports.ledgers import flow


def page(module: str, **opens: str) -> FlowPage:
    return FlowPage(replace(flow(), module=module), opens)


def test_a_page_alone_is_the_file_itself() -> None:
    assert linked_pages([page("")], "net.svg") == {"net.svg": flow()}


def test_other_pages_are_in_a_folder_and_link_to_each_other_within_it() -> None:
    pages = [page("", n1="a", n2="b.0"), page("a", n3="a.c"), page("a.c"), page("b.0")]
    files = linked_pages(pages, "net.svg")
    assert {name: dict(drawn.links) for name, drawn in files.items()} == {
        "net.svg": {"n1": "net/a.svg", "n2": "net/b.0.svg"},
        "net/a.svg": {"n3": "a.c.svg"},
        "net/a.c.svg": {},
        "net/b.0.svg": {},
    }
    assert [drawn.module for drawn in files.values()] == ["", "a", "a.c", "b.0"]


def test_a_name_with_dots_keeps_them() -> None:
    assert list(linked_pages([page("", n1="a"), page("a")], "net.v2.dot")) == ["net.v2.dot", "net.v2/a.dot"]


def test_names_are_such_that_every_file_system_takes_them() -> None:
    modules = ["a/b c", "a:b:c", "A_B_C", "x" * 300, "../up"]
    pages = [page("", **{f"n{index}": module for index, module in enumerate(modules)}), *map(page, modules)]
    assert list(linked_pages(pages, "net.png"))[1:] == [
        "net/a_b_c.png",
        "net/a_b_c_2.png",
        "net/A_B_C_3.png",
        f"net/{'x' * 120}.png",
        "net/_up.png",
    ]
