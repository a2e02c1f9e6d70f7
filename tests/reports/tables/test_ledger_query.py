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
from onnxlens.reports.tables.bounds import FIGURES
from onnxlens.reports.tables.columns import (
    COLUMNS,
    LEDGER_COLUMNS,
    NAMED_ONLY,
    PEER_NAMES,
    PERCENT,
    TIME_SHARE,
    present_columns,
)
from onnxlens.reports.tables.fused import FUSED
from onnxlens.reports.tables.ledger import FOR_PEOPLE, Layout, cost_document, cost_table
from onnxlens.reports.tables.query import Asked, Query, understood
from onnxlens.specs.ledger import Ledger
from tests.reports import ledgers

# MACs: model 2,424,832; block and block.conv 1,769,472; head 655,360; unused 0
ALL = ["net", "block", "block.conv", "head", "unused"]


def timed() -> Ledger:
    """The block has taken 2 s and its convolution 0.5 s; the rest was not timed."""
    seconds = {"block": 2.0, "block.conv": 0.5}
    modules = tuple(replace(m, latency_s=seconds.get(m.path)) for m in ledgers.MODULES)
    return replace(ledgers.ledger(), modules=modules)


def rows(ledger: Ledger, *where: str, sort: str | None = None, **options: Any) -> list[Any]:
    query = understood(Asked(columns="path", where=where, sort=sort, **options))
    return [row["path"] for row in cost_document(ledger, query)["rows"]]


@pytest.mark.parametrize(
    ("where", "paths"),
    [
        (("macs>655360",), ["net", "block", "block.conv"]),
        (("macs >= 6.5536e5",), ["net", "block", "block.conv", "head"]),
        (("macs<1",), ["unused"]),
        (("macs<=0",), ["unused"]),
        (("macs=655360",), ["head"]),
        (("macs!=655360",), ["net", "block", "block.conv", "unused"]),
        (("class=Linear",), ["head", "unused"]),
        (("class!=Linear",), ["net", "block", "block.conv"]),
        (("path~lock.*nv",), ["block.conv"]),
        (("path!~^(block|head)",), ["net", "unused"]),
        (("class==Linear and macs > 655.36k", "macs<1G"), []),
        (("class == 'Conv2d' or not (macs >= 1 or class~^N)",), ["block.conv", "unused"]),
        (("own_macs==0 and macs>0",), ["block"]),  # what the model's own Sort takes is not known
        (("inputs~4096 or kernel==3x3",), ["net", "block", "block.conv", "head"]),
        (("class=Linear", "macs>0"), ["head"]),
        (("arithmetic_intensity>=0",), ["net", "block", "block.conv", "head"]),
        (("depth>7",), []),
    ],
)
def test_a_row_is_shown_when_it_passes_every_condition(where: tuple[str, ...], paths: list[str]) -> None:
    assert rows(ledgers.ledger(), *where) == paths


def test_depth_leaves_out_what_lies_deeper() -> None:
    assert rows(ledgers.ledger(), depth=1) == ["net", "block", "head", "unused"]
    assert rows(ledgers.ledger()) == ALL


