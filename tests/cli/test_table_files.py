"""``--format xlsx`` and ``parquet``: the exact cells of CSV, as files that other programs open."""

from __future__ import annotations

import csv
import io
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from onnxlens.reports.tables import files
from tests.cli.calls import done, onnxlens

COLUMNS = ("--columns", "path,class,macs,macs_percent,moved_bytes")


def lines(tiny: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(done("ledger", tiny, *COLUMNS, "--format", "csv"))))


@pytest.mark.parametrize("verb", ["profile", "ledger"])
def test_a_workbook_has_the_cells_of_csv_as_numbers(
    verb: str, tiny: Path, tmp_path: Path, spreadsheets: None
) -> None:
    from openpyxl import load_workbook

    out = tmp_path / "costs.xlsx"
    assert done(verb, tiny, *COLUMNS, "--depth", 9, "--format", "xlsx", "--out", out) == f"{out}\n"
    head, *rows = load_workbook(out)["costs"].values
    assert list(head) == lines(tiny)[0]
    assert [(row[0], row[2], row[4]) for row in rows] == [
        (line[0], int(line[2]), int(line[4])) for line in lines(tiny)[1:]
    ]


def test_parquet_has_the_cells_of_csv(tiny: Path, tmp_path: Path, spreadsheets: None) -> None:
    from pyarrow import parquet

    out = tmp_path / "costs.parquet"
    done("profile", tiny, *COLUMNS, "--depth", 9, "--format", "parquet", "--out", out)
    table = parquet.read_table(out)
    assert table.column_names == lines(tiny)[0]
    assert table["macs"].to_pylist() == [int(line[2]) for line in lines(tiny)[1:]]
    assert [str(kind) for kind in table.schema.types] == ["string", "string", "int64", "double", "int64"]


def test_a_name_is_no_formula_and_no_figure_loses_digits(tmp_path: Path, spreadsheets: None) -> None:
    from openpyxl import load_workbook
    from pyarrow import parquet

    rows = [["=1+1", 2**70 + 1, None], ["b\x07", 5, 0.5]]
    files.write_file(["name", "large", "part"], rows, "xlsx", tmp_path / "a.xlsx")
    files.write_file(["name", "large", "part"], rows, "parquet", tmp_path / "a.parquet")
    sheet = load_workbook(tmp_path / "a.xlsx")["costs"]
    assert (sheet["A2"].data_type, sheet["B2"].value, sheet["C2"].value) == ("s", str(2**70 + 1), None)
    assert parquet.read_table(tmp_path / "a.parquet")["large"].to_pylist() == [2**70 + 1, 5]


def test_the_same_cells_are_the_same_bytes_at_any_time(tmp_path: Path, spreadsheets: None) -> None:
    from openpyxl import load_workbook

    first, second = tmp_path / "a.xlsx", tmp_path / "b.xlsx"
    files.write_file(["name"], [["x"]], "xlsx", first)
    time.sleep(2.1)  # a zip file tells times in steps of two seconds
    files.write_file(["name"], [["x"]], "xlsx", second)
    assert first.read_bytes() == second.read_bytes()
    assert load_workbook(first).properties.modified.year == 1980


def test_a_format_without_its_library_or_file_is_refused_before_anything_is_counted(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = lambda name: None if name == "openpyxl" else find_spec(name)  # noqa: E731
    monkeypatch.setattr(files, "find_spec", absent)
    outcome = onnxlens("profile", tmp_path / "absent.onnx", "--format", "xlsx", "--out", tmp_path / "a.xlsx")
    assert outcome.code == 2
    assert "--format xlsx needs openpyxl: pip install 'onnxlens[xlsx]'" in outcome.err
    monkeypatch.setattr(files, "find_spec", lambda name: True)
    assert "give --out FILE.parquet" in onnxlens("profile", tiny, "--format", "parquet").err
    assert "--out is for" in onnxlens("profile", tiny, "--out", tmp_path / "a.xlsx").err
