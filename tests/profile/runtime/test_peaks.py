"""The matmul peak, on a fake clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from onnxlens.errors import ToolError
from onnxlens.profile.runtime import latency, peaks
from onnxlens.profile.runtime.peaks import (
    convolution_peak,
    integer_peak,
    matmul_peak,
    require_runnable,
    write_convolution,
    write_product,
)
from onnxlens.profile.runtime.session import open_session, run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Products of side 16 that take 4, 2 and 8 s."""
    ticks = iter([0.0, 4.0, 10.0, 12.0, 20.0, 28.0])
    monkeypatch.setattr(latency, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(peaks, "SIDES", {"cpu": 16})
    yield
    assert list(ticks) == []


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("dtype", "made_in"), [("float32", "float32"), ("float16", "float16"), ("int8", "float32")]
)
def test_the_peak_is_the_fastest_of_several_runs(dtype: str, made_in: str) -> None:
    peak = matmul_peak.__wrapped__("cpu", threads=1, dtype=dtype, repeats=3, budget_s=7.0)
    assert (peak.macs_per_s, peak.side, peak.dtype) == (16**3 / 2.0, 16, made_in)


def test_no_product_begins_when_the_time_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 4.0, 10.0, 12.0, 20.0, 21.0])
    monkeypatch.setattr(latency, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(peaks, "SIDES", {"cpu": 16})
    # of 4 and 2 s; the third would take 1 s, but 6 of 6 s are spent
    assert matmul_peak.__wrapped__("cpu", 1, repeats=3, budget_s=6.0).macs_per_s == 16**3 / 2.0


def test_the_measured_file_is_a_matrix_product(tmp_path: Path) -> None:
    write_product(tmp_path / "p.onnx", 3, "float32")
    session = open_session(tmp_path / "p.onnx")
    # the identity times the weight is the weight: the same square that any input of this side is drawn as
    got = run(session, {"x": np.eye(3, dtype=np.float32)})["y"]
    assert got.shape == (3, 3)
    assert np.array_equal(run(session, {"x": 2 * np.eye(3, dtype=np.float32)})["y"], 2 * got)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("dtype", "made_in"), [("float32", "float32"), ("int8", "float32")])
def test_the_convolution_peak_counts_its_macs(
    dtype: str, made_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peaks, "CONVOLUTIONS", {"cpu": (4, 6)})
    peak = convolution_peak.__wrapped__("cpu", threads=1, dtype=dtype, repeats=3, budget_s=7.0)
    assert peak is not None
    # 6 x 6 positions, 4 channels, each a sum over 4 channels x 9 taps; the fastest took 2 s
    assert (peak.macs_per_s, peak.dtype) == (36 * 4 * 36 / 2.0, made_in)


def test_the_processor_has_no_float64_convolution() -> None:
    assert convolution_peak.__wrapped__("cpu", 1, "float64") is None


def test_the_measured_file_is_a_padded_convolution(tmp_path: Path) -> None:
    write_convolution(tmp_path / "c.onnx", 2, 5, "float32")
    session = open_session(tmp_path / "c.onnx")
    assert run(session, {"x": np.zeros((1, 2, 5, 5), np.float32)})["y"].shape == (1, 2, 5, 5)


def test_what_cannot_run_is_reported_at_once() -> None:
    require_runnable("cpu", "all")
    with pytest.raises(ToolError, match="level 'fast' is not one of"):
        require_runnable("cpu", "fast")
    with pytest.raises(ToolError, match="provider 'npu' is not one of"):
        require_runnable("npu", "all")


@pytest.mark.usefixtures("clock")
def test_the_peak_of_integers_is_of_a_product_of_integers() -> None:
    peak = integer_peak(threads=1, budget_s=7.0, repeats=3)
    assert (peak.macs_per_s, peak.side, peak.dtype) == (16**3 / 2.0, 16, "int8")


def test_the_measured_file_multiplies_bytes_into_32_bits(tmp_path: Path) -> None:
    write_product(tmp_path / "p.onnx", 3, "int8")
    got = run(open_session(tmp_path / "p.onnx"), {"x": 100 * np.eye(3, dtype=np.int8)})["y"]
    assert got.dtype == np.int32 and got.max() > 127
