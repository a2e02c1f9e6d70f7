"""Names out of files: as text that may be shown, what terminals and browsers obey escaped, and as paths."""

from __future__ import annotations

from collections.abc import Container
from itertools import accumulate


def printable(text: str) -> str:
    r"""The text with every character escaped that is not to be seen: ``\x1b``, ``\n``, ``\u202e``.

    Those are control characters, line breaks, marks that turn the direction of text, and halves of pairs,
    which no encoding has: as ``repr`` escapes them, but for backslashes and quotes.
    """
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return "".join(escaped)


def printable_lines(text: str) -> str:
    """The same of each line: its line breaks are meant."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def enclosing(path: str, modules: Container[str]) -> tuple[str, ...]:
    """Those of ``modules`` that contain ``path``, the model ("") first, then ``path`` itself if it is one."""
    prefixes = accumulate(path.split("."), "{}.{}".format)
    return ("", *(prefix for prefix in prefixes if prefix and prefix in modules))


def around(path: str, modules: Container[str]) -> str:
    """The one of ``modules`` that ``path`` stands in directly; "" is the model, which stands in none."""
    return next((outer for outer in reversed(enclosing(path, modules)) if outer != path), "")
