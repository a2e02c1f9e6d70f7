from __future__ import annotations

import csv
import io
from dataclasses import replace

from onnxlens.reports.tables.layer_tables import SHOWN, layer_table
from tests.specs.samples import CARRIED, LAYERS, OVERFLOW, UNTOLD

SOUND = replace(CARRIED, output=3e-7, verdict="agrees")


def test_people_see_the_largest_errors_first_and_who_is_guilty() -> None:
    text = layer_table(LAYERS, "table")
    lines = text.splitlines()
    assert lines[0] == (
        "edge (opset 18): modules in ONNX Runtime on cpu against PyTorch, 1 sample, weights: seeded"
    )
    assert lines[1] == "largest errors introduced, relative L2, 2 of 2; tolerance 1e-05"
    assert [line.split()[1] for line in lines[5:7]] == ["block.conv", "edge"]
    assert "Mul, Add, Relu, +1 more" in lines[6]
    assert lines[5].split()[-4:] == ["inf", "inf", "inf", "introduces"]
    assert lines[-3:] == [
        "3 rows: 1 introduces, 1 not comparable, 1 carries",
        "not comparable: block.split: two of one shape",
        "GUILTY: block.conv (Conv2d), which makes a",
    ]


def test_csv_has_every_row_in_the_order_of_execution_exactly() -> None:
    rows = list(csv.DictReader(io.StringIO(layer_table(LAYERS, "csv"))))
    assert [row["module"] for row in rows] == ["block.conv", "block.split", ""]
    assert [row["introduced"] for row in rows] == ["inf", "", "3e-07"]
    assert [row["result"] for row in rows] == ["introduces", "two of one shape", "carries"]
    assert rows[2]["what"] == "Mul, Add, Relu, Neg"


def test_operators_of_the_model_itself_are_named_by_what_they_are() -> None:
    guilty = replace(CARRIED, introduced=0.5, verdict="introduces", operators=("Concat",))
    assert layer_table(replace(LAYERS, layers=(guilty,)), "md").splitlines()[-1] == (
        "GUILTY: edge itself (its own Concat), which makes edges"
    )


def test_an_error_that_builds_up_is_nobodys() -> None:
    text = layer_table(replace(LAYERS, layers=(SOUND, CARRIED)), "table")
    assert "no module alone is over the tolerance: the error builds up, and passes it first at edge" in text
    assert "GUILTY" not in text


def test_agreement_needs_something_that_was_compared() -> None:
    assert layer_table(replace(LAYERS, layers=(SOUND, UNTOLD)), "table").endswith("all layers agree")
    assert layer_table(replace(LAYERS, layers=(UNTOLD,)), "table").endswith("nothing could be compared")


def test_a_stop_is_said_and_people_see_no_more_than_they_can_compare() -> None:
    text = layer_table(replace(LAYERS, layers=(SOUND,) * 30 + (OVERFLOW,), stopped=True), "table")
    assert "stopped at the first over the tolerance; nothing is said of what comes after" in text
    assert f"{SHOWN} of 31" in text
    assert len([line for line in text.splitlines() if line.endswith("  agrees")]) == SHOWN - 1
