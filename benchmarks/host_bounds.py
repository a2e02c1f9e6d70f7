"""Bounds of the chip ``host`` held against measured times: modules below theirs, and how well ranks agree.

Run by hand, on a machine that does nothing else, and shortly after ``onnxlens calibrate``:
``python benchmarks/host_bounds.py FOLDER --out docs/host-bounds.csv``. FOLDER keeps the packages of
benchmarks/packages.csv; graphs of the catalog are run with seeded weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from contenders import ENTRY
from environment import environment
from numpy.typing import NDArray
from package_files import cases, fetched

CATALOG = (
    *("clip-text", "controlnet", "sd-unet", "vae-encoder", "vae-decoder", "openpose-body", "openpose-hand"),
    *("mlsd-large", "mlsd-tiny", "hed", "hed-bsds", "midas-dpt-hybrid", "uniformer-seg"),
)
SHOWN = 4
"""Modules of a target whose time is nearest to the bound."""

Figures = NDArray[np.float64]
COLUMNS = ("target", "modules", "median_below", "p90_below", "spearman", "measured_s", "bound_s", "lowest")


def main() -> int:
    """Print a line for every target, or write them; 1 where a module's time is below its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the packages are kept")
    parser.add_argument("--only", default="", help="targets, with commas between")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write this table instead of printing it")
    chosen = parser.parse_args()
    rows = []
    for name, command in _targets(chosen.folder, chosen.only):
        try:
            timed = _document("bench", *command, "--runs", str(chosen.runs))
            bounded = _document("profile", *command, "--hardware", "host")
        except subprocess.CalledProcessError as failed:
            print(f"{name}: {failed.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        rows.append({"target": name, **_row(timed, bounded)})
        print(rows[-1], file=sys.stderr, flush=True)
    with chosen.out.open("w", newline="") if chosen.out else sys.stdout as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return 1 if any(row["p90_below"] for row in rows) else 0


def _targets(folder: Path, only: str) -> Iterator[tuple[str, list[str]]]:
    chosen = only.split(",") if only else None
    yield from ((name, [name]) for name in CATALOG if not chosen or name in chosen)
    for case in cases(only):
        try:
            yield case.case, [str(fetched(case, folder)), *case.arguments.split()]
        except FileNotFoundError as missing:
            print(missing, file=sys.stderr)


def _document(verb: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", ENTRY, verb, *arguments, "--format", "json"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout
    document: dict[str, Any] = json.loads(text)
    return document


def _row(timed: Mapping[str, Any], bounded: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hold each module's time to its bound."""
    bounds = bounded["bounds"][0]
    least = {path: each["bound_s"] for path, each in bounds["modules"].items()}
    pairs = [
        (module["path"] or "(whole)", module["time"], least[module["path"]])
        for module in timed["modules"]
        if module.get("time") and least.get(module["path"])
    ]
    lowest = sorted(pairs, key=lambda pair: pair[1]["median_s"] / pair[2])[:SHOWN]
    medians = np.array([time["median_s"] for _, time, _ in pairs])
    return {
        "modules": len(pairs),
        "median_below": sum(time["median_s"] < bound for _, time, bound in pairs),
        "p90_below": sum(time["p90_s"] < bound for _, time, bound in pairs),
        "spearman": _rank_correlation(medians, np.array([bound for *_, bound in pairs])),
        "measured_s": f"{timed['latency']['median_s']:.4g}",
        "bound_s": f"{least['']:.4g}",
        "lowest": "; ".join(f"{path} {time['median_s'] / bound:.2f}" for path, time, bound in lowest),
    }


def _rank_correlation(measured: Figures, bound: Figures) -> float | None:
    """Spearman's: the correlation of ranks, where equal values share the mean of theirs."""
    if len(measured) < 3:
        return None
    return round(float(np.corrcoef(_ranks(measured), _ranks(bound))[0, 1]), 3)


def _ranks(values: Figures) -> Figures:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[index]


if __name__ == "__main__":
    sys.exit(main())
