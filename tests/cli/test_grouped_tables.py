"""``--by``: rows that are groups of nodes, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calls import done, onnxlens
from tests.export import tiny as tiny_network


@pytest.mark.parametrize("verb", ["profile", "ledger"])
def test_groups_have_the_columns_and_conditions_of_any_table(verb: str, tiny: Path) -> None:
    document = json.loads(done(verb, tiny, "--by", "path~^(attention|conv)", "--format", "json"))
    assert (document["schema"], document["by"]) == ("onnxlens.ledger/2", "path~^(attention|conv)")
    rows = {row["group"]: row for row in document["rows"]}
    assert set(rows) == {"attention", "conv", "(other)"}
    assert sum(row["macs"] for row in rows.values()) == document["sum"]["macs"] == tiny_network.MACS
    assert sum(row["params"] for row in rows.values()) == document["totals"]["params"]
    text = done(verb, tiny, "--by", "family", "--where", "macs>0 and group!=linear", "--sort", "params")
    assert "attention projection" in text
    assert "rows:" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("sum", "total "))] == [
        "sum", "total",
    ]  # fmt: skip


def test_groups_have_the_time_of_what_ran(tiny: Path) -> None:
    document = json.loads(done("ledger", tiny, "--latency", "--by", "family", "--format", "json"))
    seconds = sum(row["latency_s"] for row in document["rows"])
    assert seconds == pytest.approx(document["sum"]["latency_s"])
    assert seconds > 0


def test_nodes_have_shapes_and_attributes_on_request(tiny: Path) -> None:
    columns = "operator,outputs,attributes,family,dtype"
    document = json.loads(done("profile", tiny, "--by", "node", "--columns", columns, "--format", "json"))
    conv = next(row for row in document["rows"] if row["operator"] == "Conv")
    assert "kernel_shape=3,3" in conv["attributes"].split()
    assert (conv["family"], conv["dtype"]) == ("convolution", "float32")
    assert (
        "attributes" not in json.loads(done("profile", tiny, "--by", "node", "--format", "json"))["columns"]
    )


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("famly", "--by 'famly' tells nothing apart; did you mean family?"),
        ("pth~x", "did you mean path?"),
        ("path~(", "'(' is not a regular expression"),
        ("path~Attention", "matches in other letters"),
        ("path~attn", "no path matches 'attn'"),
        ("absent.toml", "absent.toml: cannot be read"),
        ("survey", "names parts of control-ldm, controlnet, sd-unet"),
    ],
)
def test_what_groups_nothing_is_refused_in_one_line(by: str, message: str, tiny: Path) -> None:
    outcome = onnxlens("profile", tiny, "--by", by)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
