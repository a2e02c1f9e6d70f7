"""``onnxlens formula``: tables, documents, options and refusals."""

from __future__ import annotations

import json

import pytest

from tests.api.formula_nets import NETS, saved
from tests.cli.calls import done, onnxlens
from tests.specs.test_document_schemas import complaints


@pytest.fixture(scope="module")
def attention(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(saved(tmp_path_factory.mktemp("formula"), *NETS["attention"]))


def test_a_table_has_a_formula_in_each_column(attention: str) -> None:
    lines = done("formula", attention, "--columns", "macs,flops").splitlines()
    assert lines[0] == "net (net.onnx, opset 18): formulas in batch; length"
    assert lines[4].split(maxsplit=2)[:2] == ["net", "16*batch*length*(length"]


def test_at_gives_the_figures_that_profile_counts(attention: str) -> None:
    at = ("--at", "batch=3,length=50", "--format", "csv", "--columns", "macs,vector_ops,read")
    head, row = done("formula", attention, *at).splitlines()
    sizes = ("--dim", "batch=3,length=50", "--format", "csv", "--columns", "path,macs,vector_ops,read")
    counted = done("profile", attention, *sizes).splitlines()
    assert head == "module,macs,vector_ops,read_bytes"
    assert row.split(",")[1:] == counted[1].split(",")[1:]


def test_the_document_follows_its_schema(attention: str) -> None:
    for options in (
        (),
        ("--at", "batch=1,length=4"),
        ("--by", "node", "--dim", "batch", "--dim", "length=4"),
    ):
        document = json.loads(done("formula", attention, "--format", "json", *options))
        assert complaints("formula", document) == []
    by_node = {row["name"]: row["formulas"]["macs"] for row in document["rows"]}
    assert by_node["s"] == {
        "text": "128*batch",
        "terms": [{"factor": "128", "powers": {"batch": 1}}],
    }  # 2 * 4 * 4 * 4


def test_rows_are_chosen_by_what_they_cost_at_a_size(attention: str) -> None:
    options = ("--by", "op", "--at", "batch=1,length=9", "--columns", "macs")
    table = done("formula", attention, "--where", "macs>100", *options)
    assert "MatMul" in table and "Softmax" not in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--where", "macs>1",), "macs is of figures, which formulas have at sizes only: add --at NAME=SIZE"),
        (("--columns", "live"), "column 'live_bytes' has no formula"),
        (("--at", "batch=1"), "there is no size of 'length'"),
        (("--dim", "batch"), "length stays open; add --dim length or --dim length=SIZE"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_line(
    attention: str, options: tuple[str, ...], message: str
) -> None:
    outcome = onnxlens("formula", attention, *options)
    assert outcome.code == 2
    assert message in outcome.err
