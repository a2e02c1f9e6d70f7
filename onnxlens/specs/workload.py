"""The matrix work of a graph, layer by layer, as a hardware cost model is given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from onnxlens.specs.array_fit import MatrixWork

WorkloadFormat = Literal["scalesim", "zigzag", "timeloop"]
WORKLOAD_FORMATS: tuple[WorkloadFormat, ...] = get_args(WorkloadFormat)

PART = "#"
"""Stands between a node's name and which of its products a layer is, from 1."""


@dataclass(frozen=True, slots=True)
class WorkLayer:
    """One product of a node, as a line or a file of a workload.

    Attributes:
        name: of the node; of a node with several products with ``#1``, ``#2``, .. behind it.
        node: its position in the graph.
        node_name, module_path: what it leads back to.
        work: one run of it.
        runs: how often the node runs it.
        left, right: the layers, by position, that make its operands; None for a weight or an input.
    """

    name: str
    node: int
    node_name: str
    module_path: str
    work: MatrixWork
    runs: int
    left: int | None = None
    right: int | None = None

    @property
    def macs(self) -> int:
        """Of all runs."""
        return self.work.macs * self.runs


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """A layer as a file of a workload has it.

    Attributes:
        layer: its name in the file.
        times: how often it runs, where the format cannot say so: a simulator's figures are of one.
        macs_each: MACs of one time, by the figures that stand in the file.
        file: where it stands.
    """

    layer: str
    node: str
    module: str
    times: int
    macs_each: int
    file: str

    @property
    def macs(self) -> int:
        """Of all times."""
        return self.times * self.macs_each


@dataclass(frozen=True, slots=True)
class Workload:
    """What was written for a cost model.

    Attributes:
        macs: of the graph, as they are counted.
        refused: why a node with MACs is in no file, by its name.
        refused_macs: those of these nodes as far as they are known.
        texts: the files, by name.
        index: the file that leads from the others back to the nodes.
    """

    graph: str
    format: WorkloadFormat
    macs: int
    layers: tuple[WrittenLayer, ...]
    refused: Mapping[str, str]
    refused_macs: int
    texts: Mapping[str, str]
    index: str

    @property
    def written_macs(self) -> int:
        """All times of all layers."""
        return sum(layer.macs for layer in self.layers)
