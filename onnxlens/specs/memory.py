"""What fills the memory of a graph where most activations are alive."""

from __future__ import annotations

from onnxlens.errors import GraphError
from onnxlens.specs.record import record
from onnxlens.specs.tensor import TensorSpec


@record(frozen=True, slots=True)
class NodePlace:
    """A node's name, and the module that it belongs to; "" is the model."""

    node: str
    module_path: str


@record(frozen=True, slots=True)
class LiveTensor:
    """An activation that is alive at the peak.

    Attributes:
        size_bytes: 0 for what refers to other tensors; None where it is unknown.
        producer: None for an input of the graph.
        last_consumer: the node after which its memory is free, views of it included; None for what stays: an
            output of the graph, or an input that nothing reads.
    """

    tensor: TensorSpec
    size_bytes: int | None
    producer: NodePlace | None
    last_consumer: NodePlace | None


@record(frozen=True, slots=True)
class MemoryPeak:
    """The node while which most bytes of activations are alive, and they, the largest first.

    ``live_bytes`` leaves out what is of unknown size.
    """

    node: str
    module_path: str
    live_bytes: int
    tensors: tuple[LiveTensor, ...]

    def __post_init__(self) -> None:
        held = sum(tensor.size_bytes or 0 for tensor in self.tensors)
        if held != self.live_bytes:
            raise GraphError(f"node {self.node!r}: {self.live_bytes} bytes are alive, {held} of its tensors")


@record(frozen=True, slots=True)
class PlannedTensor:
    """An activation in the arena.

    Attributes:
        buffer: activations of one number are in the same memory, each in the place of the one before.
        first_step: the index of the first step at which it takes memory.
        last_step: of the last one, included.
    """

    live: LiveTensor
    offset_bytes: int
    buffer: int
    first_step: int
    last_step: int


@record(frozen=True, slots=True)
class MemoryPlan:
    """How the activations of a graph share memory over an order of execution.

    Attributes:
        peak: the first step at which most is alive.
        steps: the nodes that run, in the order of the plan.
        levels_bytes: what is alive at each of them; what is of unknown size is left out.
        file_peak_bytes: the peak in the file's order.
        order: ``file``, or the name of the search that found a better one.
        searched: whether a better one was looked for.
        arena_bytes: the size of the arena that holds all tensors.
        alive_bytes: the peak of what the arena holds: no arena is smaller.
        heuristic: in which order the arena was filled.
        unsized: how many activations have no known size and are in no arena.
        tensors: all others, in the order in which they come.
    """

    peak: MemoryPeak
    steps: tuple[NodePlace, ...]
    levels_bytes: tuple[int, ...]
    file_peak_bytes: int
    in_place: bool
    order: str
    searched: bool
    arena_bytes: int
    alive_bytes: int
    alignment_bytes: int
    heuristic: str
    unsized: int
    tensors: tuple[PlannedTensor, ...]
