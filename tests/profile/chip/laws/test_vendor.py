"""The laws of Sophgo and Rockchip, to the cycle on every recorded row; and where a law says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnxlens.profile.chip.chip_file import chip_names, load_chip
from onnxlens.profile.chip.laws.ethos_u_parts import PARTS
from onnxlens.profile.chip.laws.vendor import LAWS, ethos_u, law_of, rockchip, sophgo, vendor_cycles
from onnxlens.specs.array_fit import MatrixWork
from tests.profile.chip.laws.recorded import TYPES, rknn_work, rows, tpu_mlir_work
from tests.profile.count.rules.nodes import node

TRACE = rows("tpu-mlir-1.30.2.csv")
TABLE = rows("rknn-toolkit2-2.5.0.csv")
FLOAT16 = "float16xfloat16"
ONES = (1, 1)


def test_convolutions_and_products_of_the_trace() -> None:
    chip = load_chip("bm1684x")
    assert sum(row["instruction"] == "CONV" for row in TRACE) == 22
    covered = [row for row in TRACE if row["instruction"] != "MM"]
    found = [sophgo(tpu_mlir_work(row), chip, FLOAT16) for row in covered]
    assert found == [int(row["cycles"]) for row in covered]
    # one product has a single row, and runs on another instruction
    assert [sophgo(tpu_mlir_work(row), chip, FLOAT16) for row in TRACE if row["instruction"] == "MM"] == [
        None
    ]


def test_known_cycles_of_the_trace() -> None:
    chip = load_chip("bm1684x")
    conv = MatrixWork("convolution", 1, 1, 64, 64, 128, 128, (3, 3), ONES, ONES)
    # one step of 64 outputs, 2 of 32 inputs, 9 taps, 128 x 128 / 4 pixels
    assert sophgo(conv, chip, FLOAT16) == 2 * 9 * 4096 == 73_728
    # 3 x 9 = 27 channels and taps fill one step of 32
    assert sophgo(replace(conv, input_channels=3), chip, FLOAT16) == 4096
    # 8 x 3: only one side of the kernel fits
    assert sophgo(replace(conv, input_channels=8), chip, FLOAT16) == 3 * 4096
    assert sophgo(replace(conv, input_channels=8, kernel=(3, 1)), chip, FLOAT16) == 4096
    # 77 rows on 64 lanes, 768 / 32 terms, 320 / 4 columns
    assert sophgo(MatrixWork("matmul", 1, 1, 768, 320, 1, 77), chip, FLOAT16) == 2 * 24 * 80 == 3_840


@pytest.mark.parametrize("name", ["rk3588", "rk3576", "rk3566", "rk3562", "rv1106"])
def test_convolutions_of_rockchips_table(name: str) -> None:
    chip, table = load_chip(name), [row for row in TABLE if row["chip"] == name]
    found = [(row, rockchip(rknn_work(row), chip, TYPES[row["dtype"]])) for row in table]
    assert len(table) >= 21
    assert [row for row, cycles in found if cycles != int(row["npu_cycles"])] == []


@pytest.mark.parametrize(
    ("layer", "cycles"),
    [
        (MatrixWork("convolution", 1, 1, 64, 64, 16, 16, (3, 3), ONES, ONES), 2 * 2 * 9 * 256),
        (MatrixWork("convolution", 1, 1, 3, 64, 16, 16, (3, 3), ONES, ONES), 1 * 2 * 9 * 256),
        (MatrixWork("convolution", 1, 1, 64, 64, 16, 16, ONES, ONES, ONES), 64 * 256 // 8),
        (MatrixWork("convolution", 1, 1, 64, 64, 17, 17, (3, 3), ONES, ONES), 2 * 2 * 9 * 304),
        (MatrixWork("depthwise", 1, 96, 1, 1, 16, 16, (3, 3), ONES, ONES), 2 * 9 * 256),
        (MatrixWork("convolution", 1, 4, 16, 16, 16, 16, (3, 3), ONES, ONES), 4 * 9 * 256),
    ],
)
def test_known_cycles_of_rk3588(layer: MatrixWork, cycles: int) -> None:
    assert rockchip(layer, load_chip("rk3588"), "int8xint8") == cycles


def test_a_law_says_nothing_where_it_was_not_held() -> None:
    rk3588 = load_chip("rk3588")
    conv = MatrixWork("convolution", 1, 1, 64, 64, 16, 16, (3, 3), ONES, ONES)
    assert rockchip(replace(conv, dilation=(5, 5)), rk3588, "int8xint8") is None
    assert rockchip(conv, rk3588, "float32xfloat32") is None
    doubled = MatrixWork("depthwise", 1, 8, 1, 2, 16, 16, (3, 3), ONES, ONES)
    assert rockchip(doubled, rk3588, "int8xint8") is None
    assert sophgo(MatrixWork("matmul", 1, 1, 64, 64, 1, 1), load_chip("bm1684x"), FLOAT16) is None


def test_velas_law_says_nothing_of_what_vela_takes_apart() -> None:
    u85 = load_chip("ethos-u85-256")
    conv = MatrixWork("convolution", 1, 1, 16, 16, 32, 32, (3, 3), ONES, ONES, given=(32, 32))
    assert ethos_u(conv, u85, "int8xint8") == 13_037
    # the images of a batch, and the groups, one by one
    assert ethos_u(replace(conv, times=2), u85, "int8xint8") == 2 * 13_037
    small = replace(conv, groups=4, height=16, width=16, given=(16, 16))
    assert ethos_u(small, u85, "int8xint8") == 4 * 3_796
    point = replace(conv, kernel=ONES)
    for taken_apart in (
        replace(conv, stride=(4, 4)),
        replace(conv, is_spread=True),
        replace(conv, output_channels=1 << 17),
        replace(conv, given=()),
        replace(point, times=2),
        replace(point, input_channels=2),
        MatrixWork("depthwise", 1, 8, 1, 2, 20, 20, (3, 3), ONES, ONES, given=(20, 20)),
    ):
        assert ethos_u(taken_apart, u85, "int8xint8") is None, taken_apart


def test_which_chips_have_a_law() -> None:
    with_law = {name for name in chip_names() if law_of(load_chip(name)) is not None}
    assert with_law == {*LAWS, *PARTS}


def test_cycles_of_a_node() -> None:
    conv = node("Conv", [(1, 64, 32, 32), (64, 64, 3, 3)], [(1, 64, 32, 32)], weights={1}, pads=(1, 1, 1, 1))
    assert (
        vendor_cycles(conv, load_chip("ethos-u55-256"), "int8xint8") == 150_084
    )  # Vela's, of this layer alone
    assert vendor_cycles(conv, load_chip("k230"), "int8xint8") is None
    assert vendor_cycles(conv, load_chip("ethos-u85-512"), "int8xint8") == 101_226
    assert vendor_cycles(node("Relu", [(4,)], [(4,)]), load_chip("rk3588"), "int8xint8") is None
    scores = node("MatMul", [(1, 8, 77, 64), (1, 8, 64, 77)], [(1, 8, 77, 77)])
    assert vendor_cycles(scores, load_chip("rk3588"), FLOAT16) is None  # two activations
    assert vendor_cycles(scores, load_chip("bm1684x"), FLOAT16) == 8 * 2 * 2 * 20
    row = node("Gemm", [(1, 512), (512, 256)], [(1, 256)], weights={1})
    assert vendor_cycles(row, load_chip("ethos-u55-32"), "int8xint8") == 18_603
