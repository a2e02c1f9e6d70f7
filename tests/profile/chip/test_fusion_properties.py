from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx.backend.test.loader import load_model_tests

import onnxlens as api
from onnxlens.errors import OnnxlensError
from onnxlens.profile.chip.fusion import Fusion
from onnxlens.profile.chip.traffic import compulsory_bytes
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.reference_model import catalog
from onnxlens.specs.traffic import FusionMode

STEPS: tuple[tuple[FusionMode, int | None], ...] = (
    ("none", None),
    ("epilogue", None),
    ("attention", None),
    *(("layer-pairs", size) for size in (0, 2**10, 2**16, 2**20, 2**24, 2**50)),
)


pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the suite's own values


def check(graph: Graph) -> bool:
    """Hold every mode to the one before, the first to what is counted, the last to what must move anyway."""
    costs = build_ledger(graph).nodes
    fusion = Fusion(graph, costs)
    before = [(cost.weight_read_bytes, cost.read_bytes, cost.write_bytes) for cost in costs]
    whole = [sum(each) for each in before]
    for mode, size in STEPS:
        traffic = fusion.traffic(mode, size)
        found = [(each.weight_read_bytes, each.read_bytes, each.write_bytes) for each in traffic]
        assert all(figure >= 0 for each in found for figure in each)
        assert [each[0] for each in found] == [each[0] for each in before]  # weights come from memory
        if mode == "none":
            assert found == before
        elif mode != "layer-pairs":  # a larger chip may keep another tensor
            assert all(sum(each) <= most for each, most in zip(found, whole, strict=True))
        total = sum(map(sum, found))
        assert compulsory_bytes(graph, fusion) <= total <= sum(whole)
        whole = [sum(each) for each in found]
    return sum(whole) < sum(map(sum, before))


def backend_models() -> Iterator[onnx.ModelProto]:
    for case in load_model_tests(kind="node"):
        model = case.model or onnx.load(Path(case.model_dir or "") / "model.onnx")
        yield model


@pytest.mark.slow
def test_every_mode_of_the_backend_models_moves_at_most_what_the_one_before_does(tmp_path: Path) -> None:
    seen = fused = 0
    path = tmp_path / "model.onnx"
    for model in backend_models():
        path.write_bytes(model.SerializeToString())
        try:
            graph = load_graph(path)
        except OnnxlensError:
            continue
        seen += 1
        fused += check(graph)
    assert seen > 1500
    assert fused > 100  # those that are written out as their function bodies


def test_every_mode_of_real_networks_moves_at_most_what_the_one_before_does(
    hed: Graph, clip_text: Graph
) -> None:
    assert check(hed)
    assert check(clip_text)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names())
def test_every_mode_of_the_catalog_moves_at_most_what_the_one_before_does(name: str) -> None:
    with api.OpenedTarget(name) as opened:
        assert check(opened.graph)
