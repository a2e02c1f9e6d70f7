"""What other tools report as columns: of every kind of row, what it lacks, and how it fits a screen."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from onnxlens.errors import UsageError
from onnxlens.reports.documents import profile_document
from onnxlens.reports.numbers import TOOL_COSTS
from onnxlens.reports.tables.led import doubts, led_documents, led_notes, led_share
from onnxlens.reports.tables.ledger import Layout, cost_document, cost_table
from onnxlens.reports.tables.query import Asked, understood
from onnxlens.reports.tables.tools import heading
from onnxlens.specs.layers import METRICS, LayerMatch, LayerRecord, LayerReport, ToolCosts
from onnxlens.specs.ledger import Ledger
from tests.reports import ledgers
from tests.reports.tool_costs import CONV, EXP, GEMM, HEAD, PAIR, costs, ledger
from tests.specs.test_document_schemas import complaints, schema

AT = "@ethos-u-u55-256"


def rows(of: Ledger, key: str = "path", **asked: Any) -> dict[str, dict[str, str]]:
    text = cost_table(of, understood(Asked(**asked)), "csv")
    return {row[key]: row for row in csv.DictReader(io.StringIO(text))}


def column(name: str, key: str = "path", **asked: Any) -> dict[str, str]:
    return {key: row[name + AT] for key, row in rows(ledger(), key, **asked).items()}


def test_a_module_has_what_the_tool_says_of_the_nodes_in_it() -> None:
    assert column("cycles") == {"net": "980", "block": "900", "block.conv": "600", "head": "80", "unused": ""}
    assert column("time_s") == {"net": "0.5", "block": "", "block.conv": "", "head": "0.5", "unused": ""}
    assert column("error")["net"] == "0.25"  # the largest
    assert column("placement") == {
        "net": "npu 2; cpu 1", "block": "npu", "block.conv": "npu", "head": "cpu", "unused": "",
    }  # fmt: skip
    assert column("refused")["net"] == "1 x no Sort" and column("refused")["head"] == ""
    # the pair is of the block alone, but of more than its convolution; neighbors told of which the other is
    assert column("led") == {
        "net": "exact, aligned (0.80)", "block": "exact", "block.conv": "shared",
        "head": "exact, aligned (0.80)", "unused": "",
    }  # fmt: skip


def test_other_rows_have_it_too() -> None:
    by_node = column("cycles", "node", by="node")
    assert by_node == {"conv": "600", "exp": "300", "sort": "", "fold": "", "gemm": "80"}
    assert column("refused", "node", by="node")["sort"] == "no Sort"
    assert column("cycles", "operator", by="op")["Conv"] == "600"
    assert column("led", "operator", by="op")["Gemm"] == "exact, aligned (0.80)"


def test_a_module_without_those_inside_has_its_own() -> None:
    own = {path: row[f"own_cycles{AT}"] for path, row in rows(ledger()).items()}
    assert own == {"net": "", "block": "300", "block.conv": "600", "head": "80", "unused": ""}
    assert rows(ledger())["block"][f"own_led{AT}"] == "shared"
    assert list(rows(ledger(), own=True, sort=f"cycles{AT}", top=2)) == ["block.conv", "block"]
    shown = cost_table(ledger(), understood(Asked(own=True, where=(f"own_cycles{AT}>300",))))
    sums = next(line for line in shown.splitlines() if line.startswith("sum of 1"))
    assert "600" in sums and "own_cycles" in shown


def test_macs_are_compared_with_ours() -> None:
    ratios = column("macs_ratio")
    assert ratios["block.conv"] == "1.0" and ratios["head"] == "2.0" and ratios["unused"] == ""
    assert float(ratios["net"]) == (1_769_472 + 2 * 655_360) / (1_769_472 + 655_360)
    unknown = replace(ledgers.ledger(), tools=(costs(),))
    assert rows(unknown)["net"][f"macs_ratio{AT}"] == ""  # ours lack those of the unknown node


def test_parts_and_what_is_lacking_are_marked_for_people() -> None:
    shown = cost_table(ledger(), understood(Asked(columns=f"path,cycles{AT},time_s{AT},macs_ratio{AT}")))
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line}
    assert lines["conv"] == ["~600", "-", "~1", "x"]
    assert lines["block"] == ["900", "-", "1", "x"]
    assert lines["net"] == ["980", ">=", "500", "ms", "1.27", "x"]  # of the convolution no time is told
    few = ToolCosts(costs().report, (), {"cycles": {CONV: 600}})
    assert ">= 600" in cost_table(ledger(few), understood(Asked()))


def test_rows_are_chosen_and_sorted_by_it() -> None:
    where = (f"cycles{AT}>100 and placement{AT}==npu and led{AT}!=shared",)
    assert list(rows(ledger(), where=where)) == ["block"]
    assert list(rows(ledger(), sort=f"cycles{AT}", leaves=True)) == ["block.conv", "head", "unused"]
    assert list(rows(ledger(), sort=f"TIME_S{AT}", top=1)) == ["net"]
    shown = cost_table(ledger(), understood(Asked(where=(f"cycles{AT}>=600",))))
    total = next(line for line in shown.splitlines() if line.startswith("sum of 3"))
    assert "980" in total


def test_a_document_has_the_columns_and_how_they_were_led_back() -> None:
    document = cost_document(ledger(), understood(Asked()))
    assert complaints("ledger", document) == []
    assert document["rows"][1][f"cycles{AT}"] == 900 and f"time_s{AT}" not in document["rows"][1]
    (tool,) = document["tools"]
    assert tool["totals"] == {"time_s": 0.5, "cycles": 1000, "macs": 1_769_472 + 2 * 655_360, "error": 0.25}
    assert tool["led"]["cycles"] == {"exact": 80, "shared": 900, "unattributed": 20}
    assert tool["records"] == {"total": 3, "exact": 1, "shared": 1, "unattributed": 1}
    assert (tool["refused"], tool["unattributed"]) == ({"sort": "no Sort"}, ["copy"])
    whole = profile_document(ledger(), ledgers.flow())
    assert whole["modules"][1][f"cycles{AT}"] == 900 and whole["tools"] == document["tools"]
    assert complaints("profile", {**whole, "flow": whole["flow"]}) == []
    assert led_documents(ledgers.ledger()) == {}


def test_a_figure_of_another_layer_at_a_fused_node_makes_no_part() -> None:
    """The convolution has all of its layer; what stands at the node behind it is of a layer of its own."""
    beside = LayerRecord("exp", "Exp", ("exp",), "npu", {"cycles": 7})
    matches = (
        LayerMatch(PAIR, "fused", "node", 1.0, (CONV, EXP), (CONV,)),
        LayerMatch(beside, "exact", "node", 1.0, (EXP,), (EXP,)),
    )
    found = rows(ledger(replace(costs(), matches=matches, figures={"cycles": {CONV: 900, EXP: 7}})))
    assert found["block.conv"][f"led{AT}"] == "fused"
    assert found["block"][f"own_led{AT}"] == "exact"


@pytest.mark.parametrize("kind", ["ledger", "profile"])
def test_the_schemas_know_every_metric(kind: str) -> None:
    (pattern,) = (
        each
        for key in ("row", "module")
        for each in schema(kind)["$defs"].get(key, {}).get("patternProperties", ())
        if "(time_s" in each
    )
    assert pattern == f"^(own_)?({'|'.join((*METRICS, 'bound_ratio', 'macs_ratio'))})@.+$"
    assert set(TOOL_COSTS) == {*METRICS, "bound_ratio", "macs_ratio"}
    named = schema("layer-report")["$defs"]["record"]["properties"]["figures"]["propertyNames"]["enum"]
    assert named == list(METRICS)


def test_notes_say_what_the_report_is_and_what_leads_nowhere() -> None:
    first, *others = led_notes(costs())
    assert first == (
        "ethos-u-u55-256: ethos-u 5.2.0, 3 records: time all exact; "
        "cycles 8.0 % exact, 90.0 % shared, 2.0 % at no node; macs 42.6 % exact, 57.4 % shared"
    )
    assert others == [
        "ethos-u-u55-256: lead to no node: copy",
        "ethos-u-u55-256: refused: sort (no Sort)",
        "ethos-u-u55-256: a model",
    ]


def test_a_report_of_another_model_or_size_is_doubted() -> None:
    assert doubts(ledger(), costs()) == []
    lost = ToolCosts(
        costs().report,
        (LayerMatch(PAIR, "unattributed", "none", 0, ()), LayerMatch(HEAD, "exact", "node", 1, (GEMM,))),
        {"cycles": {GEMM: 80}},
    )
    assert led_share(ToolCosts(costs().report, lost.matches[:1], {})) == 0
    only_cycles = replace(HEAD, figures={"cycles": 80})
    lost = replace(lost, matches=(lost.matches[0], LayerMatch(only_cycles, "exact", "node", 1, (GEMM,))))
    assert led_share(lost) == pytest.approx(80 / 980)
    assert doubts(ledger(), lost) == [
        "only 8.2 % of ethos-u-u55-256 leads back to net: is the report of another model, or of a file whose "
        "nodes have other names?"
    ]
    four = replace(HEAD, figures={"macs": 4 * 655_360})
    larger = ToolCosts(costs().report, (LayerMatch(four, "exact", "node", 1, (GEMM,)),), {})
    assert "have 4 times the MACs of net: is the report of another picture" in doubts(ledger(), larger)[0]
    heads = replace(HEAD, figures={"macs": 655_360 // 4})
    whole = replace(larger, matches=4 * (LayerMatch(heads, "exact", "node", 1, (GEMM,)),))
    assert not any("times the MACs" in doubt for doubt in doubts(ledger(), whole))


def test_a_report_of_another_model_with_equal_names_is_doubted() -> None:
    """Exporters call nodes alike: all cycles lead back, but the model has other products or the report."""
    small = LayerMatch(replace(HEAD, figures={"cycles": 80}), "exact", "node", 1, (GEMM,))
    few = replace(costs(), matches=(small,), refused={})
    assert led_share(few) == 1 and ledger().nodes[CONV].macs > ledger().nodes[GEMM].macs
    assert "of the MACs of net: is the report whole, and of this model?" in doubts(ledger(), few)[0]
    assert doubts(ledger(), replace(few, refused={CONV: "no Conv"})) == []
    lost = LayerMatch(replace(PAIR, figures={"cycles": 1}), "unattributed", "none", 0, ())
    many = replace(few, matches=(replace(small, nodes=(CONV, GEMM)), lost, lost))
    assert doubts(ledger(), many)[0].startswith(
        "2 of 3 layers of ethos-u-u55-256 lead to no node of net, though"
    )
    assert doubts(ledger(), replace(many, matches=many.matches[:2])) == []


def eight() -> Ledger:
    """Reports of eight tools with long names."""
    tools = [
        costs(tool=tool, chip=chip)
        for tool, chip in (
            ("ethos-u", "u55-256"), ("ethos-u", "u85-512"), ("k230", ""), ("rknn", "rk3588"), ("qnn", "v75"),
            ("tpu-mlir", "bm1684x"), ("openvino", ""), ("tensorrt", "NVIDIA H200 SXM, 141 GB"),
        )
    ]  # fmt: skip
    return ledger(*(replace(each, figures={"cycles": each.figures["cycles"]}) for each in tools))


@pytest.mark.parametrize(("width", "fitting"), [(80, 4), (120, 7), (200, 8)])
def test_eight_tools_stand_side_by_side(width: int, fitting: int) -> None:
    shown = cost_table(eight(), understood(Asked()), layout=Layout(width))
    head = shown.splitlines()[2:8]
    rule = next(index for index, line in enumerate(head) if line.startswith("--"))
    assert max(map(len, head)) <= width
    assert " ".join(head[:rule]).split().count("cycles") >= fitting
    if width == 80:
        assert f"cycles@.. ({8 - ' '.join(head[:rule]).split().count('cycles')})" in shown
    wide = cost_table(eight(), understood(Asked()), "md")
    assert "cycles@tensorrt-NVIDIA-H200-SXM-141-GB" in wide.splitlines()[2]


def test_a_heading_is_broken_where_a_label_has_a_hyphen() -> None:
    assert heading("cycles", "k230") == ("cycles", "@k230")
    assert heading("cycles", "ethos-u-u55-256") == ("cycles", "@ethos-u-", "u55-256")
    assert "".join(heading("cycles", "a--b-")[1:]) == "@a--b-"
    assert heading("cycles", "x" * 60) == ("cycles", "@" + 22 * "x" + "…")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            Asked(columns="path,cycles"),
            "is called 'cycles'; cycles@NAME is of the report of that name",
        ),
        (Asked(columns=f"params{AT}"), "'params' is of no chip"),
        (
            Asked(columns="path,cycles@k230"),
            r"a report called k230 .* there are time_s@ethos-u-u55-256, ",
        ),
        (Asked(columns=f"path,energy_pj{AT}"), "energy_pj@ethos-u-u55-256 holds no figure"),
        (Asked(where=(f"placement{AT}>3",)), "holds text"),
    ],
)
def test_a_column_that_no_report_has_is_refused(asked: Asked, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cost_table(ledger(), understood(asked))


def test_what_ends_a_name_is_not_in_a_label() -> None:
    assert LayerReport("trt", (), chip="H200 (141 GB), sxm").label == "trt-H200-141-GB-sxm"
    assert LayerReport("trt", (), chip="H200", called="before").label == "before"
