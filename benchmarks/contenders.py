"""What is compared: onnxlens, onnx-tool, and the least that any reader of ONNX files in Python has to do."""

from __future__ import annotations

import sys
from pathlib import Path

from measuring import Contender

FLOOR, TABLE, JSON, PEER = "floor", "onnxlens profile", "onnxlens profile --format json", "onnx-tool"

_ONNXLENS = "from onnxlens.cli.main import main; main()"

_FLOOR = """
import sys
import onnx_ir
for node in onnx_ir.load(sys.argv[1]).graph:
    for value in node.inputs:
        pass
"""

_PEER = """
import sys
import onnx_tool
model = onnx_tool.Model(sys.argv[1])
model.graph.shape_infer(None)
model.graph.profile()
"""


def floor(path: Path) -> Contender:
    """The least that a reader does."""
    return Contender(FLOOR, [sys.executable, "-c", _FLOOR, str(path)])


def table(path: Path) -> Contender:
    """What a person calls."""
    return Contender(TABLE, [*_onnxlens("profile"), str(path)])


def document(path: Path) -> Contender:
    """What a program calls: all that was counted, which takes longer."""
    return Contender(JSON, [*_onnxlens("profile"), str(path), "--format", "json"])


def peer(path: Path, limit_s: float, once: bool = False) -> Contender:
    """onnx-tool, which warns on import."""
    return Contender(PEER, [sys.executable, "-W", "ignore", "-c", _PEER, str(path)], limit_s, once)


def help_page() -> Contender:
    """The command line's first answer."""
    return Contender("onnxlens --help", _onnxlens("--help"))


def _onnxlens(argument: str) -> list[str]:
    """What the console script runs, but of this working copy."""
    return [sys.executable, "-c", _ONNXLENS, argument]
