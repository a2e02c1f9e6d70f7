from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from onnxlens.errors import GraphError
from onnxlens.specs.ledger import Ledger, NodeCost
from onnxlens.specs.tensor import TensorSpec
from reference_report.tables.annotator_table import AnnotatorRow
from reference_report.tables.cells import GIGA, MEGA, agreement, sum_in_unit
from reference_report.tables.evidence import (
    Evidence,
    batch_norm_elements,
    peer_total,
    score_constants,
    score_shapes,
    used_params,
    where_shape_stands,
)
from reference_report.tables.page import document_report
from reference_report.tables.printed import ANNOTATORS, PrintedAnnotator
from tests.reports.ledgers import FEATURES, LOGITS, MODULES, NODES, ledger

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.mark.parametrize(
    ("printed", "exact", "unit", "said"),
    [
        ("263.13", 263_131_234_304, GIGA, "agree"),
        ("1066", 1_066_235_307, MEGA, "agree"),
        # 14.716168 rounds to 14.72
        ("14.71", 14_716_168, MEGA, "agree, cut off"),
        ("14.72", 14_716_168, MEGA, "agree"),
        # 25.72 / 25.46532352 = 1.0100009
        ("25.72", 25_465_323_520, GIGA, "+1.00 %"),
        ("1.0", 2 * MEGA, MEGA, "-50.00 %"),
    ],
)
def test_a_printed_figure_agrees_as_far_as_its_digits_go(
    printed: str, exact: int, unit: int, said: str
) -> None:
    assert agreement(printed, exact, unit) == said


def test_the_terms_of_a_sum_are_in_one_unit() -> None:
    assert sum_in_unit(GIGA, 803_273_441_280, 1_257_259_466_752) == "803.27 + 1,257.26"


ONNX_TOOL = """\
Name   Type   Sparse Pattern    Forward_MACs  FPercent
-----  -----  --------------  --------------  --------
conv   Conv   1x1                    832,370  6.12%
Total  _      _               13,594,080,962  100%
"""


def test_the_total_of_onnx_tool_is_in_the_column_of_counts() -> None:
    assert peer_total(ONNX_TOOL) == 13_594_080_962
    assert peer_total("Name   Type  Forward_MACs\nTotal  _     1,000\n") == 1_000


def test_a_table_of_onnx_tool_without_totals_is_refused() -> None:
    with pytest.raises(GraphError, match="no row of totals"):
        peer_total("Name  Type  Forward_MACs\n")


def with_nodes(*nodes: NodeCost) -> Ledger:
    """The small ledger with memory traffic at these nodes alone; totals and root are adapted."""
    read, write = (sum(getattr(node, name) for node in nodes) for name in ("read_bytes", "write_bytes"))
    small = ledger()
    totals = replace(
        small.totals,
        read_bytes=small.totals.read_bytes + read,
        write_bytes=small.totals.write_bytes + write,
    )
    root = replace(
        MODULES[0], read_bytes=MODULES[0].read_bytes + read, write_bytes=MODULES[0].write_bytes + write
    )
    tokens = TensorSpec("tokens", "float32", (2, 10, 32))
    context = TensorSpec("context", "float32", (2, 7, 24))
    attention = (
        replace(MODULES[1], path="self", inputs=(tokens,)),
        replace(MODULES[1], path="cross", inputs=(tokens, context)),
    )
    return replace(small, totals=totals, modules=(root, *MODULES[1:], *attention), nodes=(*NODES, *nodes))


def test_batch_norm_elements_are_counted_at_four_bytes_each() -> None:
    norms = [
        NodeCost(f"norm_{size}", "BatchNormalization", "", "block", "Block", write_bytes=4 * size)
        for size in (100, 23)
    ]
    assert batch_norm_elements(with_nodes(*norms)) == 123
    assert batch_norm_elements(ledger()) == 0


def test_attention_scores_of_one_shape_are_one_constant() -> None:
    def softmax(name: str, module: str, elements: int) -> NodeCost:
        return NodeCost(name, "Softmax", "", module, "CrossAttention", write_bytes=4 * elements)

    # batch 2 x 3 heads; 10 queries over 10 and over 7 keys; the first shape twice
    same, cross = 6 * 10 * 10, 6 * 10 * 7
    attending = with_nodes(
        softmax("a", "self", same), softmax("b", "self", same), softmax("c", "cross", cross)
    )
    assert score_shapes(attending) == ((6, 10, 10), (6, 10, 7))
    assert score_constants(attending) == 600 + 420


def test_a_shape_is_found_among_the_outputs_and_inside() -> None:
    assert where_shape_stands(ledger(), "(1, 10)") == ""
    assert where_shape_stands(ledger(), "(1, 16, 64, 64)") == (
        "(1, 16, 64, 64) is inside, behind `block.conv`: the output is (1, 10)"
    )
    assert where_shape_stands(ledger(), "(9, 9)") == "no module puts out (9, 9): the output is (1, 10)"
    several = replace(ledger(), modules=(replace(MODULES[0], outputs=(FEATURES, LOGITS)), *MODULES[1:]))
    assert where_shape_stands(several, "(1, 10)") == "(1, 10) is output 2 of 2, `logits`"
    twice = replace(ledger(), modules=(replace(MODULES[0], outputs=(LOGITS, FEATURES, LOGITS)), *MODULES[1:]))
    assert where_shape_stands(twice, "(1, 10)") == "(1, 10) is the shape of 2 of 3 outputs, number 1 and 3"


def test_params_that_no_node_reads_are_noted() -> None:
    # 448 of the convolution, 655,360 of the product
    assert used_params(ledger()) == 655_808
    spare = replace(ledger(), totals=replace(ledger().totals, params=655_809))
    row = AnnotatorRow(PrintedAnnotator("x", "", "", "", "", "?", "?", "net"), spare, None)
    assert row.difference == "not known there"
    assert row.reasons == "655,808 of the 655,809 params are used by the forward pass"


def test_onnx_tools_counts_add_up_only_where_none_is_missing() -> None:
    assert Evidence(lambda graph, pixels: ledger(), {"a": 1}).peers("a", "b") is None
    assert Evidence(lambda graph, pixels: ledger(), {"a": 1, "b": 2}).peers("a", "b") == 3


def test_every_row_of_the_page_has_the_cells_of_its_table() -> None:
    texts = document_report(Evidence(lambda graph, pixels: ledger(), {}), REPORTS)
    assert "not computed here: onnx-tool's tables are missing" in texts["README.md"]
    assert len(texts["annotators.csv"].splitlines()) == 1 + len(ANNOTATORS)
    for block in texts["README.md"].split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.strip().splitlines()}) == 1
