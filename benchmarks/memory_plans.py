"""Memory plans: how large arenas are beside onnxsim's and the lower bound, and how long planning takes.

Run by hand: ``python benchmarks/memory_plans.py FOLDER --onnxsim PYTHON``. FOLDER holds .onnx files, which
need no weights; PYTHON is an interpreter that has onnxsim 0.8.1. Exits with 1 where a plan is larger than
onnxsim's, or takes longer than it may.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from synthetic import write_chain

import onnxlens
from onnxlens.profile.chip.memory_plan import PlanRequest, plan_memory
from onnxlens.profile.graph.graph import Graph
from onnxlens.reports.tables.render import Column, render_table
from onnxlens.specs.memory import MemoryPlan

MIB = 2**20
LIMITS_S = {2_000: 1.0, 20_000: 10.0}
"""How long a plan may take, by the most nodes that the graph has."""

PEER = """
import json, sys, onnx
from onnxsim.memory_planning import plan_activation_memory
plan = plan_activation_memory(onnx.load(sys.argv[1], load_external_data=False))
print(json.dumps(plan.arena_bytes))
"""

Row = dict[str, str | float]


def main() -> int:
    """Print a line for every file, and for chains of nodes; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--onnxsim", metavar="PYTHON", help="interpreter that has onnxsim [not compared]")
    chosen = parser.parse_args()
    rows = []
    for path in sorted(chosen.folder.rglob("*.onnx")):
        rows += _rows(path, chosen.onnxsim)
    with TemporaryDirectory(prefix="onnxlens-") as temporary:
        for nodes in LIMITS_S:
            rows += _rows(write_chain(Path(temporary) / f"chain-{nodes}.onnx", nodes, True), None)
    titles = list(rows[0])
    print(render_table(rows, [Column(title, lambda row, key=title: row[key]) for title in titles], "md"))
    failed = [row for row in rows if row["missed"]]
    return 1 if failed else 0


def _rows(path: Path, onnxsim: str | None) -> Iterator[Row]:
    with onnxlens.OpenedTarget(path) as it:
        graph, idle = it.graph, it.ledger.idle
    theirs = _peer_bytes(path, onnxsim) if onnxsim else None
    plans = {name: _timed(graph, idle, request) for name, request in _requests().items()}
    in_place, seconds = plans["in place"]
    limit_s = next((limit for nodes, limit in LIMITS_S.items() if len(graph.nodes) <= nodes), None)
    larger = theirs is not None and in_place.arena_bytes > theirs
    slow = limit_s is not None and seconds > limit_s
    row: Row = {"file": path.stem, "nodes": len(graph.nodes)}
    for name, (plan, _) in plans.items():
        row[f"peak, {name}"] = _mib(plan.peak.live_bytes)
        row[f"arena, {name}"] = _mib(plan.arena_bytes)
    row["onnxsim"] = "" if theirs is None else _mib(theirs)
    row["plan CPU s"] = f"{seconds:.2f}"
    row["search CPU s"] = f"{plans['in place, better order'][1]:.2f}"
    row["missed"] = " ".join(word for word, missed in (("larger", larger), ("slow", slow)) if missed)
    yield row


def _requests() -> dict[str, PlanRequest]:
    return {
        "plain": PlanRequest(),
        "in place": PlanRequest(in_place=True),
        "in place, better order": PlanRequest(in_place=True, better_order=True),
    }


def _timed(graph: Graph, idle: Collection[int], request: PlanRequest) -> tuple[MemoryPlan, float]:
    begun = time.process_time()
    plan = plan_memory(graph, idle, request)
    return plan, time.process_time() - begun


def _peer_bytes(path: Path, python: str) -> int:
    done = subprocess.run([python, "-c", PEER, str(path)], capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.3f}"


if __name__ == "__main__":
    sys.exit(main())
