"""The files of a picture of several pages: the first by its own name, the others in a folder beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from onnxlens.specs.flow import FlowGraph, FlowPage

UNSAFE = re.compile(r"[^\w.,-]+")
LONGEST_NAME = 120
"""File systems take twice as many bytes."""


def linked_pages(pages: Sequence[FlowPage], name: str) -> Mapping[str, FlowGraph]:
    """What goes into each file, by its path beside the first, whose boxes lead to the others.

    Args:
        pages: the first, then one for each module that a page before it opens.
        name: the first one's file: ``unet.svg``; the others are ``unet/MODULE.svg``.
    """
    stem, dot, suffix = name.rpartition(".")
    files: dict[str, str] = {}
    for page in pages[1:]:
        files[page.flow.module] = _file_name(page.flow.module, f"{dot}{suffix}", taken=set(files.values()))
    written = {name: _linked(pages[0], {module: f"{stem}/{file}" for module, file in files.items()})}
    for page in pages[1:]:
        written[f"{stem}/{files[page.flow.module]}"] = _linked(page, files)
    return written


def _linked(page: FlowPage, files: Mapping[str, str]) -> FlowGraph:
    return replace(page.flow, links={box: files[module] for box, module in page.opens.items()})


def _file_name(module: str, suffix: str, taken: set[str]) -> str:
    """The module's path as far as file systems take it; a number after it where that is not unique."""
    base = UNSAFE.sub("_", module)[-LONGEST_NAME:].lstrip(".")
    name, number = f"{base}{suffix}", 2
    while name.casefold() in {other.casefold() for other in taken}:
        name, number = f"{base}_{number}{suffix}", number + 1
    return name
