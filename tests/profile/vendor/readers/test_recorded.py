"""Reports that tools wrote: the figures are those that the same file says elsewhere, or derived by hand."""

from __future__ import annotations

import re
import shutil
from math import prod
from pathlib import Path

import pytest

from onnxlens.profile.vendor.readers import read_report
from tests.profile.vendor.readers.recorded import DATA, by_name, report_of, total

CONVOLUTIONS = [
    # (out, in, height = width) of hed's 3x3 convolutions at 128 x 128
    (64, 3, 128), (64, 64, 128), (128, 64, 64), (128, 128, 64),
    (256, 128, 32), (256, 256, 32), (256, 256, 32),
    (512, 256, 16), (512, 512, 16), (512, 512, 16), (512, 512, 8), (512, 512, 8), (512, 512, 8),
]  # fmt: skip
SIDES = [(64, 128), (128, 64), (256, 32), (512, 16), (512, 8)]
HED_MACS = sum(o * i * s * s * 9 for o, i, s in CONVOLUTIONS) + sum(i * s * s for i, s in SIDES)


def test_vela() -> None:
    report = report_of("ethos-u/hed-u55-256_per-layer.csv")
    assert report.tool == report.label == "ethos-u"
    assert len(report.records) == 37
    assert report.records[0].figures == {"cycles": 18432, "compute_cycles": 12320}
    convolution, fused = report.records[2:4]
    # 64 outputs of 3 x 9 products at 128 x 128 positions; a fused Relu has no figure at all
    assert convolution.figures["macs"] == 64 * 3 * 9 * 128 * 128
    assert convolution.figures["memory_cycles"] == 40960  # of flash off the chip: DRAM has none
    assert (convolution.op_type, convolution.placement) == ("Conv2D", "npu")
    assert fused.figures == {}
    # Vela counts the 2 x 2 windows of the four poolings too: 4 products per output
    pools = sum(4 * c * (s // 2) ** 2 for c, s in [(64, 128), (128, 64), (256, 32), (512, 16)])
    assert total(report, "macs") == HED_MACS + pools


def test_vela_with_the_compiler_before_regor() -> None:
    """Its table has the column Network% twice, and floats."""
    report = report_of("ethos-u/ds-cnn-legacy_per-layer.csv")
    *_, product = report.records
    assert (product.op_type, product.name) == ("FULLY_CONNECTED", "t30")
    assert product.figures == {
        "cycles": 111664,
        "compute_cycles": 20025,
        "memory_cycles": 111664,
        "macs": 96000,
    }
    assert all(isinstance(figure, int) for figure in product.figures.values())
    # what Vela prints of the whole network
    assert total(report, "macs") == 2624000


def test_nncase() -> None:
    report = report_of("k230")
    records = by_name(report)
    assert total(report, "macs") == HED_MACS
    assert "time_s" not in {name for record in report.records for name in record.figures}
    group = records["TileLayerGroup_1"]
    assert group.op_type == "GNNEPdp1 + GNNEConv2D + GNNEConv2D"
    assert group.inputs == ((128, 64, 3, 3), (128, 128, 3, 3))
    assert group.outputs == ((1, 64, 128, 128), (1, 128, 64, 64), (1, 128, 64, 64))
    assert group.figures["macs"] == 128 * 64 * 9 * 64 * 64 + 128 * 128 * 9 * 64 * 64
    assert group.figures["off_chip_bytes"] == 1572864 + 225024
    assert records["relu"].figures == {"cosine_distance": pytest.approx(1 - 0.9999744, abs=1e-12)}
    assert records["relu"].sources == ("relu",)
    assert group.sources == ()


def test_nncase_where_it_leaves_its_tables(tmp_path: Path) -> None:
    """Each in the folder of a step of a pass."""
    quantization, fusion = (
        tmp_path / "4_QuantPass" / "2_AssignRanges",
        tmp_path / "7_AfterQuantPass" / "10_Fusion",
    )
    shutil.copytree(DATA / "k230", fusion)
    quantization.mkdir(parents=True)
    shutil.move(fusion / "quant_error.csv", quantization)
    (quantization / "values.bin").write_bytes(b"\x00\xff")
    assert read_report(tmp_path) == report_of("k230")


def test_nncase_flops_are_the_multiply_adds_of_its_kernels() -> None:
    """Also those of channels that fill a kernel up: 528 for the 512 of the last convolution."""
    for record in report_of("k230").records:
        kernels = record.op_type.split(" + ") if record.op_type else []
        outputs = [shape for kernel, shape in zip(kernels, record.outputs, strict=True) if "Conv" in kernel]
        products = sum(
            prod(shape) * prod(weight[1:]) for shape, weight in zip(outputs, record.inputs, strict=True)
        )
        filled = 16 * 8 * 8 if record.name == "TileLayerGroup_4" else 0
        if kernels:
            assert record.figures["flops"] == products == record.figures["macs"] + filled


def test_rknn() -> None:
    report = report_of("rknn/hed.txt")
    records = by_name(report)
    assert report.version == "2.5.0"
    assert len(report.records) == 56
    convolution = records["Conv:node_conv2d_2"]
    assert convolution.figures == {
        "cycles": 110833,
        "compute_cycles": 32768,
        "memory_cycles": 110833,
        "off_chip_read_bytes": 2048 * 1024,
    }
    assert convolution.inputs == ((1, 64, 128, 128), (1, 64, 1, 1), (1,))
    assert convolution.outputs == ((1, 1, 128, 128),)
    # not modelled: 0/0/0
    assert records["MaxPool:node_max_pool2d"].figures == {"off_chip_read_bytes": 2048 * 1024}
    assert records["OutputOperator:edge_1"].placement == "cpu"
    assert records["InputOperator:image"].figures == {}
    # a layer without a name leads to nothing
    assert records["Conv 1"].sources == ()
    # the log shows the first shapes of many
    assert records["Split:relu_4_split"].outputs == ((1, 128, 32, 32),)


def test_rknn_reads_only() -> None:
    """RW(KB) has inputs and weights alone, while the cycles of memory have the output too."""
    record = by_name(report_of("rknn/hed.txt"))["Conv:node_conv2d_3"]
    inputs, weights, outputs = 64 * 64 * 64 * 2, 128 * 64 * 9 * 2 + 128 * 4, 128 * 64 * 64 * 2
    assert record.figures["off_chip_read_bytes"] == (inputs + weights) // 1024 * 1024
    other = by_name(report_of("rknn/hed.txt"))["Conv:node_conv2d_4"]
    moved = {
        record.figures["memory_cycles"]: inputs + weights + outputs,
        other.figures["memory_cycles"]: outputs + 128 * 128 * 9 * 2 + 128 * 4 + outputs,
    }
    one, two = (size / cycles for cycles, size in moved.items())
    assert one == pytest.approx(two, rel=1e-3)


def test_rknn_accuracy() -> None:
    records = by_name(report_of("rknn/hed-int8-accuracy.txt"))
    # the first pair of columns: all error before it included
    assert records["relu"].figures == {"cosine_distance": pytest.approx(0.00003, abs=1e-12)}
    assert records["conv2d"].figures == {}
    assert records["edge_5_int8"].op_type == "Conv"
    assert records["image"].figures == {"cosine_distance": 0.0}


def test_tpu_mlir() -> None:
    report = report_of("tpu-mlir/compiler_profile_0.txt")
    records = by_name(report)
    assert report.label == "tpu-mlir-bm1684x"
    # what the trace says below: TCYC, and the bytes of its GDMA SUMMARY
    assert total(report, "cycles") == 842142
    assert total(report, "off_chip_bytes") == 32783770 + 3233024
    convolution = records["Conv2D_58"]
    assert convolution.sources == ("relu_1_Relu",)
    assert convolution.inputs == ((1, 64, 128, 128), (1, 64, 1, 576), (1, 64, 1, 1))
    assert convolution.outputs == ((1, 64, 128, 128),)
    # 73,728 cycles of CONV and 1,024 of AR
    assert convolution.figures == {"cycles": 74752, "compute_cycles": 74752}
    # from 17,921 to 20,649, all of it while Conv2D_58 works
    assert records["Load_55"].figures == {"memory_cycles": 2729, "off_chip_bytes": 147456}
    # from 23,076 to 110,429: hidden until Conv2D_58 ends at 92,672
    assert records["Load_57"].figures["cycles"] == 110429 - 92672
    assert records["Load_57"].figures["memory_cycles"] == 87354


def test_tpu_mlir_without_names() -> None:
    report = report_of("tpu-mlir/compiler_profile_0.txt", alone=True)
    assert report.chip == ""
    assert {record.sources for record in report.records} == {()}
    assert any("give the *_final.mlir" in note for note in report.notes)
    assert report_of("tpu-mlir") == report_of("tpu-mlir/compiler_profile_0.txt")


def test_tpu_mlir_by_the_locations_of_its_tensors() -> None:
    """The same lines, in another file; it does not say the chip."""
    located = read_report(
        DATA / "tpu-mlir/compiler_profile_0.txt", names=DATA / "tpu-mlir/tensor_location.json"
    )
    assert located.records == report_of("tpu-mlir").records
    assert located.chip == ""


def test_qnn() -> None:
    report = report_of("qnn/unet-input_blocks.1.csv")
    records = by_name(report)
    # the root event "Accelerator (execute) time (cycles)"
    assert total(report, "cycles") == 4027000974
    assert records["node_add:OpId_69"].sources == ("node_add",)
    assert records["node_add:OpId_69"].figures == {"cycles": 19101617}
    assert records["Squeeze:OpId_26"].figures == {}
    assert records["Input OpId_2"].sources == records["OpId_44"].sources == ()
    assert records["node_MatMul_202/MatMulAddFusion_2:OpId_233"].sources == (
        "node_MatMul_202/MatMulAddFusion_2",
    )


def test_onnxruntime() -> None:
    report = report_of("onnxruntime/small-profile.json")
    records = by_name(report)
    assert report.notes == ("the mean of 2 runs, the first not counted",)
    assert {record.placement for record in report.records} == {"cpu"}
    assert records["r_nchwc"].op_type == "Conv"
    assert records["r_nchwc"].inputs == ((1, 3, 32, 32), (16, 3, 3, 3))
    # the second and third run: 57 and 14 us; the If has 50 and 12, of which the Mul inside it has 34 and 5
    times = {name: record.figures["time_s"] for name, record in records.items()}
    assert times["r_nchwc"] == pytest.approx((57 + 14) / 2e6, rel=1e-12)
    assert times["then_mul"] == pytest.approx((34 + 5) / 2e6, rel=1e-12)
    assert times["node_if"] == pytest.approx((50 - 34 + 12 - 5) / 2e6, rel=1e-12)


def test_openvino() -> None:
    records = by_name(report_of("openvino/hed-counters.json"))
    convolution = records["node_conv2d/WithoutBiases"]
    assert convolution.figures == {"time_s": 0.000959}
    assert convolution.sources == ("node_conv2d/WithoutBiases", "node_conv2d", "node_relu")
    assert records["node_relu"].figures == records["image"].figures == {}  # NOT_RUN
    assert records["node_sub_abcd_acdb_node_conv2d/WithoutBiases"].sources == ()  # a Reorder of its own


@pytest.mark.parametrize(
    "name",
    [
        "benchmark_average_counters_report.csv",
        "benchmark_detailed_counters_report.csv",
        "benchmark_detailed_counters_report.json",
    ],
)
def test_benchmark_app(name: str) -> None:
    """The layers add up to the total that the report says itself, to the last digit that it prints."""
    text = (DATA / "openvino" / name).read_text(encoding="utf-8")
    said = re.search(r'Total;;;;([\d.]+)|"total_real_time": "([\d.]+)"', text)
    assert said is not None
    report = report_of(f"openvino/{name}")
    assert len(report.records) == 48
    assert total(report, "time_s") * 1000 == pytest.approx(float(said[1] or said[2]), abs=0.048)


def test_tt_perf() -> None:
    """What tt-perf-report made of the profiler's table, and that table behind its last signpost."""
    report, profile = report_of("tt-perf/report.csv"), report_of("tt-perf/ops_perf_results.csv")
    assert [record.figures for record in report.records[1:]] == [record.figures for record in profile.records]
    embedding, *_, product = report.records
    assert (embedding.op_type, embedding.figures) == ("EmbeddingsDeviceOperation", {"time_s": 1.0429e-05})
    assert (product.name, product.op_type) == (
        "7 MatmulDeviceOperation 32 x 1280 x 1280",
        "MatmulDeviceOperation",
    )
    # sizes are padded to 32 in the profile, and 19 by themselves
    assert profile.records[-1].inputs == ((1, 1, 19, 1280), (1, 1, 1280, 1280))
    assert profile.records[-1].outputs == ((1, 1, 19, 1280),)


def test_zigzag() -> None:
    first, second = report_of("zigzag").records
    # 2 x 4 x 8 x 8 outputs, each a sum over 3 x 3 x 3; 48 + 1,152 + 7 cycles
    assert first.figures == {
        "cycles": 1207,
        "compute_cycles": 1152,
        "memory_cycles": 55,
        "energy_pj": 111595.444,
        "macs": 512 * 27,
    }
    assert (first.sources, first.op_type) == (("node_a",), "Conv")
    assert second.figures["macs"] == 128 * 4 * 16


def test_scalesim() -> None:
    first, *_, last = report_of("scalesim").records
    # 64 positions of a 3 x 3 window over 3 channels, and 4 filters of it
    reads = {"SRAM IFMAP": 64 * 27, "SRAM Filter": 4 * 27, "SRAM OFMAP": 64 * 4}
    assert first.figures == {
        "cycles": 230,
        "compute_cycles": 157,
        "on_chip_bytes": sum(reads.values()),
        "off_chip_bytes": 10 * 10 * 3 + 4 * 27 + 64 * 4,
        "weight_bytes": 4 * 27,
    }
    assert (first.sources, last.sources) == (("node_a",), ("node_y",))
    assert report_of("scalesim", alone=True).records[0].sources == ()


def test_executorch() -> None:
    report = report_of("executorch/small.csv")
    convolution, relu, *_, product = report.records
    # the middle of 793,702, 763,597 and 6,927,601 ns; the framework's own rows are no layers
    assert convolution.figures == {"time_s": 0.000793702}
    assert (convolution.op_type, convolution.sources) == ("aten.convolution.default", ("conv",))
    assert relu.sources == ("act",)
    assert product.sources == ("head",)
    assert {record.placement for record in report.records} == {"cpu"}
    assert len(report.records) == 5


@pytest.mark.parametrize("name", ["small-xnnpack.csv", "small-xnnpack.txt"])
def test_executorch_with_a_delegate(name: str) -> None:
    """What XNNPACK ran has 1, 8 and 1 us of the 13.009 of its call, which has the rest."""
    first, convolution, last, call, *_, second, _ = report_of(f"executorch/{name}").records
    times = [record.figures["time_s"] for record in (first, convolution, last, call)]
    assert times == pytest.approx([1e-6, 8e-6, 1e-6, 3.009e-6], rel=1e-8)
    assert (convolution.op_type, convolution.placement) == ("Convolution", "XnnpackBackend")
    assert second.figures == {
        "time_s": pytest.approx(0.851e-6)
    }  # its only operator took no time that it tells
    # 27.22 us for the whole method, with what is between its operators
    assert total(report_of(f"executorch/{name}"), "time_s") == pytest.approx(26.078e-6, rel=1e-8)
