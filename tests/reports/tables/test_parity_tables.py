from __future__ import annotations

import csv
import io
from dataclasses import replace

from onnxlens.reports.tables.parity import SHOWN, module_parity_table
from tests.specs.samples import LAYERS, NOT_COMPARABLE, OVERFLOW, PROPAGATED

AGREEING = replace(PROPAGATED, output=3e-7, verdict="agrees")


def test_people_see_the_largest_errors_first_and_the_first_diverging_module() -> None:
    text = module_parity_table(LAYERS, "table")
    lines = text.splitlines()
    assert lines[0] == (
        "edge (opset 18): modules in ONNX Runtime on cpu against PyTorch, 1 sample, weights: seeded"
    )
    assert lines[1] == "largest local errors, relative L2, 2 of 2; tolerance 1e-05"
    assert [line.split()[0] for line in lines[5:7]] == ["block.conv", "edge"]
    assert "Mul, Add, Relu, +1 more" in lines[6]
    assert lines[5].split()[2:5] == ["inf", "inf", "introduces"]
    assert lines[-3:] == [
        "3 rows: 1 introduces, 1 not comparable, 1 carries",
        "not comparable: block.split: two of one shape",
        "FIRST DIVERGING MODULE: block.conv (Conv2d), which produces a",
    ]


def test_csv_has_every_row_in_the_order_of_execution_exactly() -> None:
    rows = list(csv.DictReader(io.StringIO(module_parity_table(LAYERS, "csv"))))
    assert [row["path"] for row in rows] == ["block.conv", "block.split", "edge"]
    assert [row["introduced"] for row in rows] == ["inf", "", "3e-07"]
    assert [row["result"] for row in rows] == ["introduces", "two of one shape", "carries"]
    assert rows[2]["what"] == "Mul, Add, Relu, Neg"


def test_operators_of_the_model_itself_are_named_by_what_they_are() -> None:
    diverging = replace(PROPAGATED, introduced=0.5, verdict="introduces", operators=("Concat",))
    assert module_parity_table(replace(LAYERS, layers=(diverging,)), "md").splitlines()[-1] == (
        "FIRST DIVERGING MODULE: edge itself (its own Concat), which produces edges"
    )


def test_an_error_that_accumulates_is_not_attributed_to_a_module() -> None:
    text = module_parity_table(replace(LAYERS, layers=(AGREEING, PROPAGATED)), "table")
    assert "no module alone is over the tolerance: the error builds up, and passes it first at edge" in text
    assert "DIVERGING" not in text


def test_agreement_needs_a_comparison() -> None:
    assert module_parity_table(replace(LAYERS, layers=(AGREEING, NOT_COMPARABLE)), "table").endswith(
        "all modules agree"
    )
    assert module_parity_table(replace(LAYERS, layers=(NOT_COMPARABLE,)), "table").endswith(
        "nothing could be compared"
    )


def test_a_stop_is_reported_and_the_table_for_people_is_short() -> None:
    text = module_parity_table(replace(LAYERS, layers=(AGREEING,) * 30 + (OVERFLOW,), stopped=True), "table")
    assert "stopped at the first module over the tolerance; those after it were not compared" in text
    assert f"{SHOWN} of 31" in text
    assert len([line for line in text.splitlines() if "  agrees" in line]) == SHOWN - 1


def test_a_narrow_screen_shows_what_tells_most() -> None:
    text = module_parity_table(LAYERS, "table", 80)
    table = text.split("\n\n")[1].splitlines()
    assert table[0].split()[:5] == ["path", "class", "local_error", "output_error", "result"]
    assert all(len(line) <= 80 for line in table)
    assert "do not fit" in text
