"""Pictures as files: drawn by Graphviz, SVG made readable, several pages linked."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import graphviz

from onnxlens.errors import ToolError, UsageError
from onnxlens.reports.drawing.colors import DEFAULT_COLUMN
from onnxlens.reports.drawing.dot import dot_source
from onnxlens.reports.drawing.title import description, heading
from onnxlens.specs.flow import FlowGraph, FlowPage
from onnxlens.specs.text import printable_lines

SUFFIXES = (".svg", ".png", ".pdf", ".dot")


def write_picture(flow: FlowGraph, path: Path, color: str = DEFAULT_COLUMN) -> None:
    """Draw ``flow`` into ``path``; see ``write_pictures``."""
    write_pictures({path: flow}, color)


def write_pictures(flows: Mapping[Path, FlowGraph], color: str = DEFAULT_COLUMN) -> None:
    """Draw every flow into its file, in the format that the suffix names.

    Args:
        flows: what is drawn, by a path that ends in one of ``SUFFIXES``.
        color: the column of the ledger that the boxes are colored by; "none" for none. A box that has no
            figure for it is gray.

    Raises:
        UsageError: a suffix cannot be drawn.
        ToolError: Graphviz's ``dot`` is missing or failed.
    """
    for path in flows:
        require_suffix(path)
    for suffix in dict.fromkeys(path.suffix for path in flows):
        sources = {path: dot_source(flow, color) for path, flow in flows.items() if path.suffix == suffix}
        for path, drawn in zip(sources, _drawn(sources, suffix), strict=True):
            path.write_bytes(_finished(drawn, suffix, flows[path]))


def _finished(drawn: bytes, suffix: str, flow: FlowGraph) -> bytes:
    if suffix == ".svg":
        return polished(drawn, heading(flow), description(flow)).encode()
    return DATE.sub(_blank, drawn) if suffix == ".pdf" else drawn


STARTS = {".svg": rb"<\?xml ", ".png": rb"\x89PNG\r\n\x1a\n", ".pdf": rb"(?:(?<=%%EOF\n)|\A)%PDF-"}
"""What Graphviz writes first of each picture, and nowhere inside one."""
DATE = re.compile(rb"/CreationDate \([^)]*\)")
"""When a PDF was drawn: the same graph gives the same file."""


def _blank(found: re.Match[bytes]) -> bytes:
    """As long as what was found: a PDF says where its objects begin."""
    return b" " * len(found[0])


def require_suffix(path: Path) -> None:
    """Refuse a file that cannot be drawn before any work is done for it.

    Raises:
        UsageError: the suffix cannot be drawn.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path}: suffix {path.suffix!r} cannot be drawn; choose one of {', '.join(SUFFIXES)}"
        )


def _drawn(sources: Mapping[Path, str], suffix: str) -> Sequence[bytes]:
    """The pictures, drawn by one process: to start Graphviz takes longer than to draw a page."""
    if suffix not in STARTS:
        return [source.encode() for source in sources.values()]
    try:
        # Source.pipe writes all before it reads anything, which several graphs in one process do not survive.
        drawn: bytes = graphviz.pipe(
            "dot", suffix.removeprefix("."), "".join(sources.values()).encode(), quiet=True
        )
    except graphviz.ExecutableNotFound as error:
        raise ToolError("Graphviz's dot is missing; install it (apt-get install graphviz)") from error
    except graphviz.CalledProcessError as error:
        first, *others = (path.name for path in sources)
        names = f"{first} and {len(others)} more" if others else first
        raise ToolError(f"Graphviz could not draw {names}: {str(error).splitlines()[0]}") from error
    return re.split(rb"(?=%b)" % STARTS[suffix], drawn)[1:]


SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
GROUP, LINK, TITLE, DESCRIPTION = (f"{{{SVG}}}{name}" for name in ("g", "a", "title", "desc"))
PARTS = frozenset({"node", "edge", "cluster"})
"""The classes of the groups that Graphviz makes."""


