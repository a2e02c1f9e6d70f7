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
    others = {"Load", "Store", "Group", "Yield", "Weight", "None", "Input"}  # what moves, and what is given
    assert not others & {record.op_type for record in report.records}
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


COPIES = """#loc1 = loc("load_val_6_0")
#loc2 = loc("load_val_6_1")
#loc3 = loc("load_conv1.weight")
#loc4 = loc("first_Conv")
#loc5 = loc("second_Conv")
%1 = "tpu.Load"(%9) {} : (tensor<4xf32>) -> tensor<4xf32> loc(#loc1)
%2 = "tpu.Load"(%9) {} : (tensor<4xf32>) -> tensor<4xf32> loc(#loc2)
%3 = "tpu.Load"(%8) {} : (tensor<4x4xf32>) -> tensor<4x4xf32> loc(#loc3)
%4 = "tpu.Conv2D"(%0, %3, %2) {} : (tensor<1x4x2x2xf32>) -> tensor<1x4x2x2xf32> loc(#loc4)
%5 = "tpu.Conv2D"(%4, %3, %1) {} : (tensor<1x4x2x2xf32>) -> tensor<1x4x2x2xf32> loc(#loc5)
"""

COPIED = """ENGINE_BD ENGINE_GDMA
Load_6|GDMA_TENSOR|s:0|b:0|g:1|e:9|t:10|dr:0|sz:16|bw:1.0
Load_7|GDMA_TENSOR|s:10|b:0|g:2|e:19|t:10|dr:0|sz:16|bw:1.0
Load_8|GDMA_TENSOR|s:20|b:0|g:3|e:29|t:10|dr:0|sz:64|bw:1.0
Conv2D_9|CONV|s:30|b:1|g:3|e:39|t:10
Conv2D_10|CONV|s:40|b:2|g:3|e:49|t:10
total_cycle:50
"""


def test_a_copy_of_a_shared_constant_is_of_the_operation_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "x_final.mlir").write_text(COPIES)
    (tmp_path / "compiler_profile_0.txt").write_text(COPIED)
    report = read_report(tmp_path, "tpu-mlir")
    sources = {record.name: record.sources for record in report.records}
    assert sources == {
        "Load_6": ("second_Conv",),
        "Load_7": ("first_Conv",),
        "Load_8": ("load_conv1.weight",),  # a weight of the model's own
        "Conv2D_9": ("first_Conv",),
        "Conv2D_10": ("second_Conv",),
    }
