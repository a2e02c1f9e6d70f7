"""Benchmarks as tables, of a report made by hand."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

from onnxlens.reports.tables.bench import bench_table
from onnxlens.reports.tables.render import By
from onnxlens.specs.bench import ConvolutionPeak, ModuleTime
from tests.specs.samples import BENCH


def rows(by: By, depth: int = 2) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(bench_table(BENCH, by, depth, "csv"))))


def test_the_module_table_has_time_layout_and_rate() -> None:
    lines = bench_table(BENCH, "module", 2, "table").splitlines()
    assert lines[0] == (
        "edge from edge.onnx (opset 18, weights: seeded): ONNX Runtime on cpu, level all, threads 2"
    )
    # 100 of the 120 ms of all nodes; 100 MACs in 0.1 s; half of the peak
    cells = "1 conv Conv2d 100 ms 80.0 ms 120 ms 83.3 % 10.0 ms 100 1.00 k 50.0 %"
    assert " ".join(lines[5].split()) == cells
    assert [row["module"] for row in rows("module", 0)] == [""]


def test_csv_is_exact_and_leaves_out_what_is_not_known() -> None:
    conv, split = rows("op")
    assert (conv["time"], conv["MACs"], conv["MACs/s"], conv["share of peak"]) == (
        "0.1",
        "100",
        "1000.0",
        "0.5",
    )
    assert (split["time %"], split["MACs"], split["MACs/s"]) == ("16.667", "", "")


FUSED = ModuleTime("relu", "ReLU", 1, 2, None, 0.0, ("conv", ""))


def test_a_module_without_time_says_where_it_is() -> None:
    report = replace(BENCH, modules=(*BENCH.modules, FUSED, replace(FUSED, path="gone", timed_in=None)))
    lines = [" ".join(line.split()) for line in bench_table(report, "module", 2, "table").splitlines()]
    assert "2 relu ReLU in conv, +1 more - - - - - - -" in lines
    assert "2 gone ReLU - - - - - - - -" in lines
    *_, relu, gone = csv.DictReader(io.StringIO(bench_table(report, "module", 2, "csv")))
    assert [relu[name] for name in ("time", "p10", "time %", "MACs", "timed in")] == [
        "",
        "",
        "",
        "",
        "conv, edge",
    ]
    assert gone["timed in"] == ""


def test_a_noisy_run_prints_whole_percentages() -> None:
    noisy = replace(BENCH, load_after=9.0)
    for by in ("module", "op", "node"):
        text = bench_table(noisy, by, 2, "table")
        assert re.search(r"\d %", text) and not re.search(r"\.\d+ %", text), by
    # 100 and 20 of 120 ms
    assert {"83 %", "17 %"} <= set(re.findall(r"\d+ %", bench_table(noisy, "op", 2, "table")))


def test_the_peak_is_the_higher_of_two() -> None:
    report = replace(BENCH, convolution=ConvolutionPeak(3000.0, 4, 6, 3, "float32"))
    assert (
        "convolution peak: 3.00 k MACs/s (4 channels, 3 x 3 over 6 x 6, float32); % of peak is of the higher"
        in bench_table(report, "op", 2, "table")
    )


def test_a_node_without_a_module_says_so() -> None:
    text = bench_table(BENCH, "node", 0, "table")
    stray = next(line for line in text.splitlines() if line.startswith("split "))
    assert "unattributed" in stray and "?" in stray
    assert [row["from"] for row in rows("node")] == ["conv, relu", ""]
    assert "unattributed: 25.0 % of node time, 1 of 2 nodes: split 20.0 ms" in text


def test_the_conditions_of_the_measurement_are_below_the_table() -> None:
    footer = bench_table(BENCH, "module", 2, "table").split("\n\n")[2].splitlines()
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
    text = bench_table(slower, "op", 0, "md")
    assert "+10 %; sum of nodes 120 ms, 55 % of it" in text
    assert "- noisy: load average 9.0 after on 2 cores" in text


def test_a_file_without_modules_is_grouped_by_operator_and_says_so() -> None:
    text = bench_table(replace(BENCH, attribution="none"), "module", 2, "table")
    assert text.splitlines()[2].startswith("operator")
    assert "modules: the file names none, so its nodes are grouped by operator type" in text
