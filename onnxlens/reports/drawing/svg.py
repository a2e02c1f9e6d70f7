"""Graphviz's SVG made fit to be read: by a screen reader, by who points at it, and by the next diff."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

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
    for group in root.iter(GROUP):
        _tell(group)
    _unwrap(root)
    _describe(root, title, description)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _tell(group: ElementTree.Element) -> None:
    """Put the tooltip of a part in the place of Graphviz's name for it."""
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
    for place, child in reversed(list(enumerate(parent))):
        lost = child.tag == LINK and f"{{{XLINK}}}href" not in child.attrib
        if lost or (child.tag == GROUP and child.get("id", "").startswith("a_")):
            parent[place : place + 1] = list(child)


def _describe(root: ElementTree.Element, title: str, description: str) -> None:
    root.set("role", "img")
    root.set("aria-labelledby", "picture-title picture-description")
    root.insert(0, _element(TITLE, title, "picture-title"))
    root.insert(1, _element(DESCRIPTION, description, "picture-description"))


def _element(tag: str, text: str, identity: str = "") -> ElementTree.Element:
    element = ElementTree.Element(tag, {"id": identity} if identity else {})
    element.text = text
    element.tail = "\n"
    return element
