"""The annotators' exports against PyTorch, at a small size that is not square."""

from __future__ import annotations

import pytest

import onnxlens
from tests import small_catalog
from tests.small_catalog import SMALL

BOUNDS = {
    "openpose-body": 1e-5,
    "openpose-hand": 1e-5,
    "mlsd-large": 1e-5,
    "mlsd-tiny": 1e-5,
    "hed-bsds": 1e-5,
    # its own float32 result is no more certain than that: annotators/entries.py has the figures
    "midas-dpt-hybrid": 1e-4,
    "uniformer-seg": 1e-5,
}


@pytest.mark.parametrize("graph", BOUNDS)
def test_onnx_runtime_agrees_with_pytorch(graph: str) -> None:
    report = onnxlens.check_graph(graph, onnxlens.Settings(**SMALL))
    assert report.passed, report.outputs
    for output in report.outputs:
        assert output.tolerance == BOUNDS[graph]
        assert output.rel_l2 < BOUNDS[graph]
        assert output.reference_max_abs > 0


def test_a_requested_tolerance_overrides_that_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    small_catalog.install(monkeypatch, tolerance=0.5)
    assert [output.tolerance for output in onnxlens.check_graph("first").outputs] == [0.5]
    report = onnxlens.check_graph("first", tolerance=1e-12)
    assert [output.tolerance for output in report.outputs] == [1e-12]
    assert not report.passed
