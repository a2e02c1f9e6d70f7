"""Runs SCALE-Sim on every layer of a topology and joins its reports: a script, see ``start.py``."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scalesim.scale_sim import scalesim

REPORTS = ("COMPUTE_REPORT.csv", "BANDWIDTH_REPORT.csv", "DETAILED_ACCESS_REPORT.csv")


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Simulate every layer; what one fails at is refused."""
    topology, layout = (Path(request[name]).read_text().splitlines() for name in ("topology", "layout"))
    reports = Path(request["reports"])
    reports.mkdir()
    refused = []
    for number, (row, place) in enumerate(zip(topology[1:], layout[1:], strict=True)):
        name = row.partition(",")[0]
        print(f"{name} ({number + 1} of {len(topology) - 1})", flush=True)
        try:
            with tempfile.TemporaryDirectory(dir=".") as folder:
                for file, head, line in (("t.csv", topology[0], row), ("l.csv", layout[0], place)):
                    Path(folder, file).write_text(f"{head}\n{line}\n")
                _simulated(Path(folder), request["configuration"])
                for report in REPORTS:
                    _join(Path(folder, "run", report), reports / report, number)
        except Exception as error:  # of whatever kind, it is one layer's
            refused.append({"name": name, "reason": f"{type(error).__name__}: {error}"})
    return {"version": version("scalesim"), "refused": refused}


def _simulated(folder: Path, configuration: str) -> None:
    simulator = scalesim(
        save_disk_space=True,
        verbose=False,
        config=configuration,
        topology=str(folder / "t.csv"),
        layout=str(folder / "l.csv"),
    )
    simulator.run_scale(top_path=str(folder))


def _join(report: Path, whole: Path, number: int) -> None:
    """Add the only line of a report to the others', with the number of its layer."""
    head, line = report.read_text().splitlines()[:2]
    if not whole.exists():
        whole.write_text(f"{head}\n")
    with whole.open("a") as file:
        file.write(f"{number},{line.partition(',')[2]}\n")
