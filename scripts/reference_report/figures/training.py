"""The three ways to train a ControlNet, shown on the data flow of one step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from onnxlens.reports.numbers import short_count
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode

CONTROL = "control_model"
UNET = "model.diffusion_model"
MIDDLE_CONTROL = f"{CONTROL}.middle_block_out"
DECODER = (f"{UNET}.output_blocks", f"{UNET}.out")
"""What an unlocked SD trains besides the ControlNet: in a checkpoint ``output_blocks`` and ``out``."""

State = Literal["trained", "no gradient arrives", "locked, passes gradients on", "locked, without gradients"]


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to train.

    Attributes:
        sd_locked: the UNet's weights stay as they are.
        only_mid_control: the UNet takes the middle block's control alone.
    """

    name: str
    title: str
    sd_locked: bool
    only_mid_control: bool


MODES: Sequence[Mode] = (
    Mode("training-middle-control", "SD locked, middle control alone", True, True),
    Mode("training-sd-locked", "SD locked", True, False),
    Mode("training-sd-unlocked", "SD unlocked", False, False),
)
"""As the published training code has them: its ``sd_locked`` and ``only_mid_control``."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Elements of parameters.

    Attributes:
        listed: those that the optimiser is given.
        reached: those of them that a gradient arrives at.
    """

    listed: int
    reached: int


def training_flow(flow: FlowGraph, mode: Mode) -> FlowGraph:
    """The flow of a forward pass with the controls that the mode uses, and what is trained and locked in it.

    A box keeps its params where they are trained and loses them where they are not.

    Args:
        flow: of ``control-ldm``, with the parts that differ as boxes of their own.
        mode: what is locked.
    """
    unused = set(links(flow)) - set(used_links(flow, mode))
    edges = tuple(edge for edge in flow.edges if edge not in unused)
    states = _states(flow.nodes, edges, mode)
    nodes = tuple(_marked(node, states[node.id]) if node.order else node for node in flow.nodes)
    return replace(
        flow,
        graph=f"{flow.graph}, a training step: {mode.title}",
        nodes=nodes,
        edges=edges,
        notes=(*flow.notes, *_notes(flow, mode)),
    )


def links(flow: FlowGraph) -> Sequence[FlowEdge]:
    """The controls: what goes from the ControlNet to the UNet."""
    paths = {node.id: node.path for node in flow.nodes if node.order}
    return [
        edge
        for edge in flow.edges
        if _within(paths.get(edge.source, ""), CONTROL) and _within(paths.get(edge.target, ""), UNET)
    ]


def used_links(flow: FlowGraph, mode: Mode) -> Sequence[FlowEdge]:
    """Those of the controls that the mode uses."""
    if not mode.only_mid_control:
        return links(flow)
    paths = {node.id: node.path for node in flow.nodes}
    return [edge for edge in links(flow) if _within(paths[edge.source], MIDDLE_CONTROL)]


def trained(flow: FlowGraph, mode: Mode) -> Trained:
    """What the mode trains, in elements of parameters."""
    unused = set(links(flow)) - set(used_links(flow, mode))
    states = _states(flow.nodes, [edge for edge in flow.edges if edge not in unused], mode)
    reached = sum(node.params for node in flow.nodes if states.get(node.id) == "trained")
    idle = sum(node.params for node in flow.nodes if states.get(node.id) == "no gradient arrives")
    return Trained(reached + idle, reached)


def _states(nodes: Iterable[FlowNode], edges: Iterable[FlowEdge], mode: Mode) -> dict[str, State]:
    """What happens to each box: a gradient runs from the loss backwards, but not into SD's encoder."""
    boxes = [node for node in nodes if node.order]
    feeding = _feeding_output(nodes, edges)
    return {node.id: _state(node, mode, node.id in feeding) for node in boxes}


def _state(node: FlowNode, mode: Mode, feeds_output: bool) -> State:
    if _within(node.path, CONTROL):
        return "trained" if feeds_output else "no gradient arrives"
    if not any(_within(node.path, part) for part in DECODER):
        return "locked, without gradients"
    return "locked, passes gradients on" if mode.sd_locked else "trained"


def _feeding_output(nodes: Iterable[FlowNode], edges: Iterable[FlowEdge]) -> set[str]:
    producers: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        producers[edge.target].append(edge.source)
    waiting = [node.id for node in nodes if node.kind == "output"]
    found = set(waiting)
    while waiting:
        new = [producer for producer in producers[waiting.pop()] if producer not in found]
        found.update(new)
        waiting += new
    return found


def _marked(node: FlowNode, state: State) -> FlowNode:
    costs = {name: figure for name, figure in node.costs.items() if name != "params" or state == "trained"}
    says = node.kind == "module" and (node.params or state != "trained")
    return replace(node, title=f"{node.title}: {state}" if says else node.title, costs=costs)


def _notes(flow: FlowGraph, mode: Mode) -> Sequence[str]:
    found = trained(flow, mode)
    every = len(links(flow))
    what = "the ControlNet alone" if mode.sd_locked else "the ControlNet, and SD's output_blocks and out"
    notes = [
        f"trained: {what}, {short_count(found.listed)} params; a box shows those that are trained in it",
        f"controls used: {len(used_links(flow, mode))} of {every}; MACs are those of the forward pass",
    ]
    if found.reached != found.listed:
        idle = short_count(found.listed - found.reached)
        notes.append(
            f"to {idle} of the trained params no gradient arrives: zero convolutions that nothing reads"
        )
    return notes


def _within(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}.")
