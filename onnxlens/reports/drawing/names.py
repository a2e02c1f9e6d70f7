"""Names that fit into a box: how wide a text is, where it may be broken, and what of it is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
