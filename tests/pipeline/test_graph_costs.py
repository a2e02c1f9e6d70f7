"""Formulas of whole graphs against counts of true exports, at sizes that had no part in making them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product

import pytest

import bill_formulas
from onnxlens.api.hardware import chip_of, with_bounds
from onnxlens.api.memory import memory_plan
from onnxlens.api.opened import OpenedTarget
from onnxlens.api.target import Settings
from onnxlens.pipeline.graph_costs import FILE, cost_of, pooling_indices, side_kind
from onnxlens.profile.count.working_sets import with_working_sets
from onnxlens.specs.bill import Call

SIZES: Mapping[str, tuple[int, int]] = {
    "openpose-body": (184, 248), "openpose-hand": (552, 552), "vae-encoder": (64, 192),
    "vae-decoder": (64, 192), "midas-dpt-hybrid": (384, 448),
}  # fmt: skip
"""Sizes whose areas are none of those that the formulas were made at; 320 x 576 of all others."""

VARIES = "uniformer-seg"
VARIED = [
    (64 * high, 64 * wide)
    for high, wide in (
        (1, 1), (1, 3), (3, 3), (1, 19), (20, 1), (3, 21), (19, 3), (2, 15), (13, 16), (14, 17), (15, 18),
        (16, 14), (17, 15), (18, 13), (30, 32),
    )
]  # fmt: skip
"""Sizes of each kind of sides; but for the first three none that formulas were made at."""

SOME = [(24, 8), (32, 48)]
"""Of the 25 pairs of kinds: each takes up to eight exports."""

FAST = ("mlsd-tiny",)
GRAPHS = [
    pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in bill_formulas.graphs()
]


def test_every_graph_has_formulas() -> None:
    assert list(json.loads(FILE.read_text())) == list(bill_formulas.graphs())


@pytest.mark.parametrize("name", GRAPHS)
def test_the_file_is_what_the_script_makes(name: str) -> None:
    known = json.loads(FILE.read_text())[name]
    made = bill_formulas.formulas_of(name, SOME)
    if "kinds" in known:
        assert len(known["kinds"]) == len(bill_formulas.KINDS) ** 2
        known["kinds"] = {kind: known["kinds"][kind] for kind in made["kinds"]}
    assert made == known


def test_sides_are_of_the_kinds_that_are_exported() -> None:
    sizes = [
        (size["height"], size["width"])
        for rows, columns in product(bill_formulas.KINDS, repeat=2)
        for size in bill_formulas.few_points(rows, columns)
    ]
    assert set(sizes) & set(VARIED) == set(VARIED[:3])
    for kind, sides in bill_formulas.KINDS.items():
        assert {side_kind(side) for side in sides} == {kind}
    assert {side_kind(8 * side) for side in range(1, 300)} == bill_formulas.KINDS.keys()


@pytest.mark.parametrize(
    ("height", "width", "indices"),
    [
        # 6 positions to windows of 2 and of 1: even, each a pooling
        (192, 192, 0),
        # 20 to 3: [0, 7), [6, 14), [13, 20), and to 6 each of 4: [0, 4), [3, 7), [6, 10), [10, 14) ..
        (640, 192, 8),
        # 16 to 3 each of 6; to 6: [0, 3), [2, 6) .., of 3 and 4
        (512, 512, 4),
    ],
)
def test_uneven_windows_are_taken_apart_by_the_indices_of_the_longest(
    height: int, width: int, indices: int
) -> None:
    assert pooling_indices(height // 8, width // 8) == pooling_indices(width // 8, height // 8) == indices


@pytest.mark.parametrize("name", GRAPHS)
def test_formulas_are_the_counts_of_a_true_export(name: str) -> None:
    height, width = (None, None) if name == "clip-text" else SIZES.get(name, (320, 576))
    require_counts(name, len(json.loads(FILE.read_text())[name]["batches"]), height, width)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), VARIED)
def test_formulas_of_nodes_that_vary_are_the_counts_of_a_true_export(height: int, width: int) -> None:
    require_counts(VARIES, 1, height, width)


def require_counts(name: str, batch: int, height: int | None, width: int | None) -> None:
    """Compare all that formulas give with an export at the size."""
    settings = Settings(batch=batch, height=height, width=width)
    call = Call("unet", name, name, batch, height, width, 1, 1)
    chips = {"h200": chip_of("h200"), "ethos-u85-1024": chip_of("ethos-u85-1024")}
    with OpenedTarget(name, settings) as target:
        totals = target.ledger.totals
        plain, _ = cost_of(call, "", {})
        for column in ("macs", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes"):
            assert getattr(plain, column) == getattr(totals, column), column
        assert plain.params == totals.params
        assert plain.resident_weight_bytes == totals.resident_weight_bytes
        assert plain.peak_live_bytes == totals.peak_live_bytes
        held, _ = cost_of(call, "int8", chips)
        narrow = with_working_sets(target.ledger, target.graph, "int8").totals
        assert held.resident_weight_bytes == narrow.resident_weight_bytes
        assert (
            held.peak_live_bytes
            == narrow.peak_live_bytes
            == memory_plan(target, stored_as="int8").peak.live_bytes
        )
        for bounds in with_bounds(target, target.ledger, ",".join(chips), "int8").bounds:
            assert held.bound_s[bounds.label] == pytest.approx(bounds.total.bound_s, rel=1e-12)
            assert held.limited_by[bounds.label] == bounds.total.limited_by


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae-encoder", "vae-decoder", "sd-unet"])
def test_a_graph_whose_long_normalizations_are_split_has_the_same_macs(name: str) -> None:
    with OpenedTarget(name, Settings(batch=1, height=640, width=768)) as target:
        cost, _ = cost_of(Call("unet", name, name, 1, 640, 768, 1, 1), "", {})
        assert cost.macs == target.ledger.totals.macs
        assert cost.read_bytes != target.ledger.totals.read_bytes
