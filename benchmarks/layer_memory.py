"""The memory table of docs/module-parity.md: what ``check --layers --memory SIZE`` takes and may take.

Run by hand, on exports with weights: ``python benchmarks/layer_memory.py hed.onnx --memory 2GiB,1GiB``. Each
check is a process of its own, looked at through Linux's /proc every 20 ms. What it holds of its own cannot
be taken from it while it runs; pages of mapped files can. The first row of a file is a run in ONNX Runtime
alone, with everything imported that a check imports.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

LOOK_S = 0.02

ALONE = """
import sys
from pathlib import Path
import torch
import onnxlens.api.check_layers
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.runtime.session import open_session, run
graph = load_graph(Path(sys.argv[1]))
run(open_session(graph.path), sample_inputs(graph.inputs, graph.manifest.input_ranges))
"""

CHECK = """
import sys
from onnxlens.cli.main import run
sys.exit(run(["check", sys.argv[1], "--layers", "--memory", sys.argv[2]]))
"""


@dataclass
class Peak:
    """The most that a process held, in KiB: of its own, of mapped files, and both at one moment."""

    own: int = 0
    mapped: int = 0
    both: int = 0
    seconds: float = 0.0

    def look(self, process: int) -> None:
        """Update the peaks from the process's current memory."""
        status = Path(f"/proc/{process}/status").read_text()
        held = {name: int(size) for name, size in re.findall(r"(Rss\w+|VmRSS):\s+(\d+) kB", status)}
        self.own = max(self.own, held.get("RssAnon", 0))
        self.mapped = max(self.mapped, held.get("RssFile", 0))
        self.both = max(self.both, held.get("VmRSS", 0))


def measured(code: str, arguments: Sequence[str]) -> Peak:
    """Run the code in a process of its own.

    Raises:
        SystemExit: it fails, as where the memory is too little for one tensor.
    """
    peak, start = Peak(), perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak.look(process.pid)
        sleep(LOOK_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
    peak.seconds = perf_counter() - start
    return peak


def line(path: Path, allowed: str, peak: Peak, alone: Peak) -> str:
    """A row in Markdown."""
    sizes = (peak.own, peak.own - alone.own, peak.mapped, peak.both)
    cells = (path.stem, allowed, *(f"{size / 2**20:.2f} GiB" for size in sizes), f"{peak.seconds:.0f} s")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, row by row as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--memory", default="4GiB,2GiB,1GiB", help="what to allow, with commas between")
    chosen = parser.parse_args()
    print(
        "| graph | --memory | its own | more than alone | mapped | both | time |",
        f"|{' --- |' * 7}",
        sep="\n",
    )
    for path in chosen.files:
        alone = measured(ALONE, [str(path)])
        print(line(path, "alone", alone, alone), flush=True)
        for allowed in chosen.memory.split(","):
            print(line(path, allowed, measured(CHECK, [str(path), allowed]), alone), flush=True)


if __name__ == "__main__":
    main()
