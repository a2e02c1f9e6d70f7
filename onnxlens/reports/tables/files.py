"""Tables as files of other programs: a workbook of Excel's, or Parquet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from onnxlens.errors import UsageError
from onnxlens.reports.tables.render import Cell
from onnxlens.specs.text import printable

FileFormat = Literal["xlsx", "parquet"]
LIBRARIES: dict[str, str] = {"xlsx": "openpyxl", "parquet": "pyarrow"}
EXACT_IN_EXCEL = 10**15
"""A workbook keeps 15 digits of a number; a larger one is written as text."""

LARGEST_INTEGER = 2**63 - 1
TIME_OF_WRITING = re.compile(rb"(?<=W3CDTF\">)[^<]*")
NO_TIME = b"1980-01-01T00:00:00Z"
"""The same costs give the same bytes."""


def require_library(table_format: str) -> None:
    """Refuse a format whose library is not installed.

    Raises:
        UsageError: it is not.
    """
    library = LIBRARIES.get(table_format)
    if library is not None and find_spec(library) is None:
        raise UsageError(f"--format {table_format} needs {library}: pip install 'onnxlens[{table_format}]'")


def write_file(
    titles: Sequence[str], rows: Sequence[Sequence[Cell]], table_format: FileFormat, path: Path
) -> None:
    """Write exact cells under their titles; an empty cell is a figure that was not computed."""
    (_write_workbook if table_format == "xlsx" else _write_parquet)(titles, rows, path)


def _write_workbook(titles: Sequence[str], rows: Sequence[Sequence[Cell]], path: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    book = Workbook(write_only=True)
    sheet = book.create_sheet("costs")
    sheet.freeze_panes = "B2"

    def cell(value: Cell, *, bold: bool = False) -> Any:
        if isinstance(value, int) and abs(value) >= EXACT_IN_EXCEL:
            value = str(value)
        made = WriteOnlyCell(sheet, printable(value) if isinstance(value, str) else value)
        if isinstance(value, str):
            made.data_type = "s"  # a name that begins with = is no formula
        if bold:
            made.font = Font(bold=True)
        return made

    sheet.append([cell(title, bold=True) for title in titles])
    for row in rows:
        sheet.append([cell(value) for value in row])
    written = BytesIO()
    book.save(written)
    with ZipFile(written) as dated, ZipFile(path, "w", ZIP_DEFLATED) as undated:
        for name in dated.namelist():  # the time of writing stands in each part's header and in one of them
            undated.writestr(ZipInfo(name), TIME_OF_WRITING.sub(NO_TIME, dated.read(name)), ZIP_DEFLATED)


def _write_parquet(titles: Sequence[str], rows: Sequence[Sequence[Cell]], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def column(values: Sequence[Cell]) -> Any:
        if any(isinstance(value, float) for value in values):
            return pa.array(values, pa.float64())
        if any(isinstance(value, int) and abs(value) > LARGEST_INTEGER for value in values):
            return pa.array(values, pa.decimal256(76))
        return pa.array(values)

    columns = [column([row[index] for row in rows]) for index in range(len(titles))]
    parquet.write_table(pa.table(dict(zip(titles, columns, strict=True))), path)
