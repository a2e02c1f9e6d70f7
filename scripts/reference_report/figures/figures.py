"""Every figure of the document as a data flow, by its name in the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from onnxlens.profile.flow.alone import alone
from onnxlens.profile.flow.collapse import collapsed
from onnxlens.profile.flow.deepest import DeepestFlow
from onnxlens.profile.flow.group import grouped
from onnxlens.profile.flow.group_file import read_groups
from onnxlens.reference_model.catalog import groups_file
from onnxlens.reference_model.pipeline import Sampling
from onnxlens.specs.flow import FlowGraph
from reference_report.figures.pipeline import Count, pipeline_flow
from reference_report.figures.training import MODES, Mode, links, training_flow

WRAPPER = "model"
STEP_DEPTH = 3
"""So deep the ControlNet's encoders and zero convolutions, and the UNet's blocks, are boxes."""

Flow = Callable[[str, int | None], FlowGraph]
"""The data flow of a graph at its deepest by name, at a batch; None is the graph's own."""


@dataclass(frozen=True)
class Sources:
    """What figures are made from; each graph is read once.

    Attributes:
        training_batch: the published training's.
    """

    flow: Flow
    count: Count
    training_batch: int = 4

    @cached_property
    def step(self) -> FlowGraph:
        """One denoising step, in the document's names."""
        step = self._step(None)
        return replace(
            step, graph=f"{step.graph}, one denoising step", notes=(*step.notes, *_step_notes(step))
        )

    @cached_property
    def unet(self) -> DeepestFlow:
        """The UNet alone."""
        return self._grouped("sd-unet")

    @cached_property
    def controlnet(self) -> DeepestFlow:
        """The ControlNet alone."""
        return self._grouped("controlnet")

    @cached_property
    def training_step(self) -> FlowGraph:
        """The forward pass of a training step."""
        return self._step(self.training_batch)

    def _step(self, batch: int | None) -> FlowGraph:
        found = _zero_convs_closed(self._grouped("control-ldm", batch))
        step = _unwrapped(collapsed(found, STEP_DEPTH))
        return replace(step, graph="ControlNet and SD's UNet (control-ldm)")

    def _grouped(self, graph: str, batch: int | None = None) -> DeepestFlow:
        return grouped(DeepestFlow(self.flow(graph, batch)), read_groups(groups_file(graph)))


def _step_notes(step: FlowGraph) -> Sequence[str]:
    """What goes from the ControlNet to the UNet, and until when they do not need each other."""
    order = {node.id: node.order for node in step.nodes}
    taken = links(step)
    first = min(order[link.target] for link in taken)
    return (
        f"{len(taken)} links: each control is added to a skip of the UNet, the last to what its middle makes",
        f"the UNet needs no control before box {first}: until there both can run at the same time",
        "the ControlNet's encoder, middle and time embedding have the UNet's layers, trained anew",
    )


def _unwrapped(flow: FlowGraph) -> FlowGraph:
    """Without the level of the module that contains nothing but the UNet."""
    nodes = (
        replace(node, parents=tuple(parent for parent in node.parents if parent[0] != WRAPPER))
        for node in flow.nodes
    )
    return replace(flow, nodes=tuple(nodes))


def _zero_convs_closed(found: DeepestFlow) -> DeepestFlow:
    """With every zero convolution a box, however deep the picture goes: it contains a single module."""
    levels = {parent for node in found.flow.nodes for parent in node.parents}
    zero_convs = {path for path, class_name in levels if class_name == "ZeroConv"}
    return replace(found, closed=found.closed | zero_convs)


def _training(mode: Mode) -> Callable[[Sources], FlowGraph]:
    return lambda sources: training_flow(sources.training_step, mode)


FLOWS: Mapping[str, Callable[[Sources], FlowGraph]] = MappingProxyType(
    {
        "pipeline": lambda sources: pipeline_flow(Sampling(), sources.count),
        "controlnet-and-unet": lambda sources: sources.step,
        "hint-block": lambda sources: collapsed(alone(sources.controlnet, "input_hint_block"), 1),
        "res-block": lambda sources: collapsed(alone(sources.unet, "input_blocks.4.0"), 2),
        "spatial-transformer": lambda sources: collapsed(alone(sources.unet, "input_blocks.1.1"), 2),
        "sd-encoder-block": lambda sources: collapsed(alone(sources.unet, "SD_EncoderBlock_1"), 2),
        "sd-decoder-block": lambda sources: collapsed(alone(sources.unet, "SD_DecoderBlock_3"), 2),
        "controlnet-encoder-block": lambda sources: collapsed(
            _zero_convs_closed(alone(sources.controlnet, "ControlNet_EncoderBlock_1")), 2
        ),
        **{mode.name: _training(mode) for mode in MODES},
    }
)
"""By the names of the report, and as deep as fits on a page."""


def figure(name: str, sources: Sources) -> FlowGraph:
    """The data flow of one figure."""
    return FLOWS[name](sources)
