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
from tests.specs.test_document_schemas import complaints

RUNS = ("--runs", "2", "--warmup", "1")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "SIDES", {"cpu": 32})


def test_json_is_one_document_and_nothing_else(tiny: Path) -> None:
    outcome = onnxlens("bench", tiny, *RUNS, "--threads", "1", "--level", "basic", "--format", "json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert document["schema"] == "onnxlens.bench/2"
    assert (document["threads"], document["level"]) == (1, "basic")
    assert (document["latency"]["runs"], document["latency"]["warmup"]) == (2, 1)
    assert document["modules"][0]["time"]["macs"] == MACS


@pytest.mark.parametrize("by", ["module", "op", "node"])
def test_rows_are_modules_operators_or_nodes(by: str, tiny: Path) -> None:
    outcome = onnxlens("bench", tiny, *RUNS, "--by", by, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(outcome.out)))
    first = {"module": "path", "op": "operator", "node": "node"}[by]
    assert next(iter(table[0])) == first
    timed = [row for row in table if row["latency_s"]]  # a fused module's is in another's, a view takes none
    assert timed
    assert all(float(row["p10_s"]) <= float(row["latency_s"]) <= float(row["p90_s"]) for row in timed)
    assert not any(row.get("timed_in") for row in timed)
    if by == "module":
        assert [row["path"] for row in table[:2]] == ["tiny", "conv"]


@pytest.mark.parametrize(
    ("asked", "names", "count"),
    [
        (("--depth", "0"), ["path", "class", "latency_s"], 1),
        (("--top", "2", "--columns", "module,time,% of peak"), ["path", "latency_s", "peak_percent"], 2),
        (("--by", "node", "--where", "operator==Conv", "--columns", "node,p10"), ["node", "p10_s"], 1),
    ],
)
def test_json_holds_the_rows_that_are_asked_for(
    asked: tuple[str, ...], names: list[str], count: int, tiny: Path
) -> None:
    outcome = onnxlens("bench", tiny, *RUNS, "--level", "disabled", *asked, "--format", "json")
    document = json.loads(outcome.out)
    assert complaints("bench", document) == []
    assert not {"modules", "operators", "nodes"} & document.keys()
    assert document["columns"][: len(names)] == names
    assert len(document["rows"]) == count
    times = [row["latency_s"] for row in document["rows"] if "latency_s" in row]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("--by op --depth 1", "--depth is about modules; leave out --by op"),
        ("--by family", "--by family: rows are module, op, node; ledger --latency times groups too"),
        ("--columns macss", "no column is called 'macss'; did you mean macs"),
        ("--columns params", "no column is called 'params'; there are path, class"),
        ("--where time>1kg", "'kg' is not a unit of latency_s"),
    ],
)
def test_what_has_no_rows_is_refused_before_it_is_run(asked: str, message: str, tmp_path: Path) -> None:
    outcome = onnxlens("bench", tmp_path / "absent.onnx", *asked.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


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
