"""The output of ``onnxlens bench`` on stdout and stderr."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from onnxlens.profile.runtime import peaks
from tests.cli.calls import onnxlens
from tests.export.tiny import MACS

RUNS = ("--runs", "2", "--warmup", "1")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "SIDES", {"cpu": 32})


def test_json_is_one_document_and_nothing_else(tiny: Path) -> None:
    outcome = onnxlens("bench", tiny, *RUNS, "--threads", "1", "--level", "basic", "--format", "json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert document["schema"] == "onnxlens.bench/1"
    assert (document["threads"], document["level"]) == (1, "basic")
    assert (document["latency"]["runs"], document["latency"]["warmup"]) == (2, 1)
    assert document["modules"][0]["time"]["macs"] == MACS


@pytest.mark.parametrize("by", ["module", "op", "node"])
def test_rows_are_modules_operators_or_nodes(by: str, tiny: Path) -> None:
    outcome = onnxlens("bench", tiny, *RUNS, "--by", by, "--depth", "1", "--format", "csv")
    table = list(csv.DictReader(io.StringIO(outcome.out)))
    first = {"module": "#", "op": "operator", "node": "node"}[by]
    assert next(iter(table[0])) == first
    timed = [row for row in table if row["time"]]  # a fused module's is in another's, a view takes none
    assert timed
    assert all(float(row["p10"]) <= float(row["time"]) <= float(row["p90"]) for row in timed)
    assert not any(row.get("timed in") for row in timed)
    if by == "module":
        assert [row["module"] for row in table[:2]] == ["", "conv"]


def test_a_noisy_machine_is_a_warning_on_stderr_and_no_failure(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (99.5, 0.0, 0.0))
    outcome = onnxlens("bench", tiny, *RUNS)
    assert outcome.code == 0
    assert outcome.err.startswith("onnxlens: warning: the machine was noisy (")
    assert "load average 99.5 before on " in outcome.err
    assert outcome.err.count("\n") == 1
    assert "noisy: load average 99.5 after on " in outcome.out
