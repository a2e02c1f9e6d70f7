"""The pipeline's data flow: the catalog's shapes, the batch of guidance, the way back in the loop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnxlens.errors import GraphError, UsageError
from onnxlens.reference_model import catalog
from onnxlens.reference_model.pipeline import ANNOTATOR_STEPS, Sampling, pipeline
from onnxlens.specs.flow import FlowGraph, FlowNode
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.tensor import TensorSpec
from reference_report.figures import pipeline as figure
from reference_report.figures.pipeline import pipeline_flow
from tests.reports.ledgers import ledger

GRAPHS = {"clip-text", "hed", "controlnet", "sd-unet", "vae-decoder"}


def counted(graph: str) -> Ledger:
    """The same small ledger for every graph: 2,424,832 MACs."""
    return ledger()


@pytest.fixture(scope="module")
def flow() -> FlowGraph:
    return pipeline_flow(Sampling(), counted)


def titled(flow: FlowGraph, start: str) -> FlowNode:
    (found,) = (node for node in flow.nodes if node.title.startswith(start))
    return found


def shapes(tensors: list[TensorSpec]) -> list[tuple[str, tuple[int | str, ...]]]:
    return sorted({(tensor.dtype, tensor.shape) for tensor in tensors}, key=str)


@pytest.mark.parametrize("graph", sorted(GRAPHS))
def test_inputs_and_outputs_of_a_graph_are_those_of_the_catalog(flow: FlowGraph, graph: str) -> None:
    (box,) = (node for node in flow.nodes if node.path == graph)
    spec = catalog.get(graph)
    assert shapes([edge.tensor for edge in flow.edges if edge.target == box.id]) == shapes([*spec.inputs])
    assert shapes([edge.tensor for edge in flow.edges if edge.source == box.id]) == shapes([*spec.outputs])
    assert len({edge.tensor.name for edge in flow.edges if edge.source == box.id}) == len(spec.outputs)


def test_every_graph_of_the_pipeline_has_its_costs(flow: FlowGraph) -> None:
    modules = [node for node in flow.nodes if node.kind == "module"]
    assert {node.path for node in modules} == GRAPHS
    assert {node.macs for node in modules} == {ledger().totals.macs}
    assert all(node.costs == {} for node in flow.nodes if node.kind == "operators")


def test_guidance_stacks_two_and_takes_them_apart_again(flow: FlowGraph) -> None:
    made = {edge.tensor.name: edge.tensor.shape for edge in flow.edges}
    assert (made["x_t"], made["x"], made["eps"]) == ((1, 4, 64, 64), (2, 4, 64, 64), (2, 4, 64, 64))
    chunk = titled(flow, "chunk")
    apart = [edge.tensor for edge in flow.edges if edge.source == chunk.id]
    assert [(tensor.name, tensor.shape) for tensor in apart] == [
        ("eps_negative", (1, 4, 64, 64)), ("eps_positive", (1, 4, 64, 64)),
    ]  # fmt: skip


def test_the_loops_back_edge_goes_from_its_last_box_to_its_first(flow: FlowGraph) -> None:
    looped = [node for node in flow.nodes if node.parents]
    assert {node.parents for node in looped} == {(("DDIM loop, 20 steps",) * 2,)}
    order = {node.id: node.order for node in flow.nodes}
    back = [edge for edge in flow.edges if order[edge.target] and order[edge.source] > order[edge.target]]
    assert [(edge.source, edge.target) for edge in back] == [(looped[-1].id, looped[0].id)]
    assert back[0].tensor == TensorSpec("x_next", "float32", (1, 4, 64, 64))


def test_thirteen_controls_go_through_their_scaling_into_the_unet(flow: FlowGraph) -> None:
    unet, scaling = titled(flow, "UNet"), titled(flow, "strength 1 x each control")
    controls = [edge.tensor for edge in flow.edges if (edge.source, edge.target) == (scaling.id, unet.id)]
    assert len(controls) == 13
    assert [tensor.shape for tensor in controls] == [
        tensor.shape for tensor in catalog.get("controlnet").outputs
    ]


def test_a_pictures_macs_are_the_loops_as_often_as_it_runs(flow: FlowGraph) -> None:
    # 2 graphs in the loop, 3 around it, 2.424832 M each: 20 x 4.849664 + 7.274496 = 104.267776
    assert flow.notes[0] == "a picture: 20 x 4.85 M in the loop + 7.27 M around it = 104.27 M MACs"
    assert "openpose-body 2.42 M" in " ".join(flow.notes[-2:])
    assert " hed " not in " ".join(flow.notes[-2:]).partition(":")[2]


def test_timesteps_are_the_published_ones() -> None:
    assert list(Sampling().timesteps) == [951 - 50 * step for step in range(20)]
    # every 33rd of 1000: 31 of them
    assert (len(Sampling(steps=30).timesteps), Sampling(steps=30).timesteps[0]) == (31, 991)
    assert list(Sampling(steps=1).timesteps) == [1]


@pytest.mark.parametrize("steps", [0, 1001])
def test_steps_that_cannot_be_run_are_refused(steps: int) -> None:
    with pytest.raises(UsageError, match=f"{steps} steps: expected 1 to 1000"):
        Sampling(steps=steps)


@pytest.mark.parametrize("annotator", ANNOTATOR_STEPS)
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_every_annotator_fits_at_another_size_and_number_of_steps(annotator: str, steps: int) -> None:
    flow = pipeline_flow(Sampling(annotator, pixels=256, steps=steps), counted)
    assert titled(flow, "annotator").path == annotator
    assert titled(flow, "picture").kind == "output"
    assert next(edge.tensor.shape for edge in flow.edges if edge.tensor.name == "x") == (2, 4, 32, 32)


def test_an_annotator_that_is_not_described_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="'canny' is not described; choose one of hed, mlsd-large"):
        pipeline_flow(Sampling("canny"), counted)


def test_a_tensor_that_a_graph_cannot_take_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    described = pipeline(Sampling())
    tokens = TensorSpec("tokens", "int64", (2, 76))
    stages = tuple(
        replace(stage, reads=(tokens,)) if stage.graph == "clip-text" else stage for stage in described.stages
    )
    monkeypatch.setattr(figure, "pipeline", lambda sampling: replace(described, stages=stages))
    with pytest.raises(GraphError, match=r"CLIP text encoder and clip-text differ: tokens int64\(2, 76\)"):
        pipeline_flow(Sampling(), counted)
