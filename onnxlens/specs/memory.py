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
