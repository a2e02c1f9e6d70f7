"""Graphs that are opened at the same time."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest

from onnxlens.errors import CheckpointError
from onnxlens.pipeline.graphs import Graphs, RunningGraph

SIDE = 64
IMAGE = {"image": np.random.default_rng(0).random((1, 4, SIDE, SIDE), np.float32)}


def test_they_run_as_each_does_alone() -> None:
    steps: list[str] = []
    graphs = Graphs("onnx", "seeded", SIDE, SIDE, lambda step, done, total: steps.append(step))
    with graphs.open("mlsd-tiny", 1) as alone:
        (expected,) = alone(IMAGE).values()
    assert "mlsd-tiny: writing weights" in steps
    alone_s = graphs.opening_s
    with ExitStack() as stack:
        together = [graphs.open("mlsd-tiny", 1) for _ in range(2)]
        graphs.open_together(stack, together)
        assert steps[-1] == "opening mlsd-tiny and mlsd-tiny"
        for graph in together:
            np.testing.assert_array_equal(next(iter(graph(IMAGE).values())), expected)
    assert [(stage.name, stage.calls) for stage in graphs.stages] == [("mlsd-tiny", 1)] * 3
    own_s = [stage.opening_s for stage in graphs.stages]
    assert alone_s >= own_s[0]
    assert max(own_s[1:]) <= graphs.opening_s - alone_s  # the time of both is counted once


def test_one_that_cannot_be_opened_has_the_others_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs, load = Graphs("onnx", "seeded", SIDE, SIDE), RunningGraph.load
    fine, broken = (graphs.open("mlsd-tiny", 1) for _ in range(2))

    def failing(graph: RunningGraph) -> None:
        load(graph)
        if graph is broken:
            raise CheckpointError("no weights")

    monkeypatch.setattr(RunningGraph, "load", failing)
    with pytest.raises(CheckpointError, match="no weights"), ExitStack() as stack:
        graphs.open_together(stack, [broken, fine])
    assert len(graphs.stages) == 2
    assert not any(graph.target.path.exists() for graph in (fine, broken))
