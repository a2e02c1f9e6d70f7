"""What lacks the cost of unknown nodes says so, whichever verb and format it is printed by."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from tests.cli.calls import done, onnxlens
from tests.profile.models import op, save, trace_in, value, weight


def odd_net(folder: Path, *, sized: bool = True, known: bool = True) -> Path:
    """A product in ``stem`` and in ``head`` what cannot be counted.

    ``sized`` says whether its output has a shape; without ``known`` it is all there is.
    """
    operator, domain = ("Inverse", "com.microsoft") if sized else ("Wobble", "com.odd")
    inverse = helper.make_node(operator, ["h" if known else "x"], ["y"], name="odd", domain=domain)
    trace_in(inverse, "head")
    product = [op("MatMul", "x w", "h", "stem")] if known else []
    given = value("x", (7, 13, 11) if known else (7, 13, 13))
    return save(
        folder, [*product, inverse], [given], [value("y", (7, 13, 13) if sized else None)],
        [weight("w", 11, 13)] if known else [], between=[value("h", (7, 13, 13))] if known else [],
        opsets={"": 18, domain: 1},
    )  # fmt: skip


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return odd_net(tmp_path)


PRODUCT = 7 * 13 * 13 * 11
"""MACs of the only product."""
COUNTED = f"{PRODUCT:,}"
SHORT = "13.01 k"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def without_bounds(text: str) -> list[str]:
    """The lines in which the product's count stands for a whole without a sign."""
    whole = re.compile(rf"(?<!>= )({re.escape(COUNTED)}|{re.escape(SHORT)})")
    return [line for line in text.splitlines() if whole.search(line) and "stem" not in line]


@pytest.mark.parametrize("call", [("profile",), ("ledger",), ("profile", "--by", "module", "--depth", "0")])
@pytest.mark.parametrize("form", ["table", "md"])
def test_tables_mark_every_total_and_give_no_share_of_it(call: tuple[str, ...], form: str, net: Path) -> None:
    text = done(call[0], net, *call[1:], "--format", form)
    assert f"total: >= {COUNTED} MACs ({SHORT})" in text
    assert f">= {SHORT}" in text
    assert [line for line in without_bounds(text.replace(f"MACs ({SHORT})", "")) if "total" not in line] == []
    assert "100.0 %" not in text
    assert ">=: at least" in text


def test_a_whole_of_which_nothing_is_known_is_a_question_mark_and_no_0(tmp_path: Path) -> None:
    path = odd_net(tmp_path, sized=False, known=False)
    for call in (("profile",), ("profile", "--by", "op"), ("ledger",)):
        text = done(call[0], path, *call[1:])
        assert "total: ? MACs, ? FLOPs, 0 params" in text
        assert "memory traffic, unfused: ?; " in text
        assert not re.search(r"(?<![\d.])0(\.0 %| MACs)", text)
        root = text.splitlines()[4]
        assert root.count("?") >= 3


@pytest.mark.parametrize("by", ["module", "op"])
def test_csv_has_the_number_and_says_which_are_lower_bounds(by: str, net: Path) -> None:
    table = rows(done("profile", net, "--by", by, "--format", "csv"))
    bounds = {row.get("path", row.get("operator")): row["lower_bounds"] for row in table}
    lacking = "macs vector_ops special_ops flops"
    expected = {"made": lacking, "stem": "", "head": lacking}
    assert bounds == (expected if by == "module" else {"MatMul": "", "com.microsoft::Inverse": lacking})
    assert table[0]["macs"] == str(PRODUCT)


def test_a_ledgers_columns_come_with_their_bounds(net: Path) -> None:
    table = rows(done("ledger", net, "--columns", "path,macs,macs_percent", "--format", "csv"))
    assert [list(row.values()) for row in table] == [
        ["made", str(PRODUCT), "", "macs vector_ops special_ops flops"],
        ["stem", str(PRODUCT), "", ""],
        ["head", "0", "", "macs vector_ops special_ops flops"],
    ]  # fmt: skip


def documents(net: Path, tmp_path: Path) -> dict[str, Any]:
    explorer = tmp_path / "explorer.json"
    done("render", net, "--viewer", "model-explorer", "--out", explorer)
    return {
        "profile": json.loads(done("profile", net, "--format", "json")),
        "ledger": json.loads(done("ledger", net, "--format", "json")),
        "explorer": json.loads(explorer.read_text()),
        "macs": json.loads(explorer.with_suffix(".macs.json").read_text()),
    }


def test_documents_name_the_figures_that_are_lower_bounds(net: Path, tmp_path: Path) -> None:
    found = documents(net, tmp_path)
    lacking = ["macs", "vector_ops", "special_ops", "flops"]
    for kind in ("profile", "ledger"):
        assert found[kind]["totals"]["lower_bounds"] == lacking
    modules = {module["path"]: module for module in found["profile"]["modules"]}
    assert {path: module.get("lower_bounds") for path, module in modules.items()} == {
        "": lacking, "stem": None, "head": lacking,
    }  # fmt: skip
    boxes = {box["path"]: box for box in found["profile"]["flow"]["nodes"] if box["order"]}
    assert (boxes["stem"]["macs"], "macs" in boxes["head"]) == (PRODUCT, False)
    assert boxes["head"]["lower_bounds"] == lacking
    assert found["explorer"]["graphs"][0]["groupNodeAttributes"][""]["macs"] == f">= {SHORT} ({COUNTED})"
    assert "at least" in next(iter(found["macs"].values()))["name"]


def test_bytes_are_lower_bounds_where_a_shape_is_unknown(tmp_path: Path) -> None:
    document = json.loads(done("profile", odd_net(tmp_path, sized=False), "--format", "json"))
    lacking = document["totals"]["lower_bounds"]
    assert {"moved_bytes", "live_bytes"} <= set(lacking)
    assert "arithmetic_intensity" not in document["totals"]
    live = {module["path"]: "live_bytes" in module.get("lower_bounds", ()) for module in document["modules"]}
    assert live == {"": True, "stem": False, "head": True}  # the product is done before


def test_pictures_mark_titles_boxes_and_tooltips(net: Path, tmp_path: Path) -> None:
    done("render", net, "--out", tmp_path / "net.svg")
    texts = re.findall(r">([^<>]+)<", (tmp_path / "net.svg").read_text().replace("&gt;", "»"))
    lines = [line for text in texts for line in text.splitlines()]
    assert f"from graph.onnx; 2 boxes, »= {SHORT} MACs, 143 params" in lines
    assert "? MACs, 0 params" in lines or "? MACs" in lines  # of the head
    assert any(line.startswith("fill: share of all known MACs") for line in lines)
    assert not any("100.0 %" in line for line in lines)


def test_counters_side_by_side_mark_what_they_lack(net: Path) -> None:
    total = next(line for line in done("reconcile", net).splitlines() if line.startswith("total"))
    assert f">= {COUNTED}" in total


def test_a_benchs_rows_have_no_macs_of_unknown_nodes(net: Path) -> None:
    document = json.loads(onnxlens("bench", net, "--runs", "1", "--warmup", "0", "--format", "json").out)
    times = {module["path"]: module["time"].get("macs") for module in document["modules"]}
    assert (times[""], times["head"]) == (None, None)
