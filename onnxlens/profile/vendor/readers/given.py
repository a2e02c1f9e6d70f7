"""The files that a reader is given, read so that a fault has its file, its line and what was expected."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

from onnxlens.profile.vendor.readers.values import Unit, no_number, number, refuse, seconds, shown, whole
from onnxlens.specs.layers import OF_WORKERS
from onnxlens.specs.record import record

MOST_BYTES = 512 * 2**20
"""The largest file that is read: a report of a million layers is about half of that."""

HEAD_CHARACTERS = 2**16
"""How much of a file the readers look at to recognize it."""

MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"))
"""How a text file may start that is not plain UTF-8: a shell of Windows redirects a log as UTF-16."""


@record(frozen=True, slots=True)
class Row:
    """One line of a table: its cells by column."""

    where: str
    line: int
    columns: Mapping[str, int]
    cells: Sequence[str]

    def __getitem__(self, column: str) -> str:
        return self.cells[self.columns[column]]

    def get(self, column: str) -> str:
        """The cell, or nothing where the table has no such column."""
        at = self.columns.get(column)
        return "" if at is None else self.cells[at]

    @property
    def place(self) -> str:
        """Where the line is, for an error."""
        return f"{self.where}, line {self.line}"

    def number(self, column: str) -> int | float:
        """A number that is not negative; whole where the file has a whole number."""
        return number(self[column], f"{self.place}, column {column!r}")

    def whole(self, column: str) -> int:
        """A number that must be whole."""
        return whole(self[column], f"{self.place}, column {column!r}")

    def seconds(self, column: str, unit: Unit) -> float:
        """A time, in seconds."""
        return seconds(self[column], unit, f"{self.place}, column {column!r}")


class Given:
    """A report as a user names it: a file, or a folder of files; and a file that says what its names mean.

    Attributes:
        path: the file or folder.
        names_read: whether there is no second file, or a reader has asked for it.
    """

    def __init__(self, path: Path, names: Path | None = None) -> None:
        self.path = path
        self.names_read = names is None
        self._names = names
        self._texts: dict[Path, str] = {}
        for each in (path, *([names] if names else ())):
            if not each.exists():
                refuse(each, "there is no such file or folder")
            if not each.is_file() and not each.is_dir():
                refuse(each, "it is a pipe or a device, which can be read once", "write the report to a file")

    @property
    def names(self) -> Path | None:
        """A second file: what a tool's own names lead to, where that is another file; None without one."""
        self.names_read = True
        return self._names

    def within(self, path: Path) -> Given:
        """A file or folder in it, with the same names."""
        return Given(path, self._names)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The file, or those directly in the folder, by name."""
        if not self.path.is_dir():
            return (self.path,)
        files = (each for each in self.path.iterdir() if each.name not in OF_WORKERS)
        return tuple(sorted(each for each in files if each.is_file()))

    def all_named(self, pattern: str) -> tuple[Path, ...]:
        """The files whose name ends so: a regular expression."""
        ends = re.compile(rf"(?:{pattern})\Z", re.IGNORECASE)
        return tuple(each for each in self.files if ends.search(each.name))

    def one_named(self, pattern: str, what: str) -> Path:
        """The only file whose name ends so; a folder that has none or several is refused."""
        found = self.all_named(pattern) if self.path.is_dir() else self.files
        if len(found) != 1:
            names = ", ".join(each.name for each in found[:3]) or "none"
            refuse(self.path, f"{len(found)} files of it are {what} ({names}); expected one")
        return found[0]

    def head(self, path: Path | None = None) -> str:
        """The start of a text file, to recognize it by; nothing of a folder or a file that is no text."""
        path = path or self.path
        if path.is_dir():
            return ""
        try:
            with path.open("rb") as file:
                start = file.read(4 * HEAD_CHARACTERS)
        except OSError:
            return ""
        text = start.decode(_encoding(start), errors="replace")[:HEAD_CHARACTERS]
        return "" if "\0" in text else text

    def text(self, path: Path | None = None) -> str:
        """A whole text file, its line ends those of Unix."""
        path = path or self.path
        if path not in self._texts:
            self._texts[path] = _read(path)
        return self._texts[path]

    def lines(self, path: Path | None = None) -> list[str]:
        """The lines of a text file."""
        return self.text(path).split("\n")

    def json(self, path: Path | None = None) -> Any:
        """A JSON document; its numbers with a fraction are Decimals, NaN and infinities are refused."""
        path = path or self.path
        try:
            return json.loads(
                self.text(path),
                strict=False,
                parse_float=Decimal,
                parse_constant=lambda name: no_number(path, name),
            )
        except json.JSONDecodeError as error:
            fault = f"expected JSON, but {error.msg[0].lower()}{error.msg[1:]}"
            refuse(f"{path}, line {error.lineno}", fault, "is the file whole?")
        except RecursionError:
            refuse(path, "expected a report, but its JSON is nested too deep")

    def table(
        self,
        needed: Sequence[str],
        path: Path | None = None,
        delimiter: str = ",",
        repeated: Sequence[str] = (),
        skip: int = 0,
        mended: Callable[[str], str] = str,
    ) -> Iterator[Row]:
        """The rows of a CSV file with a head, without the empty lines.

        Args:
            needed: the columns that it must have; others are kept too.
            path: the file; the given one without it.
            delimiter: what separates its cells.
            repeated: columns that a tool is known to have twice, of which none is read.
            skip: how many lines stand before the head.
            mended: makes CSV, line by line, of what a tool writes.
        """
        path = path or self.path
        text = mended(self.text(path).split("\n", skip)[skip])
        lines = csv.reader(StringIO(text), delimiter=delimiter, strict=True, skipinitialspace=True)
        try:
            head = [cell.strip() for cell in next(lines, [])]
            columns = _columns(head, needed, repeated, f"{path}, line {skip + 1}")
            for cells in lines:
                if any(cells):
                    where = f"{path}, line {lines.line_num + skip}"
                    yield Row(str(path), lines.line_num + skip, columns, _fitted(cells, head, where))
        except csv.Error as error:
            refuse(f"{path}, line {lines.line_num + skip}", f"not CSV: {error}")


def _encoding(start: bytes) -> str:
    return next((encoding for mark, encoding in MARKS if start.startswith(mark)), "utf-8")


def _read(path: Path) -> str:
    """The text of a file."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            refuse(path, f"it has {size / 2**20:,.0f} MB, more than any report ({MOST_BYTES // 2**20} MB)")
        data = path.read_bytes()
    except OSError as error:
        refuse(path, f"it cannot be read: {error.strerror or error}")
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        refuse(
            f"{path}, line {line}",
            f"not text in UTF-8 (byte 0x{data[error.start]:02x})",
            "expected a report of a tool",
        )
    if (at := text.find("\0")) >= 0:
        refuse(
            f"{path}, line {text.count(chr(10), 0, at) + 1}",
            "not text: it has a zero byte",
            "expected a report of a tool",
        )
    if not text.strip():
        refuse(path, "the file is empty; expected a report of a tool")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _columns(
    head: Sequence[str], needed: Iterable[str], repeated: Sequence[str], where: str
) -> Mapping[str, int]:
    twice = [name for name, times in Counter(head).items() if times > 1 and name and name not in repeated]
    if twice:
        refuse(where, f"the column {shown(twice[0])} stands there twice")
    missing = [name for name in needed if name not in head]
    if missing:
        have = ", ".join(shown(name) for name in head[:4])
        refuse(where, f"no column {shown(missing[0])} among {have}{', ...' if len(head) > 4 else ''}")
    return {name: at for at, name in enumerate(head) if name not in repeated}


def _fitted(cells: list[str], head: Sequence[str], where: str) -> Sequence[str]:
    """The cells of a line, of which there are as many as columns; an empty one at the end is no cell."""
    while len(cells) > len(head) and not cells[-1].strip():
        cells.pop()
    if len(cells) != len(head):
        refuse(where, f"{len(cells)} cells; expected the {len(head)} of the first line")
    return [cell.strip() for cell in cells]
