from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from onnxlens.reports.tables.ledger import cost_table
from onnxlens.reports.tables.parity import parity_table
from onnxlens.reports.tables.query import Asked, understood
from onnxlens.reports.tables.render import By, Column, TableFormat, render_table
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.parity import ParityReport, ParityResult
from tests.reports.ledgers import FEATURES, FOLD, MODULES, NODES, SORT, TOTALS, known_ledger, ledger

GOLDEN = Path(__file__).parents[2] / "golden"


def table_of(ledger: Ledger, by: By | None, depth: int | None = None, kind: TableFormat = "table") -> str:
    return cost_table(ledger, understood(Asked(by, depth=depth)), kind)


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def md_rows(text: str) -> list[list[str]]:
    """The cells of the Markdown table in ``text``, its title and rule among them."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("name", "depth", "kind"), [("module_table.txt", 2, "table"), ("module_table.md", 1, "md")]
)
def test_the_module_table_equals_the_golden_file(name: str, depth: int, kind: str) -> None:
    got = table_of(ledger(), "module", depth, kind)  # type: ignore[arg-type]
    assert got + "\n" == (GOLDEN / name).read_text(encoding="utf-8")


def test_depth_hides_what_is_deeper() -> None:
    for depth, paths in ((0, ["net"]), (1, ["net", "block", "head", "unused"])):
        rows = csv_rows(table_of(ledger(), "module", depth, "csv"))
        assert [row["path"] for row in rows] == paths


def test_csv_holds_exact_integers() -> None:
    rows = csv_rows(table_of(ledger(), "module", 9, "csv"))
    for row, module in zip(rows, MODULES, strict=True):
        assert int(row["order"]) == module.order
        assert int(row["macs"]) == module.macs
        assert int(row["params"]) == module.params
        assert int(row["moved_bytes"]) == module.weight_read_bytes + module.read_bytes + module.write_bytes
        assert int(row["live_bytes"]) == module.live_bytes
        assert int(row["unknown_nodes"]) == module.unknown_nodes
        assert row["lower_bounds"] == " ".join(module.lower_bounds or ())
        assert row["macs_percent"] == ""  # of a whole that is not known
    known = csv_rows(table_of(known_ledger(), "module", 9, "csv"))
    assert float(known[2]["macs_percent"]) == pytest.approx(100 * 1_769_472 / 2_424_832, abs=5e-4)
    assert "lower_bounds" not in known[0]


def test_what_named_a_row_is_shown_where_weights_had_to() -> None:
    whole = ledger()
    named = replace(whole, modules=(*whole.modules[:-1], replace(whole.modules[-1], evidence="weights")))
    assert "evidence" not in table_of(whole, "module", 9)
    assert "evidence" in table_of(named, "module", 9)
    assert [row["evidence"] for row in csv_rows(table_of(named, "module", 9, "csv"))][-2:] == [
        whole.modules[-2].evidence,
        "weights",
    ]


def test_csv_shows_whole_lists_where_the_table_shortens_them() -> None:
    head = csv_rows(table_of(ledger(), "module", 9, "csv"))[3]
    assert head["inputs"] == "2 x (1, 16, 64, 64), (1, 4096), (1, 10)"
    assert "(1, 4096), +1 more" in table_of(ledger(), "module", 9, "table")


def test_csv_has_only_rows() -> None:
    text = table_of(ledger(), "node", None, "csv")
    assert len(text.splitlines()) == 1 + len(NODES)
    assert not text.endswith("\n")


@pytest.mark.parametrize(
    "field", ["macs", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes"]
)
def test_operator_and_node_rows_sum_to_the_totals(field: str) -> None:
    for by in ("op", "node"):
        rows = csv_rows(table_of(ledger(), by, None, "csv"))  # type: ignore[arg-type]
        assert sum(int(row[field] or 0) for row in rows) == getattr(TOTALS, field)


def test_an_unknown_node_has_no_operations_instead_of_none() -> None:
    rows = csv_rows(table_of(ledger(), "node", None, "csv"))
    assert [rows[2][title] for title in ("macs", "vector_ops", "special_ops")] == ["", "", ""]
    assert table_of(ledger(), "node", None, "table").splitlines()[6].split()[3:5] == ["?", "?"]


def test_printed_totals_are_the_sums_of_the_rows() -> None:
    text = table_of(ledger(), "node", None, "table")
    rows = csv_rows(table_of(ledger(), "node", None, "csv"))
    macs, params = (sum(int(row[title] or 0) for row in rows) for title in ("macs", "params"))
    flops = 2 * macs + sum(int(row["vector_ops"] or 0) + int(row["special_ops"] or 0) for row in rows)
    assert f"total: >= {macs:,} MACs (2.42 M), >= {flops:,} FLOPs, {params:,} params" in text.splitlines()


def test_the_node_table_gives_each_status_and_the_reason_of_an_unknown_one() -> None:
    statuses = [row["status"] for row in csv_rows(table_of(ledger(), "node", None, "csv"))]
    assert statuses == ["counted", "counted", "unknown: no rule for com.vendor::Sort", "free", "counted"]


def test_operators_of_other_domains_carry_their_domain() -> None:
    rows = csv_rows(table_of(ledger(), "op", None, "csv"))
    assert [row["operator"] for row in rows] == ["Conv", "Gemm", "Exp", "com.vendor::Sort", "Transpose"]
    assert [row["unknown_nodes"] for row in rows] == ["0", "0", "0", "1", "0"]
    assert [row["free_nodes"] for row in rows] == ["0", "0", "0", "0", "1"]


def test_the_unknown_share_is_printed_by_nodes_and_by_bytes() -> None:
    # 524,288 bytes of the unknown node, of 2,623,232 + 835,584 + 786,472 = 4,245,288 in all
    assert "unknown: 1 of 5 nodes (20.0 %), 512.00 KiB of 4.05 MiB of memory traffic (12.3 %)" in table_of(
        ledger(), "module", 0, "table"
    )


def test_without_unknowns_a_note_says_so_and_their_column_is_gone() -> None:
    text = table_of(known_ledger(), "module", 2, "table")
    assert "unknown: none of 5 nodes" in text
    assert "unknown" not in text.splitlines()[2]
    assert "unknown" in table_of(ledger(), "module", 2, "table").splitlines()[2]


def test_a_file_without_modules_is_grouped_by_operator_and_says_so() -> None:
    said = "modules: the file names none, so its nodes are grouped by operator type"
    nameless = table_of(ledger("none"), None, 2, "table")
    assert said in nameless.splitlines()
    assert nameless.splitlines()[2].startswith("operator")
    assert table_of(ledger("none"), None, 2, "csv") == table_of(ledger(), "op", None, "csv")
    assert said not in table_of(ledger(), "op", None, "table")
    assert table_of(ledger("none"), "node", None, "csv") == table_of(ledger(), "node", None, "csv")


@pytest.mark.parametrize("by", ["module", "op", "node"])
def test_markdown_is_a_github_table_with_its_numbers_to_the_right(by: str) -> None:
    text = table_of(ledger(), by, None, "md")  # type: ignore[arg-type]
    titles, rule, *rows = md_rows(text)
    assert rows
    assert {len(row) for row in (rule, *rows)} == {len(titles)}
    sides = {
        title: "right" if cell.endswith("-:") else "left" for title, cell in zip(titles, rule, strict=True)
    }
    assert sides["macs"] == "right"
    assert sides["operators" if by == "module" else "operator"] == "left"
    table = text.splitlines().index(next(line for line in text.splitlines() if line.startswith("|")))
    assert text.splitlines()[table - 1] == ""  # GitHub needs the empty line before it


def test_markdown_cells_cannot_break_out_of_their_column() -> None:
    nodes = tuple(replace(node, node="a|b") if node is SORT else node for node in NODES)
    text = table_of(replace(ledger(), nodes=nodes), "node", None, "md")
    assert "| a\\|b " in text


def test_markdown_footer_is_a_list_for_its_lines_not_to_run_together() -> None:
    lines = table_of(ledger(), "op", None, "md").splitlines()
    assert all(line.startswith("- ") for line in lines[lines.index("- macs: multiply-accumulates") - 5 :])


def test_a_module_is_named_within_the_one_above_it_and_by_its_path_where_rows_are_missing() -> None:
    table = table_of(ledger(), "module", 2, "table").splitlines()
    assert table[6].startswith("    conv  ")  # set in by two levels
    assert any("| block.conv " in line for line in table_of(ledger(), "module", 2, "md").splitlines())


def test_an_empty_whole_has_no_shares() -> None:
    empty: Ledger = replace(
        ledger(),
        nodes=(replace(FOLD, module_path=""),),
        modules=(replace(MODULES[4], path="", inputs=(FEATURES,)),),
        totals=replace(
            TOTALS, macs=0, vector_ops=0, special_ops=0, flops=0,
            weight_read_bytes=0, read_bytes=0, write_bytes=0,
        ),
    )  # fmt: skip
    text = table_of(empty, "module", 0, "table")
    assert "arithmetic intensity" not in text
    assert "%" not in text.splitlines()[4]


PASSED = ParityResult("eps", 1.5e-6, 2e-7, 3.25, 4e-7, 0.999999999, 1e-5, True)
REPORT = ParityReport("net", "net.onnx", 18, "seeded", "cpu", "pytorch", (PASSED,))


def test_a_parity_table_says_what_was_compared_with_what_and_the_verdict() -> None:
    text = parity_table(REPORT, "table")
    assert text.startswith("net (opset 18): ONNX Runtime on cpu against PyTorch, weights: seeded\n")
    row = ["eps", "4.00e-07", "1e-05", "pass", "1.50e-06", "2.00e-07", "3.25e+00", "0.999999999"]
    assert row in [line.split() for line in text.splitlines()]
    assert text.endswith("all outputs agree")


def test_one_failed_output_fails_the_whole_table() -> None:
    failed = replace(PASSED, tensor="other", rel_l2=0.5, passed=False)
    text = parity_table(
        replace(REPORT, outputs=(PASSED, failed), reference="unoptimised", weights=""), "table"
    )
    assert text.endswith("the outputs do NOT agree")
    assert "against ONNX Runtime without optimizations, weights: as in the file" in text
    assert [line.split()[3] for line in text.splitlines()[4:6]] == ["pass", "FAIL"]


def test_parity_csv_keeps_every_digit() -> None:
    row = csv_rows(parity_table(REPORT, "csv"))[0]
    assert (float(row["max_abs"]), float(row["cosine"]), row["result"]) == (1.5e-6, 0.999999999, "pass")


def test_a_wide_letter_takes_two_columns() -> None:
    name: Column[tuple[str, int | None]] = Column("name", lambda row: row[0])
    size: Column[tuple[str, int | None]] = Column("size", lambda row: row[1], right=True)
    rows = [("a", 7), ("日本語", None)]  # three letters, each as wide as two
    assert render_table(rows, [name, size], "table").splitlines() == [
        "name      size",
        "------  ------",
        "a            7",
        "日本語",
    ]
    assert render_table(rows[1:], [name, size], "md").splitlines() == [
        "| name   |   size |",
        "|:-------|-------:|",
        "| 日本語 |        |",
    ]


def test_a_table_without_rows_has_its_titles_alone() -> None:
    column: Column[int] = Column("name", lambda row: row, right=True)
    assert render_table([], [column], "table") == "name\n------"
    assert render_table([], [column], "md") == "| name   |\n|--------|"
