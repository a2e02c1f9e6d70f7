"""Benchmarks as tables, of a report made by hand."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from typing import Any

import pytest

from onnxlens.reports.tables.bench import BENCH_COLUMNS, bench_table
from onnxlens.reports.tables.columns import shown_name
from onnxlens.reports.tables.query import Asked, understood
from onnxlens.reports.tables.render import By, TableFormat
from onnxlens.specs.bench import BenchReport, ConvolutionPeak, ModuleTime
from tests.specs.samples import BENCH


def table(report: BenchReport, by: By, kind: TableFormat = "table", **asked: Any) -> str:
    return bench_table(report, understood(Asked(by, **asked), BENCH_COLUMNS), kind)


def rows(by: By, **asked: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table(BENCH, by, "csv", **asked))))


def test_the_module_table_has_time_layout_and_rate() -> None:
    lines = table(BENCH, "module").splitlines()
    assert lines[0] == (
        "edge from edge.onnx (opset 18, weights: seeded): ONNX Runtime on cpu, level all, threads 2"
    )
    # 100 of the 120 ms of all nodes; 100 MACs in 0.1 s; half of the peak
    cells = "conv Conv2d 100 ms 83.3 % 1.00 k 50.0 % 100 80.0 ms 120 ms 10.0 ms 1"
    assert " ".join(lines[5].split()) == cells
    assert [row["path"] for row in rows("module", depth=0)] == ["edge"]


def test_csv_is_exact_and_leaves_out_what_is_not_known() -> None:
    conv, split = rows("op")
    names = ("latency_s", "macs", "achieved_macs_per_s", "peak_percent")
    assert [conv[name] for name in names] == ["0.1", "100", "1000.0", "50.0"]
    assert [split[name] for name in ("latency_percent", *names[1:3])] == ["16.667", "", ""]


@pytest.mark.parametrize("by", ["module", "op", "node"])
def test_every_head_is_a_name_that_options_take(by: By) -> None:
    """In tables and CSV: each may be named in --columns, and heads the same column then."""
    for text in (table(BENCH, by).split("\n\n")[1], table(BENCH, by, "csv")):
        heads = re.split(r",|  +", text.splitlines()[0].strip())
        assert set(understood(Asked(by, columns=",".join(heads)), BENCH_COLUMNS).columns) <= set(
            BENCH_COLUMNS[by]
        )
        chosen = table(BENCH, by, columns=",".join(heads)).split("\n\n")[1].splitlines()[0]
        assert [shown_name(head) for head in heads] == re.split("  +", chosen.strip())


def test_rows_are_chosen_sorted_and_fitted_as_in_any_table() -> None:
    assert [row["operator"] for row in rows("op", sort="time:asc")] == ["Split", "Conv"]
    assert [row["node"] for row in rows("node", where=("path==conv",))] == ["conv_nchwc"]
    assert [row["path"] for row in rows("module", leaves=True)] == ["conv"]
    narrow = bench_table(BENCH, width=60)
    assert all(len(line) <= 60 for line in narrow.split("\n\n")[1].splitlines())
    assert "do not fit; --wide shows them" in narrow


FUSED = ModuleTime("relu", "ReLU", 1, 2, None, 0.0, ("conv", ""))


def test_a_module_without_time_says_where_it_is() -> None:
    report = replace(BENCH, modules=(*BENCH.modules, FUSED, replace(FUSED, path="gone", timed_in=None)))
    lines = [" ".join(line.split()) for line in table(report, "module").splitlines()]
    assert "relu ReLU in conv, +1 more - - - - - - - 2" in lines
    assert "gone ReLU - - - - - - - - 2" in lines
    *_, relu, gone = csv.DictReader(io.StringIO(table(report, "module", "csv")))
    assert [relu[name] for name in ("latency_s", "p10_s", "latency_percent", "macs", "timed_in")] == [
        "",
        "",
        "",
        "",
        "conv, edge",
    ]
    assert gone["timed_in"] == ""


def test_a_noisy_run_prints_whole_percentages() -> None:
    noisy = replace(BENCH, load_after=9.0)
    for by in ("module", "op", "node"):
        text = table(noisy, by)
        assert re.search(r"\d %", text) and not re.search(r"\.\d+ %", text), by
    # 100 and 20 of 120 ms
    assert {"83 %", "17 %"} <= set(re.findall(r"\d+ %", table(noisy, "op")))


def test_the_peak_is_the_higher_of_two() -> None:
    report = replace(BENCH, convolution=ConvolutionPeak(3000.0, 4, 6, 3, "float32"))
    assert (
        "convolution peak: 3.00 k MACs/s (4 channels, 3 x 3 over 6 x 6, float32); peak_share is of the higher"
        in table(report, "op")
    )


def test_a_node_without_a_module_says_so() -> None:
    text = table(BENCH, "node")
    stray = next(line for line in text.splitlines() if line.startswith("split "))
    assert "unattributed" in stray and "?" in stray
    assert [row["sources"] for row in rows("node")] == ["conv, relu", ""]
    assert "unattributed: 25.0 % of node time, 1 of 2 nodes: split 20.0 ms" in text


def test_the_conditions_of_the_measurement_are_below_the_table() -> None:
    footer = table(BENCH, "module").split("\n\n")[2].splitlines()
    assert footer[0] == "latency: 200 ms (p10 180 ms, p90 220 ms; runs 5, warm-ups 1), profiling off"
    # the sample's latency with profiling on is 200 ms as well; its nodes take 120 of them
    assert footer[1].endswith("runs 5, warm-ups 1), +0.0 %; sum of nodes 120 ms, 60.0 % of it")
    assert footer[2].startswith("PyTorch eager: 300 ms") and footer[2].endswith("1.50 times ONNX Runtime's")
    text = "\n".join(footer)
    assert "layout (reorders, transposes, reshapes and casts inserted): 10.0 % of node time" in text
    assert "matmul peak: 2.00 k MACs/s (8 x 8, float32); weights of the graph: float32" in text
    assert "peak memory: 1.00 KiB in the arena" in text
    assert "load average: 1.0 before, 1.5 after" in text
    assert "note: torch.compile did not work here" in text
    assert "torch.compile:" not in text and "noisy" not in text


def test_profiling_overhead_and_noise_are_reported() -> None:
    slower = replace(BENCH, profiled=replace(BENCH.profiled, median_s=0.22), load_after=9.0)
    text = table(slower, "op", "md")
    assert "+10 %; sum of nodes 120 ms, 55 % of it" in text
    assert "- noisy: load average 9.0 after on 2 cores" in text


def test_a_file_without_modules_is_grouped_by_operator_and_says_so() -> None:
    text = table(replace(BENCH, attribution="none"), "module")
    assert text.splitlines()[2].startswith("operator")
    assert "modules: the file names none, so its nodes are grouped by operator type" in text
