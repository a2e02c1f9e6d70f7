"""The look of plots: the same bytes from run to run, names drawn as they are, round ticks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import DECIMAL_STEPS
from onnxlens.reports.plots.gantt import TIME_STEPS
from onnxlens.reports.plots.style import byte_axis, byte_text, label, plot, tick_text

MIB = 2**20
SCRIPT = """
import sys
from pathlib import Path
from onnxlens.reports.plots.style import plot
for name in sys.argv[1:]:
    with plot(Path(name), "what is plotted: $a$ of file.onnx") as figure:
        axes = figure.subplots()
        axes.plot([0, 1, 2], [1, 4, 2], label="a_{$x$}")
        axes.legend()
"""


def test_the_same_figures_give_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        files = [str(tmp_path / f"{seed}.{suffix}") for suffix in ("svg", "png")]
        subprocess.run(
            [sys.executable, "-c", SCRIPT, *files], env={**os.environ, "PYTHONHASHSEED": seed}, check=True
        )
    for suffix in ("svg", "png"):
        first, second = ((tmp_path / f"{seed}.{suffix}").read_bytes() for seed in ("1", "2"))
        assert first == second
        assert b"dc:date" not in first
    # text is drawn as paths, and said in comments: dollars are dollars
    text = (tmp_path / "1.svg").read_text()
    assert "what is plotted: $a$ of file.onnx" in text and "a_{$x$}" in text


def test_another_suffix_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"suffix '\.pdf' cannot be plotted; choose \.svg or \.png"):
        with plot(tmp_path / "a.pdf", "title"):
            raise AssertionError("drawn")


def test_names_are_shortened_in_their_middle_and_drawn_whatever_they_hold() -> None:
    assert label("/down/0/Conv_output_0", 11) == "/down…put_0"
    assert label("a\x1b[0mé", 40) == r"a\x1b[0m?"


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (5, ["0 B", "1 B", "2 B", "3 B", "4 B", "5 B"]),
        (0, ["0 B"]),
        # 1100 KiB over 6 ticks are 184 KiB each: the next power of two is 256
        (1100 * 1024, ["0 B", "256 KiB", "512 KiB", "768 KiB", "1 MiB"]),
        (2150 * MIB, ["0 B", "512 MiB", "1 GiB", "1.5 GiB", "2 GiB"]),
    ],
)
def test_ticks_are_round_numbers_of_binary_units(tmp_path: Path, most: int, ticks: list[str]) -> None:
    with plot(tmp_path / "a.png", "title") as figure:
        axes = figure.subplots()
        axes.set_ylim(0, max(most, 1))
        byte_axis(axes.yaxis, most)
        at = [value for value in axes.yaxis.get_majorticklocs() if 0 <= value <= most]
        assert [byte_text(value) for value in at] == ticks


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (0.0, "0"),
        (1.25e-3, "1.25 ms"),  # between 1 ms and 1.5 ms: no digit may be lost
        (3 * 0.1, "300 ms"),  # 0.30000000000000004
        (1000 * 0.9999999999999999e-3, "1 s"),
        (25e-6, "25 us"),
    ],
)
def test_a_tick_of_time_is_exact(figure: float, text: str) -> None:
    assert tick_text(figure, TIME_STEPS) == text


def test_a_tick_of_macs_is_exact() -> None:
    assert [tick_text(count, DECIMAL_STEPS) for count in (0, 999, 12.5e9, 10**12)] == [
        "0", "999", "12.5 G", "1 T",
    ]  # fmt: skip
