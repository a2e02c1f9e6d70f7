"""The page of readers lists every one, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from onnxlens import readers
from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers import lookup

PAGE = (Path(__file__).parents[4] / "docs" / "readers.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def code(title: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)


def test_the_table_has_every_reader_and_no_other() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", section("The formats"), re.MULTILINE)
    assert sorted(rows) == sorted(lookup.READERS)


def test_the_table_names_figures_that_there_are() -> None:
    for row in re.findall(r"^\| `[\w-]+` .*$", section("The formats"), re.MULTILINE):
        figures = re.findall(r"`(\w+)`", row.split("|")[4])
        assert set(figures) <= set(readers.METRICS)


def test_the_example_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_registered", {})
    example, brought = code("Your own reader")
    names: dict[str, Any] = {}
    exec(example, names)
    path = tmp_path / "acme.csv"
    path.write_text("op,cycles,dram_kb\nconv1,1200,64\nrelu1,0,0\n", encoding="utf-8")
    report = readers.read_report(path)
    assert report.label == "acme-a7"
    assert [record.figures for record in report.records] == [{"cycles": 1200, "off_chip_bytes": 65536}, {}]
    path.write_text("op,cycles,dram_kb\nconv1,many,64\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"acme.csv, line 2, column 'cycles': expected a number"):
        readers.read_report(path)
    exec(brought, names)
    added: list[readers.Reader] = []
    names["add_readers"](added.append)
    assert [reader.tool for reader in added] == ["acme"]


def test_the_other_examples_are_python() -> None:
    (plan,) = code("A compute plan of Core ML")
    compile(plan, "plan.py", "exec")
    assert '"core_ml_compute_plan"' in plan
