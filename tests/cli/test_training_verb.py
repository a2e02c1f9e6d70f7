"""``onnxlens training``: what it prints, and what it refuses."""

from __future__ import annotations

import csv
import io
import json

import pytest

import onnxlens as api
from onnxlens.reference_model import catalog
from tests.cli.calls import done, onnxlens
from tests.pipeline.test_training_steps import SPEC
from tests.specs.test_document_schemas import complaints

TARGET = "tests.small_unet:network"


def test_a_row_for_each_module_with_what_is_known_of_it() -> None:
    report = api.training_cost(TARGET)
    (cost,) = report.costs
    rows = list(csv.DictReader(io.StringIO(done("training", TARGET, "--format", "csv"))))
    assert [row["module"] for row in rows] == ["small-unet", *(each.path for each in cost.modules[1:])]
    assert [int(row["saved_bytes"]) for row in rows] == [each.saved_bytes for each in cost.modules]
    table = done("training", TARGET, "--depth", "0")
    assert table.startswith("small-unet: one step of training, float32, adamw\n")
    assert "saved: what PyTorch keeps on a CPU" in table
    assert "time_embed" in done("training", TARGET) and "time_embed" not in table


def test_the_three_modes_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = catalog.ENTRIES["control-ldm"]
    monkeypatch.setattr(type(entry), "spec", lambda self, name, size: SPEC)
    assert [line.split()[0] for line in done("training").splitlines()[4:7]] == ["middle", "sd-locked", "full"]
    document = json.loads(done("training", "--format", "json", "--optimizer", "sgd", "--checkpointing"))
    assert complaints("training", document) == []
    assert [cost["mode"] for cost in document["costs"]] == ["middle", "sd-locked", "full"]
    assert (document["optimizer"], document["batch"]) == ("sgd", 2)
    assert document["checkpointed"] == ["ResBlock", "TransformerBlock"]
    assert {cost["totals"]["optimizer_bytes"] for cost in document["costs"]} == {0}
    text = done("training", "--mode", "middle")
    assert "middle: no gradient arrives at" in text
    assert "is read by no gradient: inputs of frozen convolutions" in text


def test_what_is_unknown_makes_lower_bounds() -> None:
    text = done("training", "tests.pipeline.recurrent:network")
    assert "unknown, so that figures with >= lack it: mkldnn_rnn_layer.default (1)" in text
    assert ">= " in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("hed", "--mode", "full"), "--mode is of control-ldm"),
        (("hed", "--checkpointing"), "--checkpointing needs --units"),
        (("hed", "--units", "Conv2d"), "--units are of --checkpointing"),
        (("--checkpointing", "--units", "Blok"), "no module is a Blok"),
        ((TARGET, "--batch", "2"), "the factory decides on batch and size"),
        (("no.onnx",), "a file has no module"),
    ],
)
def test_wrong_use_is_refused_in_a_line(arguments: tuple[str, ...], says: str) -> None:
    outcome = onnxlens("training", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert outcome.err.count("\n") == 1
