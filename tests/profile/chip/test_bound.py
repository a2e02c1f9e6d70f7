"""Bounds on chips, from shapes to seconds by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, numpy_helper
from pytest import approx

from onnxlens.errors import UsageError
from onnxlens.profile.chip.bound import bounds_of
from onnxlens.profile.chip.chip_file import load_chip
from onnxlens.specs.chip import Chip, Figure, Memory
from onnxlens.specs.roofline import ChipBounds
from tests.profile.models import ledger_of, op, save, value, weight


def figure(value: float) -> Figure:
    return Figure(value, "data sheet", "vendor")


def chip(
    *,
    peak: float = 1e9,
    memory: float = 1e6,
    holds: str = "all",
    cache: int | None = 0,
    vector: float | None = None,
) -> Chip:
    """A chip of 1 GMAC/s and 1 MB/s; ``cache`` of no bytes, or of unknown size."""
    caches = [Memory("cache", "nothing", figure(cache) if cache else None)] if cache != 0 else []
    return Chip(
        "acme",
        "Acme NPU",
        macs_per_s={"float32xfloat32": figure(peak), "int8xint8": figure(2 * peak)},
        vector_ops_per_s={"float32": figure(vector)} if vector else {},
        memories=(Memory("DRAM", holds, None, figure(memory)), *caches),  # type: ignore[arg-type]
    )


def worked(folder: Path, nodes: Sequence[NodeProto] | None = None) -> Path:
    """A 3x3 convolution of 64 channels on 56 x 56 positions, and a Relu."""
    shape = (1, 64, 56, 56)
    conv = op("Conv", "x w", "c", "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    chosen = nodes or [conv, op("Relu", "c", "y", "relu")]
    return save(folder, chosen, [value("x", shape)], [value("y", shape)], [weight("w", 64, 64, 3, 3)])


def bounds(path: Path, on: Chip | str, dtype: str = "") -> ChipBounds:
    graph, ledger = ledger_of(path)
    found = load_chip(on) if isinstance(on, str) else on
    return bounds_of(graph, ledger, {"chip": found}, dtype)[0]


MACS = 56 * 56 * 64 * 64 * 9
WEIGHT = 64 * 64 * 9
MAP = 64 * 56 * 56


def test_the_worked_example_of_the_page(tmp_path: Path) -> None:
    found = bounds(worked(tmp_path), "k230", "int8")
    whole = found.total
    assert MACS == 115_605_504
    # 768 MACs per cycle at 800 MHz
    assert whole.limits["compute"] == approx(MACS / 614.4e9) == approx(188.16e-6)
    # weight, input and output are 438,272 bytes; 4,349,952 can be on the chip before and after
    assert whole.limits["DRAM"] == 0
    # through GLB pass what the 155,648 bytes of L1 cannot hold: of 237,568 read, and of 200,704 written
    through = (WEIGHT + MAP - 155_648) + (MAP - 155_648)
    assert through == 126_976
    assert whole.limits["GLB"] == approx(through / 25.6e9) == approx(4.96e-6)
    assert (whole.bound_s, whole.limited_by) == (whole.limits["compute"], "compute")
    # one after another: the convolution by compute, the Relu by its 401,408 bytes at 12.8 GB/s
    assert whole.serial_s == approx(MACS / 614.4e9 + 2 * MAP / 12.8e9) == approx(219.52e-6)
    # 3 steps of 24 input channels, 2 of 32 output channels, 3,136 positions and 9 taps: a cycle each
    cycles = 3 * 2 * 3136 * 9
    assert whole.fit_s == approx(cycles / 800e6) == approx(211.68e-6)
    assert (whole.lost_macs, whole.blame) == (cycles * 768 - MACS, "input_channels")
    page = (Path(__file__).parents[3] / "docs" / "roofline.md").read_text()
    for text in ("115,605,504", "188.16 us", "126,976", "4.96 us", "219.52 us", "169,344", "211.68 us"):
        assert text in page


def test_what_is_in_the_file_s_types_needs_a_rate_for_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--hardware: k230: no peak is published for float32xfloat32"):
        bounds(worked(tmp_path), "k230")


def test_memory_bounds_by_each_tensor_once_less_what_caches_hold(tmp_path: Path) -> None:
    moved = 4 * (WEIGHT + 2 * MAP)
    plain = bounds(worked(tmp_path), chip()).total
    assert plain.limits == {"compute": approx(MACS / 1e9), "DRAM": approx(moved / 1e6)}
    assert (plain.limited_by, plain.weight_bytes, plain.other_bytes) == ("DRAM", 4 * WEIGHT, 8 * MAP)
    # one after another the intermediate is written and read
    assert plain.serial_s == approx((moved + 8 * MAP) / 1e6)
    held = bounds(worked(tmp_path), chip(cache=100_000)).total
    assert held.limits["DRAM"] == approx((moved - 2 * 100_000) / 1e6)
    assert held.serial_s == plain.serial_s
    assert bounds(worked(tmp_path), chip(cache=10**9)).total.limits["DRAM"] == 0
    unknown = bounds(worked(tmp_path), chip(cache=None))
    assert "DRAM" not in unknown.total.limits
    assert "left out: DRAM: what caches hold is not published" in unknown.notes


def test_a_home_of_weights_is_passed_by_weights_alone(tmp_path: Path) -> None:
    path = worked(tmp_path)
    weights = bounds(path, chip(holds="weights")).total.limits["DRAM"]
    others = bounds(path, chip(holds="activations")).total.limits["DRAM"]
    assert (weights, others) == (approx(4 * WEIGHT / 1e6), approx(8 * MAP / 1e6))
    # Arm's example system: flash at 0.5 GB/s, 48 KiB of SHRAM; 8-bit weights of 36,864 bytes fit in there
    assert bounds(path, "ethos-u55-256", "int8").total.limits["flash"] == 0
    assert bounds(path, "ethos-u55-128", "int8").total.limits["flash"] == approx((WEIGHT - 24576) / 0.5e9)


def test_a_weight_that_two_nodes_read_is_read_once(tmp_path: Path) -> None:
    kernel = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    path = worked(tmp_path, [op("Conv", "x w", "c", **kernel), op("Conv", "c w", "y", **kernel)])
    whole = bounds(path, chip()).total
    assert (whole.weight_bytes, whole.other_bytes, whole.macs) == (4 * WEIGHT, 8 * MAP, 2 * MACS)
    assert whole.serial_s == approx(8 * (WEIGHT + 2 * MAP) / 1e6)


def test_nodes_that_are_not_one_after_another_pass_the_memory_in_each_run(tmp_path: Path) -> None:
    kernel = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [op("Conv", "x w", "c", **kernel), op("Relu", "c", "r"), op("Conv", "r w", "y", **kernel)]
    found = bounds(worked(tmp_path, nodes), chip(cache=100_000))
    run = 4 * (WEIGHT + 2 * MAP) - 2 * 100_000
    # the second run has the weight inside already
    assert found.of((0, 2)).limits["DRAM"] == approx((2 * run - 4 * WEIGHT) / 1e6)
    assert found.of((0, 1, 2)).limits["DRAM"] == approx(run / 1e6)


def test_a_bound_does_not_rest_on_the_order_of_branches_in_the_file(tmp_path: Path) -> None:
    kernel = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    one = [op("Conv", "x w", "c", **kernel), op("Conv", "c w", "d", **kernel)]
    other = [op("Conv", "x w", "e", **kernel), op("Conv", "e w", "f", **kernel)]
    end = op("Add", "d f", "y")
    deep = bounds(worked(tmp_path, [*one, *other, end]), chip())
    wide = bounds(worked(tmp_path, [one[0], other[0], one[1], other[1], end]), chip())
    # a runtime may run the two of a branch one after the other: x and the weight come in, d goes out
    assert deep.of((0, 1)).limits == wide.of((0, 2)).limits
    assert wide.of((0, 2)).limits["DRAM"] == approx(4 * (WEIGHT + 2 * MAP) / 1e6)


def test_operands_of_a_quantized_convolution_are_its_first_and_fourth_input(tmp_path: Path) -> None:
    held = [
        numpy_helper.from_array(np.ones((64, 64, 3, 3), np.int8), "w"),
        numpy_helper.from_array(np.float32(1), "s"),
        numpy_helper.from_array(np.int8(0), "z"),
    ]
    node = op("QLinearConv", "x s z w s z s z", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x, y = (value(name, (1, 64, 56, 56), TensorProto.INT8) for name in "xy")
    found = bounds(save(tmp_path, [node], [x], [y], held), chip())
    assert found.total.limits["compute"] == approx(MACS / 2e9)


def test_elementwise_work_counts_where_it_is_not_part_of_a_product(tmp_path: Path) -> None:
    rate = 1e5
    riding = bounds(worked(tmp_path), chip(vector=rate)).total
    assert "elementwise" not in riding.limits
    alone = worked(tmp_path, [op("Relu", "x", "c"), op("Softmax", "c", "y", axis=1)])
    # a Relu is an op per element; a softmax, by its function's body, 4: maximum, subtract, sum, divide
    assert bounds(alone, chip(vector=rate)).of((0,)).limits["elementwise"] == approx(MAP / rate)
    assert bounds(alone, chip(vector=rate)).of((1,)).limits["elementwise"] == approx(4 * MAP / rate)
    assert any("transcendental ops of float32" in note for note in bounds(alone, chip(vector=rate)).notes)


def test_quantized_operands_are_multiplied_as_integers(tmp_path: Path) -> None:
    held = [
        numpy_helper.from_array(np.ones((64, 64, 3, 3), np.int8), "w8"),
        numpy_helper.from_array(np.float32(1), "s"),
        numpy_helper.from_array(np.int8(0), "z"),
    ]
    kernel = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        op("QuantizeLinear", "x s z", "q"),
        op("DequantizeLinear", "q s z", "d"),
        op("DequantizeLinear", "w8 s z", "w"),
        op("Conv", "d w", "y", **kernel),
    ]
    shape = (1, 64, 56, 56)
    path = save(tmp_path, nodes, [value("x", shape)], [value("y", shape)], held)
    assert bounds(path, chip()).total.limits["compute"] == approx(MACS / 2e9)
    weights_alone = save(tmp_path, nodes[2:3] + [op("Conv", "x w", "y", **kernel)],
                         [value("x", shape)], [value("y", shape)], held)  # fmt: skip
    assert bounds(weights_alone, chip()).total.limits["compute"] == approx(MACS / 1e9)


@pytest.mark.parametrize(("level", "rate"), [(0, 1e9), (1, 1e9), (4, 2e9)])
def test_packed_weights_that_may_be_multiplied_as_integers_are_bound_by_the_rate_of_those(
    tmp_path: Path, level: int, rate: float
) -> None:
    packed = [
        numpy_helper.from_array(np.ones((64, 2, 16), np.uint8), "b"),
        numpy_helper.from_array(np.ones(128, np.float32), "s"),
    ]
    sizes = {"K": 64, "N": 64, "bits": 4, "block_size": 32}
    node = op("MatMulNBits", "x b s", "y", domain="com.microsoft", accuracy_level=level, **sizes)
    path = save(tmp_path, [node], [value("x", (4, 64))], [value("y", (4, 64))], packed)
    assert bounds(path, chip()).total.limits["compute"] == approx(4 * 64 * 64 / rate)
    assert bounds(path, chip(), "float32").total.limits["compute"] == approx(4 * 64 * 64 / 1e9)


@pytest.mark.parametrize("operands", ["s d", "d s"])
def test_a_scale_folds_into_the_weights_beside_it_on_either_side(tmp_path: Path, operands: str) -> None:
    nodes = [op("Concat", "x x", "d", axis=1), op("Mul", operands, "y")]
    x, y = value("x", (1, 8, 4, 4)), value("y", (1, 16, 4, 4))
    found = bounds(save(tmp_path, nodes, [x], [y], [weight("s", 1)]), chip(vector=1.0))
    assert "elementwise" not in found.total.limits


def test_a_transposed_convolution_may_be_a_product_with_a_column_for_every_tap(tmp_path: Path) -> None:
    node = op("ConvTranspose", "x w", "y", kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])
    x, y = value("x", (1, 64, 16, 16)), value("y", (1, 1, 32, 32))
    found = bounds(save(tmp_path, [node], [x], [y], [weight("w", 64, 1, 4, 4)]), "k230", "int8").total
    # 3 steps of 24 input channels, one of 32 columns for 16 taps, 256 positions; tap by tap 16 times that
    assert found.fit_s == approx(3 * 1 * 256 / 800e6)
    assert found.lost_macs == 3 * 256 * 768 - 256 * 64 * 16


def test_the_batch_at_which_compute_takes_as_long_as_memory(tmp_path: Path) -> None:
    found = bounds(worked(tmp_path), chip(peak=MACS / 4, memory=1e6))
    # compute 4 s; activations 1.605632 s; weights 0.147456 s, shared by a batch: 4 b = 0.147456 + 1.605632 b
    assert found.turning_factor(found.total) == approx(0.147456 / (4 - 1.605632))
    slow = bounds(worked(tmp_path), chip(peak=MACS * 10, memory=1e6))
    assert slow.turning_factor(slow.total) is None


def test_a_bound_is_never_above_the_sum_over_operators_one_after_another(tmp_path: Path) -> None:
    found = bounds(worked(tmp_path), chip(cache=1000, vector=1e6))
    for indices in ((0,), (1,), (0, 1)):
        assert found.of(indices).bound_s <= found.of(indices).serial_s


def test_a_memory_of_two_words_has_the_grade_of_its_rate(tmp_path: Path) -> None:
    slow = replace(chip(), memories=(Memory("slow DRAM", "all", None, Figure(1e3, "forum", "third party")),))
    found = bounds(worked(tmp_path), slow)
    assert found.total.limited_by == "slow DRAM"
    assert found.grades == {"compute": ("vendor",), "slow DRAM": ("third party",)}


def test_a_type_without_a_rate_is_left_out_of_a_bound_and_said(tmp_path: Path) -> None:
    shape = (1, 64, 56, 56)
    nodes = [
        op("Conv", "x w", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        op("MatMul", "i i", "j", "small"),
    ]
    path = save(
        tmp_path, nodes, [value("x", shape), value("i", (2, 2), TensorProto.INT64)],
        [value("y", shape), value("j", (2, 2), TensorProto.INT64)], [weight("w", 64, 64, 3, 3)],
    )  # fmt: skip
    found = bounds(path, chip())
    assert found.total.limits["compute"] == approx(MACS / 1e9)
    assert "left out: int64xint64 products: no peak is published (1 nodes)" in found.notes