@pytest.mark.parametrize(
    ("sort", "paths"),
    [
        ("macs", ["net", "block", "block.conv", "head", "unused"]),
        ("macs:asc", ["unused", "head", "block", "block.conv", "net"]),
        ("path:desc", ["unused", "net", "head", "block.conv", "block"]),
        ("class", ["block", "block.conv", "head", "unused", "net"]),
        ("latency_s", ["block", "block.conv", "net", "head", "unused"]),
        ("latency_s:asc", ["block.conv", "block", "net", "head", "unused"]),
        ("achieved_macs_per_s", ["block.conv", "block", "net", "head", "unused"]),
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
        ({"columns": "memory trafic"}, "did you mean memory traffic?"),
        ({"columns": "node"}, "no column is called 'node'"),
        ({"own": True, "by": "op"}, "--own is about modules; leave out --by op"),
        ({"fits": "2MiB or so"}, "--fits '2MiB or so': ' or so' follows a number; give a size such as 2MiB"),
        ({"fits": "2ms"}, "'ms' is not a unit of working_bytes"),
        ({"fits": "-1"}, "--fits '-1': nothing fits into that; give a size such as 2MiB"),
        ({"leaves": True, "by": "node"}, "--leaves is about modules; leave out --by node"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_remedy(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        understood(Asked(**arguments))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "asked", [{"columns": "latency_s"}, {"where": ("latency_s>1",)}, {"sort": "latency_s"}]
)
def test_a_column_that_was_not_computed_cannot_be_selected(asked: dict[str, Any]) -> None:
    query = understood(Asked(**asked))
    with pytest.raises(UsageError, match="column latency_s holds no figure; give --latency"):
        cost_document(ledgers.ledger(), query)


def test_columns_without_a_figure_are_absent() -> None:
    measured = {name for name, cost in COSTS.items() if cost.measured_by}
    peers = {*PEER_NAMES.values()}
    asked = {"working_bytes", "fits", "timed_in", *FIGURES, *FUSED}
    asked |= {"active_params", "expected_weight_read_bytes"}  # of experts, of which there are none
    measured |= {TIME_SHARE}
    static = set(LEDGER_COLUMNS) - NAMED_ONLY - measured - asked - peers - {name + PERCENT for name in peers}
    assert set(present_columns(ledgers.ledger())) == static
    assert set(present_columns(timed())) == static | {"latency_s", TIME_SHARE, "achieved_macs_per_s"}
    assert set(present_columns(ledgers.known_ledger())) == static - {"lower_bounds"}
    assert all(set(names) <= set(COLUMNS[by]) for by, names in FOR_PEOPLE.items())


def test_exact_figures_are_in_csv_and_json_and_missing_ones_are_absent() -> None:
    lines = csv.DictReader(io.StringIO(cost_table(timed(), Query(), "csv")))
    by_path = {line["path"]: line for line in lines}
    assert by_path["block.conv"]["macs"] == "1769472"
    assert by_path["block.conv"]["achieved_macs_per_s"] == "3538944.0"  # 1,769,472 in half a second
    assert by_path["head"]["latency_s"] == ""
    document = cost_document(timed(), Query())
    conv, head = document["rows"][2:4]
    assert (conv["macs"], conv["achieved_macs_per_s"]) == (1_769_472, 3_538_944.0)
    # 2 x 1,769,472 + 65,536 operations; 1,792 + 49,152 + 262,144 bytes
    assert (conv["moved_bytes"], conv["arithmetic_intensity"]) == (313_088, 3_604_480 / 313_088)
    assert "latency_s" not in head
    assert document["columns"] == list(by_path["head"])
    assert not any("onnx_tool" in name or "thop" in name or "fvcore" in name for name in document["columns"])


def test_a_table_shows_the_hierarchy_and_short_figures() -> None:
    lines = cost_table(timed(), Query(), "table").splitlines()
    assert lines[0] == "net from net.onnx (opset 18, weights: seeded)"
    assert lines[6].split() == [
        "conv", "Conv2d", "1.77", "M", "<=", "73.0", "%", "500", "ms", "3.54", "M", "448",
        "305.75", "KiB", "304.00", "KiB", "0", "(1,", "3,", "64,", "64)", "(1,", "16,", "64,", "64)", "11.5",
        "Conv", "1",
    ]  # fmt: skip
    assert lines[6].startswith("    conv ")
    sorted_lines = cost_table(timed(), understood(Asked(sort="macs")), "table").splitlines()
    assert sorted_lines[6].startswith("block.conv ")


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    few = cost_table(ledgers.ledger(), understood(Asked(columns="path,macs", where=("macs>1",))), "md")
    assert "- rows: 4 of 5 modules" in few
    assert few.splitlines()[2].split() == ["|", "path", "|", "macs", "|"]
    assert "rows:" not in cost_table(ledgers.ledger(), Query(), "md")


def test_an_infinite_error_is_shown_as_infinite() -> None:
    root, *others = ledgers.MODULES
    ledger = replace(ledgers.ledger(), modules=(replace(root, parity_error=inf), *others))
    assert "inf" in cost_table(ledger, understood(Asked(columns="parity_error", depth=0)), "table")


MACS = {"net": 0, "block": 0, "block.conv": 1_769_472, "head": 655_360, "unused": 0}
"""Of each module's own nodes: a Sort, an Exp, a Conv, a Gemm and what is folded, nothing."""


def test_own_costs_leave_out_the_modules_inside_and_top_ranks_by_them() -> None:
    document = cost_document(ledgers.known_ledger(), understood(Asked(own=True, columns="path,macs,params")))
    assert {row["path"]: row["own_macs"] for row in document["rows"]} == MACS
    assert document["columns"] == ["path", "own_macs", "own_params"]
    assert document["sum"] == {"own_macs": 2_424_832, "own_params": 448 + 655_360}
    assert rows(ledgers.known_ledger(), own=True, top=2) == ["block.conv", "head"]
    assert rows(ledgers.known_ledger(), top=2) == ["net", "block"]
    assert rows(ledgers.ledger(), leaves=True) == ["block.conv", "head", "unused"]


@pytest.mark.parametrize(
    ("where", "macs", "moved"),
    [
        ("path==block or path==block.conv", 1_769_472, 313_088 + 2 * 262_144),  # the convolution once
        ("class==Linear", 655_360, 2_621_440 + 262_144 + 40),
        ("path!~block", 2_424_832, 4_245_288),  # the model has all
        ("depth>7", 0, 0),
    ],
)
def test_the_sum_of_rows_counts_every_node_once(where: str, macs: int, moved: int) -> None:
    document = cost_document(ledgers.known_ledger(), understood(Asked(where=(where,))))
    assert (document["sum"]["macs"], document["sum"]["moved_bytes"]) == (macs, moved)
    assert document["sum"]["own_macs"] == sum(MACS[row["path"]] for row in document["rows"])
    assert document["totals"]["macs"] == 2_424_832


def test_the_sum_of_what_is_partly_unknown_is_a_lower_bound() -> None:
    found = cost_document(ledgers.ledger(), understood(Asked(where=("depth<1",))))
    assert found["sum"]["lower_bounds"] == "macs vector_ops special_ops flops"
    assert "lower_bounds" not in cost_document(ledgers.ledger(), understood(Asked(leaves=True)))["sum"]


@pytest.mark.parametrize(("by", "names"), [("op", ["Conv", "Gemm"]), ("node", ["conv", "gemm"])])
def test_operators_and_nodes_are_asked_for_and_summed_likewise(by: Any, names: list[str]) -> None:
    query = understood(Asked(by, where=("macs>0",), sort="macs"))
    document = cost_document(ledgers.ledger(), query)
    assert [row.get("node", row["operator"]) for row in document["rows"]] == names
    assert document["sum"]["moved_bytes"] == 313_088 + 2_621_440 + 262_144 + 40
    assert any(line.startswith("sum of 2") for line in cost_table(ledgers.ledger(), query).splitlines())


def test_sums_stand_below_the_rows_they_are_of_and_beside_the_total() -> None:
    lines = cost_table(
        ledgers.known_ledger(), understood(Asked(columns="path,macs,macs_percent", where=("class==Linear",)))
    ).splitlines()
    assert [line.split() for line in lines[4:9]] == [
        ["head", "655.36", "k", "27.0", "%"],
        ["unused", "0", "0.0", "%"],
        lines[3].split(),
        ["sum", "of", "2", "655.36", "k", "27.0", "%"],
        ["total", "2.42", "M", "100.0", "%"],
    ]
    assert lines[10] == "rows: 2 of 5 modules"


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"where": ("macs>1G",)}, "rows: 0 of 5 modules: none passes --where; macs goes from 0 to 2.42 M"),
        ({"where": ("class==Linear",), "top": 1}, "rows: 1 of 5 modules, the first of 2 that pass"),
        ({"where": ("class==Conv2d",), "depth": 1}, "deeper than --depth 1: 1 more that pass"),
        ({"top": 1}, "rows include the modules inside them; --own ranks each module without those"),
    ],
)
def test_what_is_left_out_is_said(asked: dict[str, Any], line: str) -> None:
    assert line in cost_table(ledgers.known_ledger(), understood(Asked(**asked))).splitlines()