def polished(svg: bytes, title: str, description: str) -> str:
    """The same picture with a title and a description, its tooltips where browsers look for them.

    Graphviz puts its own names into the titles of the groups, and the tooltips into links that lead nowhere.
    Its version, which it writes into a comment, is left out.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    for graph in root.findall(GROUP):
        _as_drawn_alone(graph)
    for group in root.iter(GROUP):
        _move_tooltip(group)
    _unwrap(root)
    _simplify(root)
    root.set("role", "img")
    root.set("aria-labelledby", "picture-title picture-description")
    root.insert(0, _element(TITLE, title, "picture-title"))
    root.insert(1, _element(DESCRIPTION, description, "picture-description"))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _as_drawn_alone(graph: ElementTree.Element) -> None:
    """The graph's id, and its clusters in the order of the source, as if no other graph had been drawn."""
    graph.set("id", "graph0")
    positions = [index for index, child in enumerate(graph) if child.get("class") == "cluster"]
    names = {graph[index]: graph[index].findtext(TITLE) or "" for index in positions}  # such as cluster_12
    clusters = sorted(names, key=lambda cluster: int(names[cluster].rpartition("_")[2]))
    tails = [graph[index].tail for index in positions]
    for index, cluster, tail in zip(positions, clusters, tails, strict=True):
        cluster.tail = tail
        graph[index] = cluster


def _move_tooltip(group: ElementTree.Element) -> None:
    """Replace Graphviz's name for a part by its tooltip."""
    for name in group.findall(TITLE):
        group.remove(name)
    if group.get("class") in PARTS:
        tooltips = [link.attrib.pop(f"{{{XLINK}}}title", "") for link in group.iter(LINK)]
        if tooltip := "".join(tooltips[:1]).strip():
            group.insert(0, _element(TITLE, tooltip))


def _unwrap(parent: ElementTree.Element) -> None:
    """Take everything out of links that lead nowhere, and out of the groups around links."""
    for child in parent:
        _unwrap(child)
    for index, child in reversed(list(enumerate(parent))):
        lost = child.tag == LINK and f"{{{XLINK}}}href" not in child.attrib
        if lost or (child.tag == GROUP and child.get("id", "").startswith("a_")):
            parent[index : index + 1] = list(child)


def _simplify(root: ElementTree.Element) -> None:
    """Give the font of all texts at the root; a line that is not seen becomes ``none``, as SVG has it."""
    for element in root.iter():
        if family := element.attrib.pop("font-family", ""):
            root.set("font-family", family)
        if element.get("stroke") == "transparent":
            element.set("stroke", "none")


def _element(tag: str, text: str, identity: str = "") -> ElementTree.Element:
    element = ElementTree.Element(tag, {"id": identity} if identity else {})
    element.text = printable_lines(text)
    element.tail = "\n"
    return element


UNSAFE = re.compile(r"[^\w.,-]+")
LONGEST_NAME = 120
"""File systems take twice as many bytes."""


def linked_pages(pages: Sequence[FlowPage], name: str) -> Mapping[str, FlowGraph]:
    """What goes into each file, by its path from the folder of the first, whose boxes lead to the others.

    Args:
        pages: the first, then one for each module that a page before it opens.
        name: the first one's file: ``unet.svg``; the others are ``unet/MODULE.svg``.
    """
    stem, dot, suffix = name.rpartition(".")
    files: dict[str, str] = {}
    taken: set[str] = set()
    for page in pages[1:]:
        files[page.flow.module] = file = _file_name(page.flow.module, f"{dot}{suffix}", taken)
        taken.add(file.casefold())
    first = _linked(pages[0], {module: f"{stem}/{file}" for module, file in files.items()})
    return {name: first} | {f"{stem}/{files[page.flow.module]}": _linked(page, files) for page in pages[1:]}


def _linked(page: FlowPage, files: Mapping[str, str]) -> FlowGraph:
    return replace(page.flow, links={box: files[module] for box, module in page.opens.items()})


def _file_name(module: str, suffix: str, taken: set[str]) -> str:
    """The module's path as far as file systems take it; a number after it where that is not unique."""
    base = UNSAFE.sub("_", module)[-LONGEST_NAME:].lstrip(".")
    name, number = f"{base}{suffix}", 2
    while name.casefold() in taken:
        name, number = f"{base}_{number}{suffix}", number + 1
    return name
