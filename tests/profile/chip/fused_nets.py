"""Small graphs for fusion, their tensors' sizes chosen so that every sum of bytes tells its terms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import NodeProto

from onnxlens.profile.chip.fusion import Fusion
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.traffic import FusionMode
from tests.profile.models import integers, op, save, value, weight

MAP = 4 * 8 * 6 * 6
"""Bytes of (1, 8, 6, 6) in float32: what every convolution below reads and writes."""

KERNEL = 4 * 8 * 8
"""Bytes of a pointwise convolution's weight."""

CHANNELS = 4 * 8


def maps(
    folder: Path, nodes: Sequence[NodeProto], outputs: str = "y", inputs: str = "x", opset: int = 18
) -> Fusion:
    """A graph whose inputs and outputs are maps, with weights for pointwise convolutions and for norms."""
    shape = (1, 8, 6, 6)
    path = save(
        folder,
        nodes,
        [value(name, shape) for name in inputs.split()],
        [value(name, shape if name != "s" else None) for name in outputs.split()],
        [
            *(weight(f"w{index}", 8, 8, 1, 1) for index in range(4)),
            weight("scale", 8),
            weight("plane", 8, 1, 1),
            integers("flat", [1, 8, 36]),
            integers("square", [1, 8, 6, 6]),
        ],
        opsets={"": opset},
    )
    graph = load_graph(path)
    return Fusion(graph, build_ledger(graph).nodes)


def conv(source: str, target: str, index: int = 0) -> NodeProto:
    """A pointwise convolution of a map."""
    return op("Conv", f"{source} w{index}", target, kernel_shape=[1, 1])


def moved(fusion: Fusion, mode: FusionMode, on_chip_bytes: int | None = None) -> int:
    """All bytes of a mode."""
    return sum(
        each.weight_read_bytes + each.read_bytes + each.write_bytes
        for each in fusion.traffic(mode, on_chip_bytes)
    )


def by_node(fusion: Fusion, mode: FusionMode, on_chip_bytes: int | None = None) -> list[tuple[float, float]]:
    """Of each node that is not constant-folded the maps that it reads and writes."""
    return [(each.read_bytes / MAP, each.write_bytes / MAP) for each in fusion.traffic(mode, on_chip_bytes)]
