"""The whole pipeline as a data flow: the catalog's graphs, what runs between them, and the loop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from onnxlens.errors import GraphError
from onnxlens.profile.flow.costs import SUMMED
from onnxlens.reference_model import catalog
from onnxlens.reference_model.pipeline import Pipeline, Sampling, Stage, pipeline
from onnxlens.reports.numbers import short_count
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.tensor import TensorSpec

Count = Callable[[str], Ledger]
"""The ledger of a graph of the catalog by name."""


def pipeline_flow(sampling: Sampling, count: Count) -> FlowGraph:
    """A box for each stage, its graph's costs in it, and the shape of every tensor between two.

    Raises:
        UsageError: the annotator is not described, or a size cannot be taken.
        GraphError: a tensor is not what the graph that reads it takes.
    """
    described = pipeline(sampling)
    _require_shapes(described, sampling)
    name = f"DDIM loop, {len(sampling.timesteps)} steps"
    loop = ((name, name),)
    boxes = tuple(_box(stage, order, loop, count) for order, stage in enumerate(described.stages, start=1))
    ends = [*_ends("input", described.inputs), *_ends("output", described.outputs)]
    return FlowGraph(
        graph="ControlNet v1.0 on SD 1.5, whole pipeline",
        source=f"the graphs of the catalog at {sampling.pixels} x {sampling.pixels} pixels",
        depth=1,
        nodes=(*boxes, *ends),
        edges=tuple(_edges(described)),
        notes=tuple(_notes(described, sampling, count)),
    )


def _require_shapes(described: Pipeline, sampling: Sampling) -> None:
    """Each graph is given and gives what its spec says."""
    for stage in described.stages:
        if stage.graph:
            spec = catalog.get(stage.graph, height=sampling.pixels, width=sampling.pixels)
            for given, expected in ((stage.reads, spec.inputs), (stage.makes, spec.outputs)):
                if [_form(tensor) for tensor in given] != [_form(tensor) for tensor in expected]:
                    texts = " and ".join(", ".join(map(str, side)) for side in (given, expected))
                    raise GraphError(f"pipeline: {stage.title} and {stage.graph} differ: {texts}")


def _form(tensor: TensorSpec) -> tuple[str, tuple[int | str, ...]]:
    return tensor.dtype, tensor.shape


def _box(stage: Stage, order: int, loop: tuple[tuple[str, str], ...], count: Count) -> FlowNode:
    root = count(stage.graph).modules[0] if stage.graph else None
    return FlowNode(
        id=f"n{order}",
        kind="module" if stage.graph else "operators",
        path=stage.graph,
        title=stage.title,
        parents=loop if stage.looped else (),
        order=order,
        costs={} if root is None else {name: getattr(root, name) for name in SUMMED},
    )


def _ends(kind: FlowKind, tensors: Sequence[TensorSpec]) -> Iterator[FlowNode]:
    for tensor in tensors:
        yield FlowNode(f"{kind}/{tensor.name}", kind, tensor.name, tensor.name.replace("_", " "))


def _edges(described: Pipeline) -> Iterator[FlowEdge]:
    """From the producer of each tensor to its consumers, the back edge of the loop included."""
    makers = {tensor.name: f"input/{tensor.name}" for tensor in described.inputs}
    for order, stage in enumerate(described.stages, start=1):
        makers |= {tensor.name: f"n{order}" for tensor in stage.makes}
    for order, stage in enumerate(described.stages, start=1):
        for tensor in stage.reads:
            yield FlowEdge(makers[tensor.name], f"n{order}", tensor)
    for tensor in described.outputs:
        yield FlowEdge(makers[tensor.name], f"output/{tensor.name}", tensor)


def _notes(described: Pipeline, sampling: Sampling, count: Count) -> Iterator[str]:
    times: dict[bool, int] = defaultdict(int)
    for stage in described.stages:
        if stage.graph:
            times[stage.looped] += count(stage.graph).totals.macs
    steps = len(sampling.timesteps)
    whole = steps * times[True] + times[False]
    yield (
        f"a picture: {steps} x {short_count(times[True])} in the loop "
        f"+ {short_count(times[False])} around it = {short_count(whole)} MACs"
    )
    yield "batch 2 is guidance: the negative and the positive prompt side by side, told apart after the UNet"
    yield "guess mode: the negative half gets no controls; they fall off by 0.825 a level from the middle"
    yield "several ControlNets: each scales its 13 controls, then they are added"
    names = [name for name in catalog.names() if catalog.get(name).family == "annotator"]
    texts = [f"{name} {short_count(count(name).totals.macs)}" for name in names if name != sampling.annotator]
    half = len(texts) // 2
    yield f"instead of {sampling.annotator}: canny (an algorithm), {', '.join(texts[:half])} MACs"
    yield f"or {', '.join(texts[half:])} MACs"
