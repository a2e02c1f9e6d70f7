"""What the bounds of a chip add to ``onnxlens profile``: processor time, in pairs of runs by turns.

Run by hand: ``python benchmarks/hardware_speed.py FILE.onnx``. Exits with 1 where it is over the limit.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median

from measuring import Contender, measure

LIMIT = 1.25
"""How many times the processor time of the plain profile it may take."""


def main() -> int:
    """Print the medians and the median of the pairs' ratios; 1 where that is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--hardware", default="h200", help="chip [h200]")
    parser.add_argument("--runs", type=int, default=15, help="pairs [15]")
    chosen = parser.parse_args()
    command = [
        sys.executable,
        "-c",
        "from onnxlens.cli.main import main; main()",
        "profile",
        str(chosen.file),
    ]
    contenders = [
        Contender("plain", command),
        Contender("bounds", [*command, "--hardware", chosen.hardware]),
    ]
    plain, bounds = measure(contenders, chosen.runs, dict(os.environ))
    pairs = zip(plain.samples, bounds.samples, strict=True)
    ratio = median(second.cpu_s / first.cpu_s for first, second in pairs)
    print(f"{plain.cpu_s:.3f} s plain, {bounds.cpu_s:.3f} s with {chosen.hardware}; {ratio:.3f} times")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
