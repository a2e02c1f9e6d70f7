"""Steps of an array: cycles by hand, what is lost and why, and no shape of a layer that beats the bound."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest

from onnxlens.errors import GraphError
from onnxlens.profile.chip.array_fit import fit_layer, fit_layers
from onnxlens.specs.array_fit import FitRule, MatrixWork

INT8 = "int8xint8"


def conv(inner: int, outer: int, side: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> MatrixWork:
    shape = (kernel, kernel), (stride, stride), (1, 1)
    return MatrixWork("convolution", 1, groups, inner, outer, side, side, *shape)


def rule(layers: tuple[str, ...] = ("convolution", "matmul"), **fields: object) -> FitRule:
    given = {"macs_per_cycle": 1024, "steps": {}, "cycles_per_step": 1, **fields}
    return FitRule(layers, (INT8,), **given)  # type: ignore[arg-type]


ROCKCHIP = rule(
    steps={"input_channels": 32, "output_channels": 32, "height*width": 16},
    cycles_per_step=16,
    outputs_per_cycle=8,
    whole_outputs=True,
)
SQUARE = rule(macs_per_cycle=16, steps={"output_channels": 4, "height": 2, "width": 2})


def cycles(work: MatrixWork, *rules: FitRule) -> tuple[int, str]:
    fit = fit_layer(work, rules, INT8)
    assert fit is not None
    return fit.cycles, fit.blame


def test_full_steps_lose_nothing() -> None:
    fit = fit_layer(conv(64, 64, 16), (ROCKCHIP,), INT8)
    # 2 x 2 channel steps, 9 taps, 256 pixels; 9,216 x 1,024 slots are all MACs
    assert fit is not None and (fit.cycles, fit.macs_lost, fit.blame) == (2 * 2 * 9 * 256, 0, "")


def test_three_channels_fill_three_of_32_slots() -> None:
    fit = fit_layer(conv(3, 64, 16), (ROCKCHIP,), INT8)
    assert fit is not None and (fit.cycles, fit.blame) == (2 * 9 * 256, "input_channels")
    assert fit.macs_lost == fit.cycles * 1024 - 3 * 64 * 9 * 256
    assert fit.macs * 32 == fit.slots * 3


def test_pixels_and_output_channels_are_to_blame_where_they_waste_more() -> None:
    # 289 pixels take 19 steps of 16; channels are full
    assert cycles(conv(64, 64, 17), ROCKCHIP) == (2 * 2 * 9 * 19 * 16, "height*width")
    assert cycles(conv(64, 33, 16), ROCKCHIP) == (2 * 2 * 9 * 256, "output_channels")


def test_outputs_leave_at_their_own_rate() -> None:
    # 2 channel steps would take 4 x 256 = 1,024 cycles; 64 x 256 outputs leave 8 at a time
    assert cycles(conv(64, 64, 16, kernel=1), ROCKCHIP) == (64 * 256 // 8, "outputs")


def test_outputs_count_in_whole_steps() -> None:
    assert cycles(conv(32, 1, 4, kernel=1), ROCKCHIP) == (32 * 16 // 8, "output_channels")
    part = replace(ROCKCHIP, outputs_per_cycle=0.5, whole_outputs=False)
    assert cycles(conv(32, 1, 5, kernel=1), part) == (25 * 2, "output_channels")


def test_weights_have_to_be_fed_once() -> None:
    fed = rule(
        steps={"input_channels": 32, "output_channels": 8}, cycles_per_step=4, weight_cycles_per_step=32
    )
    # one row of 512 x 256: 16 x 32 weight steps of 32 cycles, not of 4
    assert cycles(MatrixWork("matmul", 1, 1, 512, 256, 1, 1), fed)[0] == 16 * 32 * 32
    many = MatrixWork("matmul", 1, 1, 512, 256, 1, 100)
    assert cycles(many, fed)[0] == 16 * 32 * 4 * 100


def test_an_array_is_filled_again_for_other_weights() -> None:
    systolic = rule(steps={"input_channels*taps": 32, "output_channels": 32}, fill_cycles=94)
    # 576 / 32 x 64 / 32 folds: each 94 and a cycle per pixel
    assert cycles(conv(64, 64, 32), systolic) == (18 * 2 * (94 + 1024), "fill")


def test_a_depthwise_layer_has_a_rule_of_its_own() -> None:
    work = MatrixWork("depthwise", 1, 96, 1, 1, 16, 16, (3, 3), (1, 1), (1, 1))
    assert fit_layer(work, (ROCKCHIP,), INT8) is None
    depthwise = rule(("depthwise",), steps={"output_channels": 64, "height*width": 16}, cycles_per_step=16)
    fit = fit_layer(work, (depthwise,), INT8)
    assert fit is not None and (fit.cycles, fit.blame) == (2 * 9 * 256, "layer")


def test_a_depthwise_layer_may_run_as_a_dense_one_where_it_has_a_rule() -> None:
    work = MatrixWork("depthwise", 1, 96, 1, 1, 16, 16, (3, 3), (1, 1), (1, 1))
    slow = rule(("depthwise",), steps={"height*width": 16}, cycles_per_step=16)
    # channel by channel 96 x 9 taps x 256 positions; 32 channels as 32 dense ones in 3 x 9 x 256
    assert cycles(work, slow)[0] == 96 * 9 * 256
    assert cycles(work, slow, ROCKCHIP)[0] == 3 * 9 * 256


def test_a_pointwise_convolution_is_a_product_whose_operands_may_be_swapped() -> None:
    plain = rule(steps={"input_channels": 32, "output_channels": 32, "height*width": 16}, cycles_per_step=16)
    # 4 outputs of 10 x 10 positions: 7 x 16; with the positions as columns 4 steps of 32, and 16
    assert cycles(conv(32, 4, 10, kernel=1), plain)[0] == 4 * 16
    assert cycles(conv(32, 4, 10, kernel=3), plain)[0] == 9 * 7 * 16
    products = rule(("matmul",), steps={"input_channels": 32, "output_channels": 4}, cycles_per_step=1)
    # a rule for products of 4 columns: 100 rows
    assert cycles(conv(32, 4, 10, kernel=1), replace(plain, cycles_per_step=400), products)[0] == 100


def test_the_least_of_several_rules_counts() -> None:
    folded = rule(
        steps={"input_channels*taps": 32, "output_channels": 32, "height*width": 16}, cycles_per_step=16
    )
    assert cycles(conv(3, 64, 16), ROCKCHIP, folded)[0] == 2 * 256  # 27 of 32 slots
    assert fit_layer(conv(3, 64, 16), (ROCKCHIP,), "float16xfloat16") is None


def test_groups_together_cost_less_than_one_by_one() -> None:
    # 16 groups of 4 channels: 8 of them fill a step of 32 with zeros between, 2 x 1 x 1 steps, not 16
    assert cycles(conv(4, 4, 16, groups=16), ROCKCHIP)[0] == 2 * 9 * 256


def test_a_stride_may_be_folded_into_the_channels() -> None:
    # stride 2 over 3 channels: 12 channels and 2 x 2 taps
    assert cycles(conv(3, 64, 16, stride=2), ROCKCHIP)[0] == 2 * 4 * 256
    dilated = replace(conv(3, 64, 16, stride=2), dilation=(2, 2))
    assert cycles(dilated, ROCKCHIP)[0] == 2 * 9 * 256


@pytest.mark.parametrize(("rows", "columns"), [(1, 1000), (1000, 1), (7, 40)])
def test_either_operand_of_a_product_may_be_the_weights(rows: int, columns: int) -> None:
    work = MatrixWork("matmul", 1, 1, 64, columns, 1, rows)
    ways = [
        max(2 * ceil(b / 32) * ceil(a / 16) * 16, ceil(b / 32) * 32 * ceil(a / 16) * 16 // 8)
        for a, b in ((rows, columns), (columns, rows))
    ]
    assert cycles(work, ROCKCHIP)[0] == min(ways)


def test_positions_without_a_neighborhood_are_a_plane_of_any_sides() -> None:
    assert cycles(conv(1, 4, 5), SQUARE)[0] == 9 * 3 * 3  # 5 x 5 as 3 x 3 steps of 2 x 2
    assert cycles(conv(1, 4, 5, kernel=1), SQUARE)[0] == ceil(25 / 4)


def test_products_of_a_node_add_up() -> None:
    works = (conv(3, 64, 16), conv(64, 64, 16))
    fit = fit_layers(works, (ROCKCHIP,), INT8)
    assert fit is not None and (fit.cycles, fit.blame) == (4608 + 9216, "input_channels")
    assert fit.macs == sum(work.macs for work in works)
    unknown = replace(works[0], layer="depthwise")
    assert fit_layers((works[1], unknown), (ROCKCHIP,), INT8) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": {"channels": 4}}, "'channels' is not a dimension"),
        ({"steps": {"height": 2, "height*width": 4}}, "named twice"),
        ({"steps": {"height": 0}}, "above 0"),
        ({"outputs_per_cycle": 0}, "above 0"),
        ({"layers": ("pooling",)}, "'pooling' is not a kind of layer"),
    ],
)
def test_steps_that_no_array_has_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        rule(**fields)  # type: ignore[arg-type]