def test_a_row_that_a_lower_bound_leaves_open_is_left_out_and_counted() -> None:
    lines = cost_table(ledgers.ledger(), understood(Asked(where=("macs<1G",)))).splitlines()
    assert "rows: 4 of 5 modules" in lines
    assert "undecided: 1 modules, of which only a lower bound is known, are left out" in lines


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("class==conv2d", "no class is 'conv2d'; did you mean Conv2d?"),
        ("class!=Lienar", "no class is 'Lienar'; did you mean Linear?"),
        ("macs>0 and not class==Swish", "no class is 'Swish'; there are 'Net', 'Block', 'Conv2d', 'Linear'"),
        ("path~HEAD", r"no path matches 'HEAD'; 'head' matches in other letters: \(\?i\)HEAD"),
        ("path!~attn", "no path matches 'attn'; there are 'net', 'block', "),
    ],
)
def test_a_text_that_no_row_has_is_refused(where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cost_table(ledgers.ledger(), understood(Asked(where=(where,))))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("MACs", "macs"),
        ("Memory Traffic", "moved_bytes"),
        ("in", "inputs"),
        ("module", "path"),
        ("#", "order"),
    ],
)
def test_short_names_and_titles_name_columns_too(given: str, name: str) -> None:
    assert understood(Asked(columns=given)).columns == (name,)


