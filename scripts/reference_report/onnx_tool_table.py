"""What onnx-tool, another counter, prints for a file: its own text table, to compare with our figures.

It counts weighted instructions where we count MACs: an exponential 32, a division 4, a bias addition 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxlens.errors import ToolError

PROGRAM = "import sys, onnx_tool; onnx_tool.model_profile(sys.argv[1], save_profile=sys.argv[2])"
FIRST_TITLE, COUNT_TITLE = "Name", "Forward_MACs"


def onnx_tool_table(path: Path) -> str:
    """The table that onnx-tool makes of an ``.onnx`` file with its weights, without anything of this machine.

    It runs in a process of its own: it warns on import, and keeps the whole file in memory more than once.

    Raises:
        ToolError: onnx-tool is not installed, or cannot read the file.
    """
    with TemporaryDirectory(prefix="onnxlens-") as folder:
        table = Path(folder) / "table.txt"
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(path), str(table)]
        # its rows come in the order of a set of names: fixed, so that two runs print the same
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode or not table.is_file():
            raise ToolError(f"{path.name}: onnx-tool could not read it ({_last_line(done.stderr)})")
        return _table_alone(table.read_text(encoding="utf-8").splitlines(), path.name)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _table_alone(lines: Sequence[str], name: str) -> str:
    """From the titles to the row of totals; the lines around them are progress, times and paths."""
    starts = [
        index
        for index, line in enumerate(lines)
        if line.startswith(FIRST_TITLE) and COUNT_TITLE in line.split()
    ]
    if not starts:
        raise ToolError(f"{name}: onnx-tool wrote no table with a column {COUNT_TITLE}")
    return "\n".join(line.rstrip() for line in lines[starts[0] :] if line.strip()) + "\n"
