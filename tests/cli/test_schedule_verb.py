"""``onnxlens schedule``: what it prints, where its times come from, and the picture."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import onnxlens as api
from onnxlens.profile.runtime.session import SessionRequest, open_session
from onnxlens.reports.numbers import short_count
from onnxlens.reports.plots.gantt import OTHERS, task_groups
from onnxlens.specs.schedule import Task
from tests.cli.calls import done, onnxlens
from tests.profile.models import op, save, value, weight

SIDE, CHANNELS = 16, 8
CONV = SIDE**2 * CHANNELS**2
"""MACs of a pointwise convolution."""


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two branches of 2 and 3 convolutions, and a convolution of their sum."""
    nodes = [
        op("Conv", "x w", "a1", "left.0"), op("Conv", "a1 w", "a2", "left.1"),
        op("Conv", "x w", "b1", "right.0"), op("Conv", "b1 w", "b2", "right.1"),
        op("Conv", "b2 w", "b3", "right.2"), op("Add", "a2 b3", "s", "join"), op("Conv", "s w", "y", "head"),
    ]  # fmt: skip
    ends = [value(name, (1, CHANNELS, SIDE, SIDE)) for name in ("x", "y")]
    return save(
        tmp_path_factory.mktemp("branches"), nodes, ends[:1], ends[1:],
        [weight("w", CHANNELS, CHANNELS, 1, 1)],
    )  # fmt: skip


def document(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done("schedule", *arguments, "--format", "json"))
    return found


def test_without_times_it_counts_macs(branches: Path) -> None:
    found = document(branches)
    (plan,) = found["plans"]
    # 3 of right and the head on one engine, left beside them
    assert (found["total"], found["critical_path"], plan["makespan"]) == (6 * CONV, 4 * CONV, 4 * CONV)
    assert (plan["bound"], plan["bounded_by"]) == (4 * CONV, "longest path")
    critical = [task["path"] for task in found["tasks"] if task["is_critical"]]
    assert critical == ["right.0", "right.1", "right.2", "head"]
    assert found["independent"]
    text = done("schedule", branches)
    assert "1.50 x" in text
    assert f"one after another: {short_count(6 * CONV)} MACs; longest path: {short_count(4 * CONV)}" in text


def test_bounds_add_up_to_those_of_the_ledger_and_sharing_costs_time(branches: Path) -> None:
    chip = ("--hardware", "h200", "--as-dtype", "float16", "--fusion", "epilogue")
    found = document(branches, *chip)
    ledger = json.loads(done("ledger", branches, *chip, "--depth", "0", "--format", "json"))
    assert found["total"] == pytest.approx(ledger["rows"][0]["serial_s"], rel=1e-12)
    spans = {plan["shared"]: plan["makespan"] for plan in found["plans"]}
    assert found["critical_path"] <= spans["nothing"] < spans["memory"] <= spans["chip"] <= found["total"]
    # pointwise convolutions of 8 channels wait for the memory alone: two engines on one are as slow as one
    assert spans["memory"] == pytest.approx(found["total"])


def test_a_row_of_csv_is_a_task(branches: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(done("schedule", branches, "--by", "node", "--format", "csv"))))
    assert [row["title"] for row in rows].count("Conv") == 6
    ends = [float(row["nothing_end_macs"]) for row in rows if row["nothing_engine"]]
    assert max(ends) == 4 * CONV
    assert [row["nothing_engine"] for row in rows if row["title"] == "Add"] == [""]  # no MACs


def test_it_is_run_one_after_another_and_at_the_same_time(branches: Path) -> None:
    found = document(branches, "--latency")
    assert [(run["streams"], run["threads"]) for run in found["measured"]] == [(1, 1), (1, 2), (2, 1)]
    assert 0 < found["critical_path"] <= found["plans"][0]["makespan"]
    assert found["plans"][0]["makespan"] <= found["total"] * (1 + 1e-12)  # sums of another order
    assert "2 nodes at a time with 1 thread each" in done("schedule", branches, "--latency")
    options = open_session(branches, request=SessionRequest(threads=1, streams=2)).get_session_options()
    assert (options.execution_mode.name, options.inter_op_num_threads) == ("ORT_PARALLEL", 2)


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_picture_has_a_chart_for_each_way_of_sharing(branches: Path, tmp_path: Path, suffix: str) -> None:
    files = [tmp_path / f"{name}.{suffix}" for name in ("one", "other")]
    for file in files:
        done("schedule", branches, "--hardware", "h200", "--as-dtype", "int8", "--plot", file)
    drawn = files[0].read_bytes()
    assert drawn == files[1].read_bytes()
    assert suffix == "png" or drawn.count(b"engines share") == 3
    assert b"<!-- : " not in drawn  # what runs between modules has a name too


def test_modules_that_take_much_are_opened_for_a_color_each() -> None:
    paths = ["a.0.x", "a.1.x", "a.1.y", "b", "c.0", "d"]
    tasks = [Task(path, "M", time) for path, time in zip(paths, [30, 20, 20, 25, 4.9, 0.1], strict=True)]
    assert task_groups(tasks, 4) == ["a", "a", "a", "b", "c.0", OTHERS]
    assert task_groups(tasks, 9) == ["a.0.x", "a.1.x", "a.1.y", "b", "c.0", OTHERS]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hardware", "h200", "--latency"), "either bounds or measured"),
        (("--hardware", "h200,k230"), "a schedule is of one chip"),
        (("--hardware", "h20"), "there is no chip 'h20'"),
        (("--as-dtype", "int8"), "add --hardware CHIP"),
        (("--by", "node", "--depth", "2"), "--depth is of modules"),
        (("--streams", "0"), "--streams"),
        (("--plot", "gantt.txt"), "cannot be plotted"),
    ],
)
def test_what_does_not_go_together_is_refused(branches: Path, options: tuple[str, ...], message: str) -> None:
    outcome = onnxlens("schedule", branches, *options)
    assert outcome.code == 2
    assert message in outcome.err


def test_what_is_unknown_makes_every_figure_a_lower_bound(odd: Path) -> None:
    assert ">=: 1 node is unknown, and taken to need no time" in done("schedule", odd)
    with pytest.raises(api.OnnxlensError, match="nothing to draw"):
        api.write_gantt(api.schedule_graph(odd), odd.parent / "gantt.svg")