def test_the_model_has_a_name_that_no_module_has() -> None:
    root, block, *others = ledgers.MODULES
    named = replace(ledgers.ledger(), graph="block", modules=(root, block, *others))
    assert rows(named)[:2] == ["(block)", "block"]


@pytest.mark.parametrize(
    ("width", "last"), [(40, "share"), (80, "live"), (120, "inputs"), (None, "operators")]
)
def test_columns_that_do_not_fit_are_left_out_and_named(width: int | None, last: str) -> None:
    lines = cost_table(ledgers.known_ledger(), Query(), layout=Layout(width, explain=False)).splitlines()
    assert lines[2].split()[-1] == last
    assert all(len(line) <= (width or 1_000) for line in lines[2:8])
    shown, left_out = lines[2].split(), [line for line in lines if line.startswith("columns: ")]
    assert len(left_out) == (width is not None)
    assert not left_out or not set(shown) & set(left_out[0].replace(",", "").split())
    assert lines[-1] == "what macs mean: --explain"


def test_what_fits_is_marked_and_a_lower_bound_fits_only_where_it_cannot() -> None:
    sizes = (4_000_000, 2 * 2**20, 2 * 2**20 + 1, 100, 0)
    modules = [replace(m, working_bytes=size) for m, size in zip(ledgers.MODULES, sizes, strict=True)]
    modules[3] = replace(modules[3], lower_bounds=("working_bytes",))
    ledger = replace(ledgers.ledger(), modules=tuple(modules))
    query = understood(Asked(columns="path,fits", fits="2MiB"))
    found = {row["path"]: row.get("fits") for row in cost_document(ledger, query)["rows"]}
    assert found == {"net": "no", "block": "yes", "block.conv": "no", "head": None, "unused": "yes"}
    lines = cost_table(ledger, query).splitlines()
    assert "fits: 2 of 5 modules take at most 2.00 MiB alone" in lines
    assert lines[7].split() == ["head", "?"]
    assert rows(ledger, "fits==no", fits="2MiB") == ["net", "block.conv"]


def test_where_no_module_is_known_to_fit_a_table_says_so() -> None:
    bounds = [replace(m, working_bytes=100, lower_bounds=("working_bytes",)) for m in ledgers.MODULES]
    lines = cost_table(replace(ledgers.ledger(), modules=tuple(bounds)), understood(Asked(fits="2MiB")))
    assert "fits: ? of 5 modules take at most 2.00 MiB alone" in lines.splitlines()


def test_a_working_set_that_was_not_computed_is_no_column() -> None:
    with pytest.raises(UsageError, match="column fits holds no figure; give --fits SIZE"):
        cost_table(ledgers.ledger(), understood(Asked(where=("fits==yes",))))


def test_words_that_a_column_may_hold_are_no_slip_where_no_row_has_them() -> None:
    lines = cost_table(
        ledgers.known_ledger(), understood(Asked("node", where=("status==unknown",)))
    ).splitlines()
    assert "rows: 0 of 5 nodes: none passes --where" in lines
    with pytest.raises(UsageError, match="no evidence is 'wieghts'; did you mean weights"):
        cost_table(ledgers.ledger(), understood(Asked(where=("evidence==wieghts",))))


def test_shares_of_a_whole_that_is_not_known_are_no_figures() -> None:
    lines = cost_table(ledgers.ledger(), understood(Asked(where=("share>5%",)))).splitlines()
    assert "rows: 0 of 5 modules: none passes --where; share has no figure in any row" in lines


def test_a_table_of_own_costs_shows_none_of_the_whole() -> None:
    heads = cost_table(timed(), understood(Asked(own=True))).splitlines()[2].split()
    assert not {"live", "latency", "macs/s", "macs"} & set(heads)
    assert {"own_macs", "own_share", "own_params", "own_moved", "own_operators"} <= set(heads)


def test_a_table_shows_what_its_rows_are_chosen_by() -> None:
    """Also where that is none of the columns that matter most, and on a narrow screen."""
    query = understood(Asked(sort="special_ops", where=("depth>0 and moved_share>1",)))
    text = cost_table(ledgers.known_ledger(), query, layout=Layout(80, explain=False))
    assert text.split("\n\n")[1].split()[:5] == ["path", "class", "depth", "moved_share", "special_ops"]
