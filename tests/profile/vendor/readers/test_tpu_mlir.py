"""tpu-mlir's final MLIR without a trace, which is all that some chips have: operations, and no cycles."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers.lookup import read_report

FINAL = Path(__file__).parents[3] / "data" / "vendor" / "tpu-mlir" / "hed_bm1684x_f16_final.mlir"


@pytest.mark.parametrize("as_folder", [True, False])
def test_operations_have_their_tensors_and_no_figures(tmp_path: Path, as_folder: bool) -> None:
    shutil.copy(FINAL, tmp_path)
    report = read_report(tmp_path if as_folder else tmp_path / FINAL.name)
    assert (report.label, len(report.notes)) == ("tpu-mlir-bm1684x", 1)
    assert not any(record.figures for record in report.records)
    assert not {"Load", "Store", "Group", "Yield"} & {record.op_type for record in report.records}
    convolutions = [record for record in report.records if record.op_type == "Conv2D"]
    assert len(convolutions) == 13 + 5  # of the five blocks, and one at the end of each
    assert convolutions[0].sources == ("relu_Relu",)
    assert convolutions[0].outputs == ((1, 64, 128, 128),)
    assert {record.placement for record in report.records} == {"npu"}


def test_what_the_processor_runs_is_placed_there(tmp_path: Path) -> None:
    text = FINAL.read_text().replace('"tpu.Pool2D"', '"tpu.GenericCpu"')
    (tmp_path / "x_final.mlir").write_text(text)
    report = read_report(tmp_path / "x_final.mlir")
    placed = [record.op_type for record in report.records if record.placement == "cpu"]
    assert placed == ["GenericCpu"] * 4  # between the five blocks


def test_a_model_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x_final.mlir").write_text("module {}\n")
    with pytest.raises(UsageError, match="expected the final MLIR of tpu-mlir"):
        read_report(tmp_path / "x_final.mlir")
