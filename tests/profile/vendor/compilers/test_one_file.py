"""Compilers of one ONNX file: which type each chip computes in, and where the report is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.compilers import one_file, rknn, tpu_mlir
from onnxlens.profile.vendor.compilers.child import Outcome
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest
from onnxlens.specs.layers import LayerRecord, LayerReport
from onnxlens.specs.progress import silent


class File:
    """A source of one file, with inputs whose names are no parts of a path."""

    inputs = {"a/b": np.zeros(2, np.float32), "c": np.ones(1, np.int64)}

    def one_file(self, folder: Path) -> Path:
        return folder / "model.onnx"


@pytest.mark.parametrize(
    ("compiler", "chip", "dtype"),
    [
        (rknn.COMPILER, "rk3588", "float16"),
        (rknn.COMPILER, "rk3588@int8", "int8"),
        (rknn.COMPILER, "rv1106", "int8"),
        (tpu_mlir.COMPILER, "bm1684x", "float16"),
        (tpu_mlir.COMPILER, "bm1688@int8", "int8"),
        (tpu_mlir.COMPILER, "cv181x", "int8"),
    ],
)
def test_a_chip_computes_in_halves_unless_it_cannot_or_must_not(
    compiler: Compiler, chip: str, dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}
    read: list[Path] = []

    def run_worker(python: Path, worker: Path, request: Any, folder: Path, timeout_s: float) -> Outcome:
        assert worker.is_file()
        asked.update(request)
        (folder / "log.txt").write_bytes(b"Scan \xa8")  # a tool may print any bytes
        return Outcome(folder / "log.txt", {"version": "1.2", "report": "log.txt"})

    def read_report(path: Path, tool: str, chip: str) -> LayerReport:
        assert path.read_text(encoding="utf-8") == "Scan \ufffd"
        read.append(path)
        return LayerReport(tool, (LayerRecord("l"),), chip=chip, notes=("as read",))

    monkeypatch.setattr(one_file, "run_worker", run_worker)
    monkeypatch.setattr(one_file, "read_report", read_report)
    request = CompileRequest(File(), compiler.chip(chip), Path("python"), tmp_path, 9, silent)  # type: ignore[arg-type]
    report = compiler.compile(request)
    assert asked == {
        "model": "model.onnx",
        "chip": chip.partition("@")[0],
        "dtype": dtype,
        "inputs": ["a/b", "c"],
    }
    assert (tmp_path / "inputs.npz").is_file()
    assert read == [tmp_path / "log.txt"]
    assert (report.label, report.version, report.notes[0]) == (f"{compiler.name}-{chip}", "1.2", "as read")
    assert ("calibrated" in report.notes[-1]) == (dtype == "int8")


def test_a_chip_of_int8_alone_has_no_such_variant() -> None:
    with pytest.raises(UsageError, match="rv1106 has no variant 'int8'; it has none"):
        rknn.COMPILER.chip("rv1106@int8")


def test_a_file_made_elsewhere_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this tool compiles what is made from the target"):
        rknn.COMPILER.require_given(tmp_path / "model.onnx")
