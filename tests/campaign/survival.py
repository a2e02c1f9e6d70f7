"""The tests of what befalls a machine, for the campaign's table: kills, races and full disks."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

FOLDERS = ("tests/api", "tests/cli", "tests/specs", "tests/export", "tests/reports")

BEFALLS: Mapping[str, str] = {
    "a kill at any step": "kill or terminated",
    "two processes at once": "at_once or other_processes",
    "a full device, closed streams": "full or closed_streams",
    "another hash seed": "determinism or same_bytes",
}
"""What happens, and which tests are of it: an expression of pytest's ``-k``."""


def survived() -> str:
    """A table of how many tests of each kind pass, and how many fail."""
    rows = [("what happens", "tests passed", "failed"), ("---",) * 3]
    for name, chosen in BEFALLS.items():
        command = (sys.executable, "-m", "pytest", "-q", "--run-slow", *FOLDERS, "-k", chosen)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 5:  # pytest's word for none
            raise RuntimeError(f"no test is of {name!r}: {chosen}")
        rows.append((name, _count("passed", done.stdout), _count("(?:failed|errors?)", done.stdout)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _count(word: str, summary: str) -> str:
    """A number of pytest's last line."""
    return next(iter(re.findall(rf"(\d+) {word}", summary.splitlines()[-1])), "0")
