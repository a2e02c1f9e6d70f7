"""``render``: what boxes are colored by, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.reports.drawing.colors import HEAT, NO_FIGURE
from tests.cli.calls import done, onnxlens
from tests.profile.models import op, save, value
from tests.trust import TINY


def drawn(target: Path, folder: Path, *options: str) -> str:
    """The source of the picture."""
    out = folder / "x.dot"
    assert done("render", target, "--out", out, *options) == f"{out}\n"
    return out.read_text(encoding="utf-8")


def test_macs_are_the_color_unless_another_column_is_requested(bare_tiny: Path, tmp_path: Path) -> None:
    macs = drawn(bare_tiny, tmp_path)
    assert macs == drawn(bare_tiny, tmp_path, "--color", "macs")
    assert "fill: share of all MACs" in macs
    traffic = drawn(bare_tiny, tmp_path, "--color", "moved_bytes")
    assert "fill: share of all memory traffic" in traffic
    assert "KiB memory traffic (" in traffic
    live = drawn(bare_tiny, tmp_path, "--color", "live_bytes")
    assert "fill: share of the largest activation memory" in live


def test_without_a_color_there_is_no_scale(bare_tiny: Path, tmp_path: Path) -> None:
    source = drawn(bare_tiny, tmp_path, "--color", "none")
    assert "fill:" not in source
    assert not any(f'BGCOLOR="{fill}"' in source for fill in (*HEAT, NO_FIGURE))


def test_latency_and_error_are_at_boxes_where_they_are_measured(tiny: Path, tmp_path: Path) -> None:
    source = drawn(tiny, tmp_path, *TINY, "--latency", "--parity", "--color", "latency_s")
    assert "fill: share of all latency" in source
    assert "s latency (" in source
    assert "parity_error: " in source  # in the tooltips
    assert "no figure" in source  # of operators between modules, which have no time of their own


def test_a_graph_of_unknown_operators_is_drawn_gray(tmp_path: Path) -> None:
    node = op("Strange", "x", "y", domain="nobody")
    path = save(tmp_path, [node], [value("x", (2, 3))], [value("y", (2, 3))])
    source = drawn(path, tmp_path)
    assert f'BGCOLOR="{NO_FIGURE}"' in source
    assert "no figure" in source


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("mac", "'mac' is not a column to color by; choose one of macs, params, "),
    ],
)
def test_a_column_that_does_not_exist_is_refused_with_those_that_do(
    column: str, message: str, bare_tiny: Path, tmp_path: Path
) -> None:
    outcome = onnxlens("render", bare_tiny, "--color", column, "--out", tmp_path / "x.svg")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"onnxlens: {message}")
    assert outcome.err.endswith(", none\n")
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
