"""Text in boxes: how wide it is, where it is broken or shortened, and Graphviz's HTML-like labels of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from types import MappingProxyType

from onnxlens.specs.text import printable

Attributes = Mapping[str, str | int]
NONE: Attributes = MappingProxyType({})

LEADING = 1.2
"""Height of a line of text, in sizes of its font, as Graphviz reckons it."""
GAP = 1
"""Points above and below a line."""
SLACK = 3
"""Points that Graphviz may add to the width of a text."""


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text: its size in points, its weight and its ink."""

    words: str
    size: float = 10
    bold: bool = False
    italic: bool = False
    ink: str = ""

    @property
    def width(self) -> int:
        """At most so many points."""
        return ceil(text_width(printable(self.words), self.size, bold=self.bold)) + SLACK

    @property
    def height(self) -> int:
        """With the gaps above and below, in points."""
        return ceil(self.size * LEADING) + 2 * GAP

    def markup(self) -> str:
        """The text in Graphviz's markup, special characters escaped."""
        words = escape(printable(self.words)) or " "
        if self.bold:
            words = f"<B>{words}</B>"
        if self.italic:
            words = f"<I>{words}</I>"
        ink = f' COLOR="{self.ink}"' if self.ink else ""
        return f'<FONT POINT-SIZE="{self.size:g}"{ink}>{words}</FONT>'


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a label: its markup as a table, and its size in points."""

    markup: str
    width: int
    height: int


def text_block(
    lines: Sequence[Text], attributes: Attributes = NONE, *, padding: int = 3, align: str = "LEFT"
) -> Block:
    """Lines of text below each other, with ``padding`` points around them."""
    width = max((line.width for line in lines), default=0) + 2 * padding
    height = sum(line.height for line in lines) + 2 * padding
    cells = [[cell(line.markup(), ALIGN=align, CELLPADDING=GAP, WIDTH=width - 2 * padding)] for line in lines]
    inner = table(cells)
    around = [[cell(inner, CELLPADDING=padding, WIDTH=width, HEIGHT=height)]]
    return Block(table(around, **_sized(width, height), **attributes), width, height)


def bar(width: int, height: int, color: str, inset: int = 0) -> Block:
    """A strip of one color, ``inset`` points away from what is left of it, above and below."""
    inner = _sized(width, height - 2 * inset)
    strip = table([[cell("", WIDTH=width, HEIGHT=height - 2 * inset)]], **inner, BGCOLOR=color)
    around = _sized(width + inset, height)
    whole = table([[cell("", WIDTH=inset), cell(strip, WIDTH=width, HEIGHT=height)]], **around)
    return Block(whole if inset else strip, width + inset, height)


def _sized(width: int, height: int) -> Attributes:
    return {"FIXEDSIZE": "TRUE", "WIDTH": width, "HEIGHT": height}


def side_by_side(blocks: Sequence[Block], attributes: Attributes = NONE, border: int = 0) -> Block:
    """Blocks in a row, with a border of so many points around them."""
    width = sum(block.width for block in blocks) + 2 * border
    height = max(block.height for block in blocks) + 2 * border
    row = [cell(block.markup) for block in blocks]
    return Block(table([row], **_sized(width, height), BORDER=border, **attributes), width, height)


def cell(content: str, **attributes: str | int) -> str:
    """A cell with text or a table in it."""
    return _element("TD", attributes, content)


def table(rows: Iterable[Iterable[str]], **attributes: str | int) -> str:
    """Rows of cells; no border and no gaps unless ``attributes`` say so."""
    plain: dict[str, str | int] = {"BORDER": 0, "CELLBORDER": 0, "CELLSPACING": 0, "CELLPADDING": 0}
    inner = "".join(_element("TR", {}, "".join(cells)) for cells in rows)
    return _element("TABLE", plain | attributes, inner)


def _element(name: str, attributes: Attributes, inner: str) -> str:
    written = "".join(
        f' {key}="{value if isinstance(value, int) else escape(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{inner}</{name}>"


ELLIPSIS = "…"

_WIDTHS = (
    ("'ijlIJ", 0.30), (" ,./:;\\|f-()[]t!r", 0.40), ('"*_`szcLFk?vxy', 0.59), ("HNDGUOQ&CAVBRXZK", 0.79),
    ("#+<=>^~Mw", 0.86), ("%mW@", 1.00),
)  # fmt: skip
"""Advance widths in em of the widest sans-serif font that a browser may fall back to."""
_EM = {letter: width for letters, width in _WIDTHS for letter in letters}
_OTHER, _WIDE = 0.64, 1.05
_BOLD = 1.13


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """At most so many points wide in any common sans-serif font of ``size`` points."""
    ems = sum(_EM.get(letter, _OTHER if letter.isascii() else _WIDE) for letter in text)
    return ems * size * (_BOLD if bold else 1.0)


def shortened(text: str, limit: int) -> str:
    """At most ``limit`` characters: the middle gives way, for a name's two ends tell most."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    tail = limit - 1 - head
    return f"{text[:head]}{ELLIPSIS}{text[len(text) - tail :]}"


def shortened_path(path: str, limit: int) -> str:
    """At most ``limit`` characters: whole parts at the front give way, for the last ones tell most."""
    if len(path) <= limit:
        return path
    parts = path.split(".")
    while len(parts) > 1 and len(".".join(parts)) > limit - 1:
        del parts[0]
    return shortened(f"{ELLIPSIS}{'.'.join(parts)}", limit)


def wrapped(text: str, limit: int, lines: int = 2) -> tuple[str, ...]:
    """At most so many lines of at most ``limit`` characters, broken where a word of the name begins.

    A text that does not fit is shortened in the middle, by as little as does.
    """
    length = min(len(text), limit * lines)
    while len(broken := _broken(shortened(text, length), limit)) > lines:
        length -= 1
    return broken


def _broken(text: str, limit: int) -> tuple[str, ...]:
    lines = [""]
    for word in _words(text, limit):
        if lines[-1] and len(lines[-1] + word.rstrip()) > limit:
            lines.append("")
        lines[-1] += word
    return tuple(line.strip() for line in lines)


def _words(text: str, limit: int) -> Iterator[str]:
    """The words of a name: ``Basic``, ``Transformer``, ``Block``; one that is longer than a line is cut."""
    for word in re.findall(r"[A-Z]*[^A-Z ._/,:]*[ ._/,:]*", text):
        for start in range(0, len(word), limit):
            yield word[start : start + limit]
