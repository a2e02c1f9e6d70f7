"""A graph as the layers of a workload; a node that cannot be one is refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onnxlens.profile.chip.matrix_work import matrix_work
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NotCountable
from onnxlens.specs.array_fit import MatrixWork
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.workload import PART, WorkLayer


class NoForm(Exception):
    """A format has no way to say what a layer is."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a graph in the order of execution, and why a node with MACs has none, by its position."""

    layers: tuple[WorkLayer, ...]
    refused: dict[int, str]


def layers_of(graph: Graph, costs: Sequence[NodeCost]) -> Layers:
    """The layers of every node with MACs; a node whose MACs are not known is refused."""
    layers: list[WorkLayer] = []
    refused: dict[int, str] = {}
    made_by: dict[str, int] = {}  # the last layer on the way to a value
    for index, (node, cost) in enumerate(zip(graph.nodes, costs, strict=True)):
        reached = [None if value is None else made_by.get(value.name) for value in node.view.inputs]
        if cost.status == "unknown":
            refused[index] = cost.reason
        elif cost.macs:
            try:
                works = _works(node, cost)
            except NotCountable as error:
                refused[index] = str(error)
            else:
                layers += _layers(len(layers), index, cost, works, _operands(node, reached))
                reached = [len(layers) - 1]
        last = next((each for each in reached if each is not None), None)
        if last is not None:
            made_by.update((value.name, last) for value in node.view.outputs if value is not None)
    return Layers(tuple(layers), refused)


def _works(node: GraphNode, cost: NodeCost) -> Sequence[MatrixWork]:
    works = matrix_work(node.view)
    if sum(work.macs for work in works) * cost.repeats != cost.macs:
        raise NotCountable(f"{cost.op_type}: its runs differ in their shapes")
    return works


def _operands(node: GraphNode, reached: Sequence[int | None]) -> Sequence[int | None]:
    """The layers that make the inputs, a weight's left out where another input is none."""
    inputs = zip(node.view.inputs, reached, strict=True)
    return [layer for value, layer in inputs if value is not None and not value.is_weight]


def _layers(
    first: int, index: int, cost: NodeCost, works: Sequence[MatrixWork], operands: Sequence[int | None]
) -> Iterator[WorkLayer]:
    """One for each product; the left operand of a later one is what the one before it makes."""
    for part, work in enumerate(works):
        name = f"{cost.node}{PART}{part + 1}" if len(works) > 1 else cost.node
        left = first + part - 1 if part else next(iter(operands), None)
        right = operands[part + 1] if len(operands) > part + 1 else None
        yield WorkLayer(name, index, cost.node, cost.module_path, work, cost.repeats, left, right)


@dataclass(frozen=True, slots=True)
class Plane:
    """A convolution along height and width; one along a row has a height of 1."""

    out: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def given(self) -> tuple[int, int]:
        """The part of the padded input that is read."""
        height, width = (
            (out - 1) * stride + (taps - 1) * dilation + 1
            for out, taps, stride, dilation in zip(
                self.out, self.kernel, self.stride, self.dilation, strict=True
            )
        )
        return height, width


def plane_of(work: MatrixWork) -> Plane:
    """The plane of a convolution that is none of ``as_product``.

    Raises:
        NoForm: it goes along more than two axes.
    """
    if len(work.kernel) > 2:
        raise NoForm(f"a convolution along {len(work.kernel)} axes")

    def pair(sizes: tuple[int, ...]) -> tuple[int, int]:
        first, last = (1, 1, *sizes)[-2:]
        return first, last

    return Plane((work.height, work.width), pair(work.kernel), pair(work.stride), pair(work.dilation))


def as_product(work: MatrixWork) -> MatrixWork | None:
    """A matrix product, or a transposed convolution as one: every input position by all taps, added after.

    None for other convolutions.
    """
    if work.layer == "matmul":
        return work
    if not work.is_spread:
        return None
    return MatrixWork(
        "matmul",
        work.groups,
        1,
        work.input_channels,
        work.output_channels * work.taps,
        1,
        work.times * work.positions,
    )
