"""Tables in a peer's convention, and of all conventions side by side."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from onnxlens.reports.tables.ledger import cost_table
from onnxlens.reports.tables.query import Asked, understood
from onnxlens.reports.tables.reconciliation import reconciliation_table
from onnxlens.reports.tables.render import By, TableFormat
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.peers import PeerCost, ReconciledOperator, Reconciliation
from tests.reports.ledgers import CONV, EXP, FOLD, GEMM, SORT, known_ledger, ledger

COUNTS = {
    CONV.node: PeerCost(1_835_008, cause="bias adds"),
    EXP.node: PeerCost(2_097_152, cause="32 an element"),
    SORT.node: PeerCost(unknown_nodes=1, reason="it stops at Sort", cause="it stops at Sort"),
    FOLD.node: PeerCost(),
    GEMM.node: PeerCost(655_370, cause="bias adds"),
}
KNOWN = PeerCost(1_835_008 + 2_097_152 + 655_370)
PARTLY = replace(KNOWN, unknown_nodes=1, reason="it stops at Sort")


def in_convention(found: Ledger, whole: PeerCost) -> Ledger:
    """The ledger as onnx-tool counts: every node's peer, the whole at the root, nothing in other modules."""
    nodes = tuple(replace(node, peer=_count(node.node, whole)) for node in found.nodes)
    modules = tuple(replace(module, peer=PeerCost() if module.path else whole) for module in found.modules)
    totals = replace(found.totals, peer=whole)
    return replace(found, nodes=nodes, modules=modules, totals=totals, convention="onnx-tool")


def _count(name: str, whole: PeerCost) -> PeerCost:
    return PeerCost() if COUNTS[name].unknown_nodes and not whole.unknown_nodes else COUNTS[name]


def table_of(found: Ledger, by: By, depth: int | None, kind: TableFormat) -> str:
    return cost_table(found, understood(Asked(by, depth=depth)), kind)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_counts_are_the_peers_and_the_title_says_whose() -> None:
    found = in_convention(known_ledger(), KNOWN)
    table = rows(table_of(found, "op", None, "csv"))
    assert [(row["operator"], row["onnx_tool_macs"]) for row in table[:3]] == [
        ("Exp", "2097152"), ("Conv", "1835008"), ("Gemm", "655370"),
    ]  # fmt: skip
    assert "vector_ops" not in table_of(found, "op", None, "table").splitlines()[2]
    assert float(table[0]["onnx_tool_macs_percent"]) == pytest.approx(100 * 2_097_152 / KNOWN.macs, abs=5e-4)
    text = table_of(found, "module", 2, "table")
    assert text.startswith("net from net.onnx (opset 18, weights: seeded), as onnx-tool counts\n")
    assert "total: 4,587,530 onnx-tool MACs (4.59 M); ours: 2,424,832 MACs, 655,808 params" in text
    assert "FLOPs" not in text


def test_what_the_peer_cannot_count_is_a_question_mark_and_never_0() -> None:
    found = in_convention(ledger(), PARTLY)
    sort = next(row for row in rows(table_of(found, "op", None, "csv")) if "Sort" in row["operator"])
    assert (sort["onnx_tool_macs"], sort["unknown_nodes"]) == ("", "1")
    text = table_of(found, "op", None, "table")
    assert next(line for line in text.splitlines() if "Sort" in line).split()[1:4] == ["1", "?", "?"]
    assert "total: unknown, because of 1 nodes (it stops at Sort); all others: 4,587,530 onnx-tool" in text
    root = table_of(found, "module", 0, "table").splitlines()[4]
    assert root.split()[2:6] == [">=", "4.59", "M", "?"]  # a share of a part would be wrong


def test_the_first_rows_are_those_that_the_peer_counts_most_for() -> None:
    text = cost_table(in_convention(known_ledger(), KNOWN), understood(Asked("op", top=1)))
    assert text.splitlines()[4].startswith("Exp ")  # a Conv in ours


def test_the_node_table_says_where_each_difference_comes_from() -> None:
    table = rows(table_of(in_convention(ledger(), PARTLY), "node", None, "csv"))
    assert [(row["onnx_tool_macs"], row["why_not_as_ours"]) for row in table] == [
        ("1835008", "bias adds"), ("2097152", "32 an element"), ("", "it stops at Sort"), ("0", ""),
        ("655370", "bias adds"),
    ]  # fmt: skip


def reconciliation() -> Reconciliation:
    nothing = {"onnx-tool": PeerCost(), "fvcore": PeerCost(), "thop": PeerCost()}
    conv = {**nothing, "onnx-tool": PeerCost(1_100, cause="bias adds"), "fvcore": PeerCost(1_000)}
    sort = {**nothing, "onnx-tool": COUNTS["sort"]}
    conv["thop"] = PeerCost(cause="conv2d in Odd: not seen by hooks")
    whole = {"onnx-tool": PeerCost(1_100, 1, "it stops at Sort", "bias adds"), "fvcore": PeerCost(1_000)}
    return Reconciliation(
        "net", "net.onnx", 18, "",
        (
            ReconciledOperator("Conv", "", 2, 1_000, 0, conv),
            ReconciledOperator("Sort", "com.vendor", 1, 0, 1, sort),
            ReconciledOperator("Reshape", "", 4, 0, 0, nothing),
        ),
        ReconciledOperator("", "", 7, 1_000, 1, {**nothing, **whole}),
        {"thop": "modules with a hook"},
    )  # fmt: skip


def test_conventions_are_side_by_side_with_the_cause_of_each_difference() -> None:
    text = reconciliation_table(reconciliation(), "table").splitlines()
    assert text[0] == "net from net.onnx (opset 18): MACs and other counters' figures"
    conv = "1,000 1,100 1,000 0 onnx-tool: bias adds | thop: conv2d in Odd: not seen by hooks".split()
    assert text[4].split() == ["Conv", "2", *conv]
    assert text[5].split() == [
        "com.vendor::Sort",
        "1",
        "?",
        "?",
        "0",
        "0",
        "onnx-tool:",
        "it",
        "stops",
        "at",
        "Sort",
    ]
    assert text[6].split() == ["total", "7", ">=", "1,000", ">=", "1,100", "1,000", "0"]
    assert text[8:] == ["counted by nobody: Reshape", "thop: modules with a hook"]


def test_csv_has_every_operator_whole_and_no_part_of_an_unknown() -> None:
    table = rows(reconciliation_table(reconciliation(), "csv"))
    assert [row["operator"] for row in table] == ["Conv", "com.vendor::Sort", "Reshape", ""]
    assert [row["onnx-tool MACs"] for row in table] == ["1100", "", "0", ""]
    assert [row["MACs"] for row in table] == ["1000", "", "0", ""]
    assert [row["fvcore flops"] for row in table] == ["1000", "0", "0", "1000"]


@pytest.mark.parametrize("kind", ["table", "md"])
def test_people_get_the_meaning_of_each_column(kind: TableFormat) -> None:
    bullet = "- " if kind == "md" else ""
    assert reconciliation_table(reconciliation(), kind).endswith(f"{bullet}thop: modules with a hook")
