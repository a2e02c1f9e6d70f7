"""Compile the networks with every tool that is there, and keep what each says in our own form.

A record says what it was made of: a second run goes on where the first was interrupted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxlens.api.compile import compile_graph, list_compilers
from onnxlens.api.layers import SCHEMA
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.errors import OnnxlensError
from onnxlens.specs.codec import to_plain
from onnxlens.specs.compiled import Compilation, CompileAsk
from onnxlens.specs.layers import LayerReport
from onnxlens.specs.progress import Progress, silent
from reference_report.vendors.files import PACKED, digest_of, text_of, unpacked, weightless, write_packed
from reference_report.vendors.networks import CHIPS, MEASURED, Network

GRAPH = "graph.onnx" + PACKED
"""The file that was compiled, without its weights."""

LARGEST = 100_000
"""Characters of a record that is not packed."""


@dataclass(frozen=True)
class Recording:
    """What to record.

    Attributes:
        tools: by name; all that are installed for none.
        again: also what is there, of the same tool, graph and weights.
    """

    tools: Sequence[str] = ()
    again: bool = False

    def runs(self) -> Iterator[tuple[str, str, str]]:
        """The tools that are there, each with its version, and the chips it compiles for."""
        for state in list_compilers():
            if state.name in (self.tools or CHIPS) and not state.missing:
                yield from ((state.name, state.version, chip) for chip in CHIPS[state.name])


def record_network(
    network: Network, folder: Path, asked: Recording = Recording(), progress: Progress = silent
) -> Sequence[str]:
    """Compile a network with the tools that are installed, and write each record as its tool is done.

    The others' records stay as they are, unless the graph is another one: then they say nothing of it.

    Returns:
        What failed, a line each; a tool's last good record of the same graph stays.
    """
    failures = []
    with TemporaryDirectory(prefix="onnxlens-") as made:
        target, settings = network.given(Path(made), "seeded", progress)
        with opened(target, settings, progress) as it:
            given = digest_of(it.runnable_path)
            _keep_graph(it.runnable_path, folder)
            for tool, version, chip in asked.runs():
                label = LayerReport(tool, (), chip=chip).label
                there = _found(folder, label)
                if not asked.again and there == {"given": given, "version": version}:
                    continue
                progress(f"{network.name}: {label}", 0, 0)
                done = _done(it, tool, chip)
                if done.failure:
                    failures.append(f"{network.name}: {label}: {done.failure}")
                    progress(failures[-1], 0, 0)
                if done.report or not there:
                    failed = LayerReport(tool, (), version, chip, notes=(done.failure,))
                    write_record(done.report or failed, network.name, folder, given)
    return failures


def _done(it: OpenedTarget, tool: str, chip: str) -> Compilation:
    """What comes of a tool; of one that measures time what its quietest run says."""
    ask = CompileAsk((tool,), {tool: (chip,)} if chip else {})
    loads, runs = [], []
    for _ in range(MEASURED[tool].runs if tool in MEASURED else 1):
        loads.append(os.getloadavg()[0])
        (done,) = compile_graph(it, ask, progress=it.progress).compilations
        if done.report is None:
            return done
        runs.append((_cost(done.report), done.report))
    _, best = min(runs, key=lambda run: run[0])
    if len(runs) > 1:
        costs = ", ".join(f"{cost:.4g}" for cost in sorted(cost for cost, _ in runs))
        note = (
            f"the quickest of {len(runs)} such runs, of {costs} {MEASURED[tool].unit}; the machine's load "
            f"average before them was {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} processors"
        )
        best = replace(best, notes=(*best.notes, note))
    return replace(done, report=best)


def _cost(report: LayerReport) -> float:
    """All that a tool measures: milliseconds, or millions of cycles of this processor."""
    figures = [record.figures for record in report.records]
    return fsum(1e3 * each.get("time_s", 0) + 1e-6 * each.get("cycles", 0) for each in figures)


def _keep_graph(path: Path, folder: Path) -> None:
    """The graph without its weights; records of another one are removed with it."""
    content, kept = weightless(path), folder / GRAPH
    if kept.exists():
        with unpacked(kept) as old:
            if old.read_bytes() == content:
                return
    for stale in folder.glob("*.json*"):
        stale.unlink()
    write_packed(kept, content)


def _found(folder: Path, label: str) -> Mapping[str, str]:
    """What the record of a tool was made of; nothing where there is none with layers."""
    for path in folder.glob(f"{label}.json*"):
        with unpacked(path) as file:
            record = json.loads(file.read_text(encoding="utf-8"))
        if record["report"]["records"]:
            return {"given": record.get("given", ""), "version": record["report"]["version"]}
    return {}


def write_record(report: LayerReport, graph: str, folder: Path, given: str) -> None:
    """A report as ``read_layers`` takes it, a line for each layer, without what is empty; packed if large.

    ``given`` is the digest of the graph and its weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{report.label}.json*"):
        old.unlink()
    plain = to_plain(report)
    text = text_of({"schema": SCHEMA, "graph": graph, "given": given, "report": plain})
    path = folder / f"{report.label}.json"
    if len(text) > LARGEST:
        write_packed(path.with_name(path.name + PACKED), text.encode())
    else:
        path.write_text(text, encoding="utf-8")


def record_all(
    networks: Sequence[Network], folder: Path, asked: Recording, progress: Progress = silent
) -> Sequence[str]:
    """Every network, in a folder of its own; one that cannot be made is told with what failed."""
    failures: list[str] = []
    for network in networks:
        try:
            failures += record_network(network, folder / network.name, asked, progress)
        except OnnxlensError as error:
            failures.append(f"{network.name}: {error}")
    return failures
