"""The main job at full size, every weight written and read: minutes and gigabytes, so only on request."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import onnxlens
from onnxlens.reference_model import catalog
from tests.reference_report.test_figures import FIGURES, assert_rows_sum_to_totals

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("main-job")
    run = f"import sys; from onnxlens.cli.main import run; sys.exit(run(['run', '--out', {str(folder)!r}]))"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_graph_agrees_with_pytorch_on_every_output(out: Path) -> None:
    for graph in FIGURES.keys() - {"control-ldm"}:
        report = json.loads((out / graph / "parity.json").read_text())
        assert report["passed"], graph
        for output in report["outputs"]:
            assert output["rel_l2"] < catalog.tolerance(graph), (graph, output["tensor"])
            assert output["reference_max_abs"] > 0, (graph, output["tensor"])


@pytest.mark.parametrize("graph", FIGURES)
def test_the_full_file_counts_as_the_weightless_one(out: Path, graph: str) -> None:
    ledger = onnxlens.profile_graph(out / graph / f"{graph}.onnx")
    assert (ledger.totals.macs, ledger.totals.params) == (FIGURES[graph].macs, FIGURES[graph].params)
    assert ledger.totals.unknown_nodes == 0
    assert_rows_sum_to_totals(ledger)


def test_the_unet_file_holds_every_parameter(out: Path) -> None:
    # float32, and each of the 686 tensors starts on a page of 4096 bytes
    size = (out / "sd-unet" / "sd-unet.onnx.data").stat().st_size
    assert 4 * FIGURES["sd-unet"].params <= size < 4 * FIGURES["sd-unet"].params + 686 * 4096
