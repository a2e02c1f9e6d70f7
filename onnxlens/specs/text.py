"""Names out of files as text that may be shown: what a terminal or a browser would obey is escaped."""

from __future__ import annotations


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
