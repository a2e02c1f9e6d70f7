"""The measured tables of docs/bench.md, as Markdown: the overhead of profiling, and the costliest modules.

Run by hand, on an idle machine: ``python benchmarks/latency_figures.py overhead hed.onnx clip-text.onnx`` and
``python benchmarks/latency_figures.py modules sd-unet.onnx --runs 3``, on exports with weights.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import thread_time

import numpy as np

import onnxlens
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.session import SessionRequest, bound, open_session
from onnxlens.reports.numbers import share, short_count, short_time
from onnxlens.specs.bench import BenchReport, NodeTime

SHOWN = 10


def overhead(path: Path, pairs: int) -> str:
    """Two sessions on one file, one with profiling, run in turn; processor time, to reduce noise.

    With one thread a session works in the one that calls it, whose processor time is then all of its own.
    """
    graph = load_graph(path)
    inputs = sample_inputs(graph.inputs, graph.manifest.input_ranges if graph.manifest else {})
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        prefixes = (None, Path(folder) / "profile")
        sessions = [
            open_session(path, request=SessionRequest(profile_prefix=prefix, threads=1))
            for prefix in prefixes
        ]
        calls = [bound(session, inputs, "cpu") for session in sessions]
        seconds = np.array([_pair(calls, index % 2 == 1) for index in range(-2, pairs)])[2:]
        sessions[1].end_profiling()
    ratios = seconds[:, 1] / seconds[:, 0]
    fastest, medians = seconds.min(axis=0), np.median(seconds, axis=0)
    cells = (
        graph.name,
        str(pairs),
        *(short_time(value) for value in (*fastest, *medians)),
        f"{100 * (fastest[1] / fastest[0] - 1):+.1f} %",
        f"{100 * (np.median(ratios) - 1):+.1f} %",
        f"{before:.1f} to {os.getloadavg()[0]:.1f}",
    )
    return f"| {' | '.join(cells)} |"


OVERHEAD_HEAD = (
    "| graph | pairs | fastest, off | fastest, on | median, off | median, on | fastest | median of pairs | "
    "load average |"
)


def _pair(calls: Sequence[object], swapped: bool) -> tuple[float, float]:
    """Processor seconds with profiling off and on; the order alternates from pair to pair."""
    seconds = [0.0, 0.0]
    for which in (1, 0) if swapped else (0, 1):
        start = thread_time()
        calls[which]()  # type: ignore[operator]
        seconds[which] = thread_time() - start
    return seconds[0], seconds[1]


def costliest(report: BenchReport) -> list[str]:
    """The modules whose own nodes, those of the modules in them apart, take most time."""
    by_module: dict[str, list[NodeTime]] = {}
    for node in report.nodes:
        if node.module_path is not None:
            by_module.setdefault(node.module_path, []).append(node)
    classes = {module.path: module.class_name for module in report.modules}
    ranked = sorted(by_module.items(), key=lambda item: -_seconds(item[1]))[:SHOWN]
    return [_row(report, path, classes[path], nodes) for path, nodes in ranked]


def _seconds(nodes: Sequence[NodeTime]) -> float:
    return sum(node.time.median_s for node in nodes)


def _row(report: BenchReport, path: str, class_name: str, nodes: Sequence[NodeTime]) -> str:
    seconds, macs = _seconds(nodes), sum(node.time.macs or 0 for node in nodes)
    rate = macs / seconds
    cells = (
        f"`{path}`",
        class_name,
        short_count(macs),
        short_time(seconds),
        share(seconds, report.node_sum_s),
        short_count(round(rate)),
        share(rate, report.matrix_product.macs_per_s),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["overhead", "modules"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parsed = parser.parse_args()
    if parsed.what == "overhead":
        print(OVERHEAD_HEAD, f"|{' --- |' * 9}", sep="\n")
        for path in parsed.files:
            print(overhead(path, parsed.runs))
        return
    for path in parsed.files:
        report = onnxlens.bench_graph(path, request=onnxlens.BenchRequest(runs=parsed.runs, warmup=1))
        print("| module | class | MACs | time | of all | MACs/s | % of matmul peak |")
        print(f"|{' --- |' * 7}")
        print(*costliest(report), sep="\n")
        print(f"\nlatency {short_time(report.latency.median_s)}, with profiling ", end="")
        print(f"{short_time(report.profiled.median_s)}, sum of nodes {short_time(report.node_sum_s)}")
        peak = short_count(round(report.matrix_product.macs_per_s))
        print(f"matmul peak {peak} MACs/s; noise: {report.noise or 'none'}")


if __name__ == "__main__":
    main()
