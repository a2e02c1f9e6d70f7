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


def test_own_times_of_modules_and_shares_add_up(tiny: Path) -> None:
    """Every kernel is some module's own, so that the shares of all are the whole's."""
    columns = "path,own_latency,own_latency_share,latency"
    rows = json.loads(done("ledger", tiny, "--latency", "--columns", columns, "--format", "json"))["rows"]
    assert sum(row.get("own_latency_percent", 0) for row in rows) == pytest.approx(100, abs=0.1)
    paths = [row["path"] for row in rows]
    leaves = [row for row in rows[1:] if not any(path.startswith(f"{row['path']}.") for path in paths)]
    assert any("own_latency_s" in row for row in leaves)
    assert all(("own_latency_s" in leaf) == ("latency_s" in leaf) for leaf in leaves)


@pytest.mark.parametrize("by", ["module", "op", "node", "class", "family", "stage", "resolution", "dtype"])
def test_every_cost_that_adds_up_has_a_share(by: str, tiny: Path) -> None:
    names = ("macs", "params", "vector_ops", "special_ops", "flops", "weight_read", "read", "write", "moved")
    if by in ("op", "node"):
        names = names[:1] + names[2:]  # parameters that no node reads are in no row of a node
    own = ["--own"] if by == "module" else []
    columns = ",".join(f"{name}_percent" for name in names)
    document = json.loads(done("profile", tiny, "--by", by, *own, "--columns", columns, "--format", "json"))
    prefix = "own_" if own else ""
    for name in names:
        shares = [row[f"{prefix}{name}_percent"] for row in document["rows"]]
        assert sum(shares) == pytest.approx(100, abs=0.001 * len(shares)), name
        assert document["sum"][f"{prefix}{name}_percent"] == pytest.approx(100), name


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
