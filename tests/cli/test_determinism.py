"""The same command gives the same bytes, whatever order a hash gives to a set, and whenever it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import cv2
import numpy as np
import pytest

from tests.cli.calls import ROOT
from tests.profile.models import (
    NET_BETWEEN,
    NET_INPUTS,
    NET_OUTPUTS,
    NET_WEIGHTS,
    net_nodes,
    save,
    weight,
)

SEEDS = ("0", "1", "2")
"""Of the hash."""
VERBS = (
    "graphs",
    "profile net.onnx",
    "profile net.onnx --by op",
    "profile net.onnx --format json",
    "profile net.onnx --format csv",
    "ledger net.onnx --format json",
    "reconcile net.onnx --format json",
    "extract net.onnx --module body.0 --out block.onnx",
    "check net.onnx --against unoptimised",
    "render net.onnx --out flow.svg",
    "render net.onnx --depth 3 --out deep.svg",
    "render net.onnx --out flow.png",
    "render net.onnx --out flow.pdf",
    "render net.onnx --out flow.dot",
    "render net.onnx --viewer model-explorer --out explorer.json",
    "annotate picture.png --kind canny --out canny.png",
    "nothing",
)
RUN = """
import sys
from onnxlens.cli.main import run
for line in sys.argv[1:]:
    words = line.split()
    print(line, run(words), flush=True)

# a measured time is never the same twice
from pathlib import Path
from onnxlens import OpenedTarget, write_trace
from onnxlens.specs.measured import NodeTiming
with OpenedTarget("net.onnx") as opened:
    ledger = opened.ledger
    named = [(node.node, node.op_type, node.module_path) for node in ledger.nodes]
    timings = [NodeTiming(*each, 1e-3 * index, 1e-3, (each[0],)) for index, each in enumerate(named)]
    write_trace(ledger, timings, Path("trace.json"))

from onnxlens.api.view import _shown
from onnxlens.specs.progress import silent
Path("netron.onnx").write_bytes(_shown("net.onnx", None, "body.0", silent)[0])
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[Mapping[str, bytes]]:
    """What each run printed and wrote."""
    runs = []
    for index, seed in enumerate(SEEDS):
        folder = tmp_path_factory.mktemp(f"run{index}")
        weights = [weight(name, *shape) for name, shape in NET_WEIGHTS.items()]
        saved = save(folder, net_nodes(), NET_INPUTS, NET_OUTPUTS, weights, between=NET_BETWEEN)
        saved.rename(folder / "net.onnx")
        stripes = np.tile(np.arange(64, dtype=np.uint8) // 8 * 32, (64, 1))
        assert cv2.imwrite(str(folder / "picture.png"), stripes)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", RUN, *VERBS], cwd=folder, env=environment, capture_output=True, check=True
        )
        files = (path for path in folder.rglob("*") if path.is_file())
        runs.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
        runs[-1]["stdout"] = done.stdout
    return runs


def test_every_verb_gives_the_same_bytes(outputs: list[Mapping[str, bytes]]) -> None:
    first = outputs[0]
    for other in outputs[1:]:
        assert first.keys() == other.keys()
        assert [name for name, content in first.items() if other[name] != content] == []


def test_the_verbs_have_run(outputs: list[Mapping[str, bytes]]) -> None:
    codes = [
        line.rpartition(b" ")[2] for line in outputs[0]["stdout"].splitlines() if line[:-2].decode() in VERBS
    ]
    assert codes == [b"0"] * (len(VERBS) - 1) + [b"2"]
    written = {"flow.svg", "flow.png", "flow.pdf", "flow.dot", "explorer.json", "canny.png"}
    assert written | {"trace.json", "netron.onnx"} <= outputs[0].keys()


def test_a_pdf_has_no_date(outputs: list[Mapping[str, bytes]]) -> None:
    assert b"/Producer" in outputs[0]["flow.pdf"] and b"Date" not in outputs[0]["flow.pdf"]
