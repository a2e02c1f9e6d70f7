"""The real packages, each in a process of its own: all of them warn on import under today's Python."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from reference_report.onnx_tool_table import onnx_tool_table

ROOT = Path(__file__).parents[4]
PROGRAM = "from tests.profile.count.conventions import counted; counted.main()"


def _last_line(arguments: Sequence[str]) -> Any:
    """The last line that a process prints, as JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def counted_modules(names: Sequence[str], peer: str) -> Mapping[str, Any]:
    """The counts of fvcore or thop for networks of ``nets`` or graphs of the catalog (``clip-text@64``)."""
    result: Mapping[str, Any] = _last_line([PROGRAM, peer, *names])
    return result


def printed(path: Path) -> Mapping[str, int]:
    """The output of onnx-tool for a file: its own table, added up by operator type; the total under ``_``."""
    titles, _, *rows = (re.split(r"\s{2,}", line) for line in onnx_tool_table(path).splitlines())
    counts: dict[str, int] = {}
    for row in rows:
        op_type, macs = row[titles.index("Type")], row[titles.index("Forward_MACs")]
        counts[op_type] = counts.get(op_type, 0) + int(macs.replace(",", ""))
    return counts


def without_weights(path: Path, folder: Path) -> Path:
    """The file with its outside weights as graph inputs: onnx-tool wants values for all others."""
    model = onnx.load(str(path), load_external_data=False)
    kept = [tensor for tensor in model.graph.initializer if tensor.data_location != onnx.TensorProto.EXTERNAL]
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            model.graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    target = folder / path.name
    onnx.save(model, str(target))
    return target
