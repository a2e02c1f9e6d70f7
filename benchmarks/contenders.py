"""What is compared: onnxlens, its peers, and the minimum that any Python program reading ONNX has to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from measuring import Contender

FLOOR, TABLE, JSON, PEER = "floor", "onnxlens profile", "onnxlens profile --format json", "onnx-tool"

ENTRY = "from onnxlens.cli.main import main; main()"
"""The entry point of the console script."""

_FLOOR = """
import sys
import onnx_ir
for node in onnx_ir.load(sys.argv[1]).graph:
    for value in node.inputs:
        pass
"""

_PEER = """
import json, sys
import numpy, onnx_tool
model = onnx_tool.Model(sys.argv[1])
shapes = json.loads(sys.argv[2])
inputs = {name: numpy.ones(given["shape"], given["dtype"]) for name, given in shapes.items()}
model.graph.shape_infer(inputs or None)
model.graph.profile()
"""

_PEERS_EXTRACTION = """
import sys
from onnx.utils import extract_model
path, out, inputs, outputs, checked = sys.argv[1:]
checked = checked == "True"
extract_model(path, out, inputs.split(), outputs.split(), check_model=checked, infer_shapes=checked)
"""


def floor(path: Path) -> Contender:
    """The floor: parse the file and look at every node's inputs."""
    return Contender(FLOOR, [sys.executable, "-c", _FLOOR, str(path)])


def table(path: Path, arguments: Sequence[str] = ()) -> Contender:
    """The call of a person: a table."""
    return Contender(TABLE, [*_onnxlens("profile"), str(path), *arguments])


def document(path: Path) -> Contender:
    """The call of a program: the whole JSON document, which takes longer."""
    return Contender(JSON, [*_onnxlens("profile"), str(path), "--format", "json"])


def peer(
    path: Path, limit_s: float, inputs: Mapping[str, object] = MappingProxyType({}), *, once: bool = False
) -> Contender:
    """onnx-tool, which warns on import; without the shape and type of an input it knows no open dimension."""
    command = [sys.executable, "-W", "ignore", "-c", _PEER, str(path), json.dumps(dict(inputs))]
    return Contender(PEER, command, limit_s, once)


def peers_command(path: Path) -> Contender:
    """onnx-tool's own command line, which prints its table as `onnxlens profile` does."""
    return Contender(PEER, [sys.executable, "-W", "ignore", "-m", "onnx_tool", "-i", str(path)])


def extraction(path: Path, module: str, out: Path, what: str = "") -> Contender:
    """One module of a file, as a file of its own."""
    command = [*_onnxlens("extract"), str(path), "--module", module, "--out", str(out)]
    return Contender(f"onnxlens extract{what}", command)


def peers_extraction(
    path: Path, out: Path, inputs: Sequence[str], outputs: Sequence[str], quick: bool
) -> Contender:
    """The same by onnx, from tensors to tensors; quick without its check and its shape inference."""
    title = f"onnx.utils.extract_model{', nothing checked' if quick else ''}"
    names = (" ".join(inputs), " ".join(outputs))
    command = [sys.executable, "-c", _PEERS_EXTRACTION, str(path), str(out), *names, str(not quick)]
    return Contender(title, command)


def help_page() -> Contender:
    """The command line's first answer."""
    return Contender("onnxlens --help", _onnxlens("--help"))


def _onnxlens(argument: str) -> list[str]:
    """The console script's command, with this working copy."""
    return [sys.executable, "-c", ENTRY, argument]
