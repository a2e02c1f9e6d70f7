"""ONNX Runtime's own profile, read and led back by names alone, agrees with the provenance of what it ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.attribution import attribute
from onnxlens.profile.vendor.readers import read_report
from tests.profile.graph.test_optimized_files import drawn
from tests.profile.models import NET_INPUTS, NET_OUTPUTS, NET_WEIGHTS, net_nodes, save, value
from tests.profile.runtime.ort_profiles import profiled
from tests.profile.runtime.test_provenance import CHANNELS, CONVOLUTION_WEIGHTS, CONVOLUTIONS


def residual(folder: Path) -> Path:
    inputs = [value("x", (1, CHANNELS, 8, 8))]
    return save(folder, CONVOLUTIONS, inputs, [value("y", (1, CHANNELS, 1, 1))], drawn(CONVOLUTION_WEIGHTS))


def net(folder: Path) -> Path:
    return save(folder, net_nodes(), NET_INPUTS, NET_OUTPUTS, drawn(NET_WEIGHTS))


@pytest.mark.parametrize("level", ["disabled", "basic", "all"])
@pytest.mark.parametrize("make", [residual, net])
def test_names_lead_where_the_provenance_does(
    tmp_path: Path, make: Callable[[Path], Path], level: str
) -> None:
    """The provenance has the optimized graph; a record has a name, an operator and a size."""
    path = make(tmp_path)
    ran = profiled(path, level)
    report = read_report(next(tmp_path.glob("times*.json")))
    graph = load_graph(path)
    found = attribute(graph, count_nodes(graph), report)
    assert len(found.matches) == len(ran.provenances)
    for match in found.matches:
        it = ran.provenances[match.record.name]
        if it.sources:
            assert match.nodes == it.sources
        assert it.module_path in {graph.module_of(node) for node in match.nodes}
    whole = sum(record.figures.get("time_s", 0) for record in report.records)
    assert sum(found.figures["time_s"].values()) == pytest.approx(whole)
