"""The page on other counters shows what the tool prints, and the README too."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.reports.tables.reconciliation import reconciliation_table

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "reconciling.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_unets_table_is_the_printed_one() -> None:
    found = api.reconcile_graph("sd-unet")
    printed = reconciliation_table(found, "md").splitlines()
    table = "\n".join(line for line in printed if line.startswith("|"))
    assert table in PAGE
    lines = reconciliation_table(found, "table").splitlines()
    causes = lines[2].index("  where the difference comes from")
    assert "\n".join(line[:causes].rstrip() for line in lines[2 : lines.index("", 3)]) in README


def test_the_pages_sums_are_those_of_its_table() -> None:
    totals = next(line for line in PAGE.splitlines() if line.startswith("| total"))
    ours, onnx_tool, fvcore, thop = (int(cell.replace(",", "")) for cell in totals.split("|")[3:7])
    # attention's products are what the MatMul row lacks for fvcore and thop
    products = 359_271_628_800 - 233_219_358_720
    assert f"the {round(products / 1e9)} G of attention's products, {100 * products / ours:.1f} %" in PAGE
    assert f"adds {(onnx_tool - ours) / 1e9:.1f} G of element operations, 52.7 G of them for softmax" in PAGE
    # the rest of the difference is norms and resizing, counted by element
    assert fvcore == ours - products + 450_560_000 + 346_521_600 + 8_519_680
    assert thop == ours - products + 277_217_280
