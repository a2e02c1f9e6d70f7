"""What the arguments alone decide is refused before anything is exported or loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.api.opened import OpenedTarget
from tests.cli.calls import onnxlens

EARLY = {
    "profile hed --columns latency": "column latency_s holds no figure; give --latency (ledger has it)",
    "profile hed --sort error": "column parity_error holds no figure; give --parity (ledger has it)",
    "profile hed --where fits==yes": "column fits holds no figure; give --fits SIZE",
    "profile hed --columns thop_macs --convention fvcore": "no figure; give --convention thop",
    "profile hed --as-dtype int8": "--as-dtype is of memory and bounds; add --hardware CHIP",
    "profile hed --by op --columns path": "no column is called 'path'; rows of another --by have it; there",
    "profile hed --by op --depth 1": "--depth is about modules; leave out --by op",
    "ledger hed --by node --depth 1": "--depth is about modules; leave out --by node",
    "profile hed --by family --depth 1 --format json": "--depth is about modules; leave out --by family",
    "profile hed --sort own_latency": "column own_latency_s holds no figure; give --latency (ledger has it)",
    "profile hed --columns latency_share": "column latency_percent holds no figure; give --latency",
    "ledger hed --columns error --latency": "column parity_error holds no figure; give --parity",
    "ledger hed --latency --format trace --out /proc/no/t.json": "/proc/no: cannot be written",
    "ledger hed --parity --dtype float16": "layers are compared in float32 alone",
    "check hed --layers --dtype float16": "layers are compared in float32 alone",
    "check hed --provider cuda": "provider 'cuda'",
    "check hed --layers --provider cuda": "provider 'cuda'",
    "check hed --weights none": "cannot run without weights",
    "bench hed --weights none": "cannot run without weights",
    "render hed --out x.svg --color latency": "no box has latency_s; it comes with --latency",
    "render hed --out x.svg --color bound_s": "no box has bound_s; it comes with --hardware",
    "extract hed --module block1 --out x.onnx --data --dtype bfloat16": "which .npz files have not",
    "extract hed --module block1 --out x.onnx --data --weights none": "its data needs its weights",
    "run --graphs hed --out x --browser chromium": "--browser is of --netron; give that too",
}


def _not_reached(opened: OpenedTarget) -> None:
    raise AssertionError(f"{opened.target} is exported")


@pytest.mark.parametrize("line", EARLY)
def test_it_is_refused_before_the_export(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "cuda" in line and Path("/dev/nvidia0").exists():
        pytest.skip("this machine has the device")
    for name in ("_exported", "network", "graph"):
        monkeypatch.setattr(OpenedTarget, name, property(_not_reached))
    monkeypatch.chdir(tmp_path)
    outcome = onnxlens(*line.split())
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert EARLY[line] in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
