"""The bound of a part is never above that of what is around it, and rows together count each node once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest import approx

import onnxlens as api
from onnxlens.errors import OnnxlensError
from onnxlens.profile.chip.bound import bounds_of
from onnxlens.profile.chip.chip_file import load_chip
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.reference_model import catalog
from onnxlens.specs.chip import Chip
from onnxlens.specs.groups import nodes_inside
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.text import around
from tests.profile.chip.test_bound import chip
from tests.profile.chip.test_fusion_properties import backend_models
from tests.profile.models import ledger_of, op, save, value, weight

PLANE = 56 * 56
WIDE = 64 * PLANE


def test_what_is_wide_inside_may_be_fused_with_what_is_around_it(tmp_path: Path) -> None:
    nodes = [op("Conv", "x w", "a", "up"), op("Conv", "a v", "y", "down")]
    x, y = value("x", (1, 1, 56, 56)), value("y", (1, 1, 56, 56))
    weights = [weight("w", 64, 1, 1, 1), weight("v", 1, 64, 1, 1)]
    graph, ledger = ledger_of(save(tmp_path, nodes, [x], [y], weights))
    found = bounds_of(graph, ledger, {"chip": chip()})[0]
    # of the whole the 64 channels between need not pass the memory of 1 MB/s; 64 multiplications for each of
    # two times 3,136 positions take less
    whole = 4 * (2 * PLANE + 2 * 64) / 1e6
    assert (found.total.bound_s, found.total.limited_by) == (approx(whole), "DRAM")
    inside = nodes_inside(ledger)
    for path in ("up", "down"):
        assert found.of(inside[path]).bound_s == found.total.bound_s
    up = found.of(inside["up"])
    assert up.limits["DRAM"] == up.memory_s == approx(4 * (PLANE + WIDE + 64) / 1e6)
    assert found.of((0,)) == up


def require_parts_within(graph: Graph, ledger: Ledger, on: Chip) -> int:
    """Every node and module against all modules around it; how many would take longer run by themselves."""
    found = bounds_of(graph, ledger, {"chip": on})[0]
    inside = nodes_inside(ledger)
    parts = [(around(path, inside), nodes) for path, nodes in inside.items() if path]
    parts += [(node.module_path, (index,)) for index, node in enumerate(ledger.nodes)]
    longer = 0
    for outer, nodes in parts:
        part, whole = found.of(nodes), found.of(inside[outer])
        assert part.bound_s <= whole.bound_s * (1 + 1e-12)
        assert (part.fit_bound_s or 0) <= (whole.fit_bound_s or 0) * (1 + 1e-12) or whole.fit_bound_s is None
        longer += part.bound_s < max(part.limits.values(), default=0)
    return longer


def test_no_part_of_a_network_is_above_the_whole(hed: Graph) -> None:
    ledger = build_ledger(hed)
    require_parts_within(hed, ledger, load_chip("h200"))
    slow = chip(peak=1e15)  # all is limited by the memory, and maps are larger than weights
    assert require_parts_within(hed, ledger, slow) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names())
def test_no_part_of_the_catalog_is_above_the_whole(name: str) -> None:
    with api.OpenedTarget(name) as it:
        for on in (load_chip("h200"), load_chip("l4"), chip(peak=1e15)):
            require_parts_within(it.graph, it.ledger, on)


@pytest.mark.slow
def test_no_part_of_other_people_s_models_is_above_the_whole(tmp_path: Path) -> None:
    seen, path = 0, tmp_path / "model.onnx"
    for model in backend_models():
        path.write_bytes(model.SerializeToString())
        try:
            require_parts_within(*ledger_of(path), chip(peak=1e3))
        except OnnxlensError:  # it is refused, or has no rate for its types
            continue
        seen += 1
    assert seen > 1000
