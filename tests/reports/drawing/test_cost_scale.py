"""A cost as a color: steps, their labels, and the columns that can be colored by."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from onnxlens.errors import UsageError
from onnxlens.reports.drawing import colors
from onnxlens.reports.drawing.colors import column_named, figure_of, require_figures, scale_of
from onnxlens.reports.numbers import COSTS
from onnxlens.reports.tables.bounds import FIGURES
from onnxlens.reports.tables.columns import LEDGER_COLUMNS, PEER_NAMES, TEXTS
from onnxlens.reports.tables.fused import FUSED
from onnxlens.specs.flow import FlowGraph, FlowNode


def flow(column: str, *figures: float | None, repeats: int = 1) -> FlowGraph:
    """A box for each figure; None: it has none."""
    nodes = tuple(
        FlowNode(
            f"n{order}", "module", f"m{order}", "Net", (), order,
            {} if figure is None else {column: figure}, repeats,
        )
        for order, figure in enumerate(figures, start=1)
    )  # fmt: skip
    return FlowGraph("net", "net.onnx", 1, nodes, ())


def test_a_share_has_round_steps_up_to_the_largest() -> None:
    net = flow("macs", 600, 300, 90, 9, 1)  # of 1,000: 60 %, 30 %, 9 %, 0.9 %, 0.1 %
    scale = scale_of(net, "macs")
    assert [step.share for step in scale.steps()] == ["< 2 %", "≥ 2 %", "≥ 5 %", "≥ 10 %", "≥ 20 %", "≥ 50 %"]
    assert [step.figure for step in scale.steps()][:2] == ["< 20", "≥ 20"]
    assert [colors.HEAT.index(scale.fill(node)) for node in net.nodes] == [5, 4, 2, 0, 0]


def test_a_folded_box_has_the_figure_of_all_its_repeats() -> None:
    net = flow("macs", 10, 10, repeats=12)
    assert figure_of(net.nodes[0], "macs") == 120
    assert scale_of(net, "macs").whole == 240
    assert figure_of(flow("live_bytes", 10, repeats=12).nodes[0], "live_bytes") == 10  # not at the same time


def test_a_peak_is_compared_with_the_largest() -> None:
    scale = scale_of(flow("live_bytes", 2**20, 2**19), "live_bytes")
    assert scale.steps()[-1].share == "≥ 90 %"
    assert scale.steps()[3].figure == "≥ 512.00 KiB"  # a half of 1 MiB


def test_an_error_is_shown_in_even_steps_without_shares() -> None:
    scale = scale_of(flow("parity_error", 1.5e-7, 3e-6, 8e-3), "parity_error")
    figures = [step.figure for step in scale.steps()]
    # 1e-6 .. 1e-3 are between the least and the largest; with 2s and 5s there would be 14 steps
    assert figures == ["< 1.0e-06", "≥ 1.0e-06", "≥ 1.0e-05", "≥ 1.0e-04", "≥ 1.0e-03"]
    assert {step.share for step in scale.steps()} == {""}


@pytest.mark.parametrize("figures", [(1e-9, 1e9), (3.0, 3.0), (0.0, 5.0), (1e-300, 1e300)])
def test_every_scale_has_at_most_as_many_steps_as_colors_and_rises(figures: tuple[float, ...]) -> None:
    for column in ("parity_error", "latency_s", "live_bytes"):
        limits = scale_of(flow(column, *figures), column).limits
        assert len(limits) < len(colors.HEAT)
        assert all(low < high for low, high in pairwise(limits))


def test_a_box_without_a_figure_is_gray_and_explained_in_the_legend() -> None:
    net = flow("macs", 5, None)
    scale = scale_of(net, "macs")
    assert scale.fill(net.nodes[1]) == colors.NO_FIGURE
    assert not scale.complete
    assert scale_of(flow("macs", 5, 0), "macs").complete


def test_zeros_alone_are_one_light_color() -> None:
    scale = scale_of(flow("macs", 0, 0), "macs")
    assert [scale.fill(node) for node in flow("macs", 0).nodes] == [colors.HEAT[0]]
    assert scale.limits == ()


def test_every_number_of_the_ledger_can_color() -> None:
    bounds = {*FIGURES, *FUSED} - {"bound_s"}  # of several chips, in a table
    of_experts = {"active_params", "expected_weight_read_bytes"}  # in a table
    others = {
        "order",
        "depth",
        "groups",
        *PEER_NAMES.values(),
        *bounds,
        *of_experts,
    }  # of a whole, or in a convention of its own
    numbers = {name for name in LEDGER_COLUMNS if not name.endswith("_percent")} - TEXTS - others
    assert numbers <= set(COSTS)


def test_an_unknown_column_and_one_that_no_box_has_are_refused() -> None:
    with pytest.raises(UsageError, match="'watts' is not a column to color by; choose one of macs, params"):
        column_named("watts")
    assert [column_named(name) for name in ("none", "moved", "MACs")] == ["none", "moved_bytes", "macs"]
    pages = [flow("macs", 1), flow("latency_s", 0.5)]
    require_figures(pages, "latency_s")
    require_figures(pages, "none")
    with pytest.raises(
        UsageError, match=r"net: no box has parity_error \(--parity measures it\); there are macs, l"
    ):
        require_figures(pages, "parity_error")


@pytest.mark.parametrize("ground", [*colors.HEAT, *colors.SKIPS, colors.NO_FIGURE, colors.END, colors.BADGE])
def test_text_is_legible_on_every_background(ground: str) -> None:
    assert colors.contrast(colors.ink_on(ground), ground) >= 4.5  # WCAG 2, level AA


def test_contrast_is_as_wcag_defines_it() -> None:
    assert colors.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colors.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_steps_of_the_scale_differ_in_lightness() -> None:
    """So that they are distinguishable without any color vision."""
    for light, dark in combinations(colors.HEAT, 2):
        assert colors.contrast(light, dark) > 1.15
