"""The ledger's query options: which rows, in which order, under which columns."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from math import inf
from typing import Any

import pytest

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import COSTS
from onnxlens.reports.tables.columns import FOR_PEOPLE, LEDGER_COLUMNS, present_columns
from onnxlens.reports.tables.ledger import ledger_document, ledger_table
from onnxlens.reports.tables.query import LedgerQuery, parse_query
from onnxlens.specs.ledger import Ledger
from tests.reports import ledgers

# MACs: model 2,424,832; block and block.conv 1,769,472; head 655,360; unused 0
ALL = ["", "block", "block.conv", "head", "unused"]


def timed() -> Ledger:
    """The block has taken 2 s and its convolution 0.5 s; the rest was not timed."""
    seconds = {"block": 2.0, "block.conv": 0.5}
    modules = tuple(replace(m, latency_s=seconds.get(m.path)) for m in ledgers.MODULES)
    return replace(ledgers.ledger(), modules=modules)


def rows(ledger: Ledger, *where: str, sort: str | None = None, depth: int | None = None) -> list[Any]:
    query = parse_query("path", where, sort, depth)
    return [row["path"] for row in ledger_document(ledger, query)["rows"]]


@pytest.mark.parametrize(
    ("where", "paths"),
    [
        (("macs>655360",), ["", "block", "block.conv"]),
        (("macs >= 6.5536e5",), ["", "block", "block.conv", "head"]),
        (("macs<1",), ["unused"]),
        (("macs<=0",), ["unused"]),
        (("macs=655360",), ["head"]),
        (("macs!=655360",), ["", "block", "block.conv", "unused"]),
        (("class=Linear",), ["head", "unused"]),
        (("class!=Linear",), ["", "block", "block.conv"]),
        (("path~lock.*nv",), ["block.conv"]),
        (("path!~^(block|head)",), ["", "unused"]),
        (("path=",), [""]),
        (("class=Linear", "macs>0"), ["head"]),
        (("arithmetic_intensity>=0",), ["", "block", "block.conv", "head"]),
        (("depth>7",), []),
    ],
)
def test_a_row_is_shown_when_it_passes_every_condition(where: tuple[str, ...], paths: list[str]) -> None:
    assert rows(ledgers.ledger(), *where) == paths


def test_depth_leaves_out_what_lies_deeper() -> None:
    assert rows(ledgers.ledger(), depth=1) == ["", "block", "head", "unused"]
    assert rows(ledgers.ledger()) == ALL


@pytest.mark.parametrize(
    ("sort", "paths"),
    [
        ("macs", ["", "block", "block.conv", "head", "unused"]),
        ("macs:asc", ["unused", "head", "block", "block.conv", ""]),
        ("path:desc", ["unused", "head", "block.conv", "block", ""]),
        ("class", ["block", "block.conv", "head", "unused", ""]),
        ("latency_s", ["block", "block.conv", "", "head", "unused"]),
        ("latency_s:asc", ["block.conv", "block", "", "head", "unused"]),
        ("achieved_macs_per_s", ["block.conv", "block", "", "head", "unused"]),
    ],
)
def test_rows_are_sorted_and_those_without_a_figure_come_last(sort: str, paths: list[str]) -> None:
    assert rows(timed(), sort=sort) == paths


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": ("colour=red",)}, "--where: no column is called 'colour'; there are order, path, class"),
        ({"columns": "path,,macs"}, "--columns: no column is called ''"),
        ({"sort": "colour"}, "--sort: no column is called 'colour'"),
        ({"sort": "macs:up"}, "'up' is not a direction; give macs:asc or macs:desc"),
        ({"where": ("macs",)}, "--where 'macs': expected COLUMN OPERATOR VALUE"),
        ({"where": ("macs>many",)}, "'many' is not a number"),
        ({"where": ("macs>nan",)}, "nothing compares with 'nan'"),
        ({"where": ("macs~1",)}, "macs holds numbers; compare it with = != < <= > >="),
        ({"where": ("path>a",)}, "path holds text; compare it with = != ~ !~"),
        ({"where": ("path~(",)}, r"'\(' is not a regular expression"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_remedy(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        parse_query(**{"columns": None, "where": (), "sort": None, "depth": None, **arguments})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "asked", [{"columns": "latency_s"}, {"where": ("latency_s>1",)}, {"sort": "latency_s"}]
)
def test_a_column_that_was_not_computed_cannot_be_selected(asked: dict[str, Any]) -> None:
    query = parse_query(**{"columns": None, "where": (), "sort": None, "depth": None, **asked})
    with pytest.raises(UsageError, match="column latency_s holds no figure; give --latency"):
        ledger_document(ledgers.ledger(), query)


def test_columns_without_a_figure_are_absent() -> None:
    measured = {name for name, cost in COSTS.items() if cost.measured_by}
    static = set(LEDGER_COLUMNS) - measured
    assert set(present_columns(ledgers.ledger())) == static
    assert set(present_columns(timed())) == static | {"latency_s", "achieved_macs_per_s"}
    assert set(present_columns(ledgers.known_ledger())) == static - {"lower_bounds"}
    assert set(FOR_PEOPLE) | measured <= set(LEDGER_COLUMNS)


def test_exact_figures_are_in_csv_and_json_and_missing_ones_are_absent() -> None:
    lines = csv.DictReader(io.StringIO(ledger_table(timed(), LedgerQuery(), "csv")))
    by_path = {line["path"]: line for line in lines}
    assert by_path["block.conv"]["macs"] == "1769472"
    assert by_path["block.conv"]["achieved_macs_per_s"] == "3538944.0"  # 1,769,472 in half a second
    assert by_path["head"]["latency_s"] == ""
    document = ledger_document(timed(), LedgerQuery())
    conv, head = document["rows"][2:4]
    assert (conv["macs"], conv["achieved_macs_per_s"]) == (1_769_472, 3_538_944.0)
    # 2 x 1,769,472 + 65,536 operations; 1,792 + 49,152 + 262,144 bytes
    assert (conv["moved_bytes"], conv["arithmetic_intensity"]) == (313_088, 3_604_480 / 313_088)
    assert "latency_s" not in head
    assert document["columns"] == list(by_path["head"])


def test_a_table_shows_the_hierarchy_and_short_figures() -> None:
    lines = ledger_table(timed(), LedgerQuery(), "table").splitlines()
    assert lines[0] == "net from net.onnx (opset 18, weights: seeded)"
    assert lines[6].split() == [
        "conv", "Conv2d", "1.77", "M", "<=", "73.0", "%", "448", "305.75", "KiB", "304.00", "KiB", "11.5",
        "0", "500", "ms", "3.54", "M",
    ]  # fmt: skip
    assert lines[6].startswith("    conv ")
    sorted_lines = ledger_table(timed(), parse_query(None, (), "macs", None), "table").splitlines()
    assert sorted_lines[6].startswith("block.conv ")


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    few = ledger_table(ledgers.ledger(), parse_query("path,macs", ("macs>1",), None, None), "md")
    assert "- rows: 4 of 5 modules" in few
    assert few.splitlines()[2].split() == ["|", "module", "|", "MACs", "|"]
    assert "rows:" not in ledger_table(ledgers.ledger(), LedgerQuery(), "md")


def test_an_infinite_error_is_shown_as_infinite() -> None:
    root, *others = ledgers.MODULES
    ledger = replace(ledgers.ledger(), modules=(replace(root, parity_error=inf), *others))
    assert "inf" in ledger_table(ledger, parse_query("parity_error", (), None, 0), "table")
