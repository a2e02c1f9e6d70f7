#!/usr/bin/env bash
# openvino 2026.4.1 (benchmark_app of the Python package), CPU.
#
# One would guess: `benchmark_app -pcsort sort` shows the same times of layers as `-report_type average_counters`, only the
# longest first, and the sum of them below.
#
# What happens: it takes `timedelta.microseconds`, which is what is left of a time without its whole seconds. A layer of
# 2.25 s stands there as 250 ms, behind one of 900 ms; the total of the run is without its seconds as well, and so the
# shares of the layers come to more than 100 %. Both the printed table and benchmark_sorted_report.csv have it. The other
# reports divide by `timedelta(milliseconds=1)` and are right.
#
# Why it matters: the larger the network, the more the table hides: the layer that takes longest is not at the top.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.4.6
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(openvino|numpy) "
cd "$folder"
venv/bin/python - <<'PY'
from datetime import timedelta
from types import SimpleNamespace

from openvino import ProfilingInfo
from openvino.tools.benchmark.utils.statistics_report import CsvStatisticsReport, StatisticsReport
from openvino.tools.benchmark.utils.utils import print_perf_counters_sort

layers = [
    SimpleNamespace(node_name=name, status=ProfilingInfo.Status.EXECUTED, node_type="Convolution", exec_type="jit",
                    real_time=timedelta(seconds=seconds), cpu_time=timedelta(seconds=seconds))
    for name, seconds in (("first", 2.25), ("second", 0.9))
]
counted = print_perf_counters_sort([layers])
CsvStatisticsReport(StatisticsReport.Config("average_counters", ".")).dump_performance_counters_sorted(counted)
rows = [line.split(",") for line in open("benchmark_sorted_report.csv") if "Convolution" in line]
shown = {row[0]: float(row[4]) for row in rows}
print(f"2250 ms and 900 ms are reported as {shown}, in this order")
assert shown == {"second": 900.0, "first": 250.0}, "benchmark_app's sorted counters have whole seconds now"
PY
