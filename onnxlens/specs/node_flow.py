"""The data flow of a graph node by node: all that a viewer of nodes is written from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onnxlens.errors import GraphError
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Wire:
    """A tensor on its way from one node to another of the same sheet.

    Attributes:
        source: the id of the node, or of the sheet's input, that it comes from.
        output: which of that node's outputs it is.
        input: which input of the reader it is; what a body inside the reader takes from around it comes after
            the reader's own inputs.
        formal: what ONNX calls that input, as in ``W`` of a Conv; "" where it has no name.
    """

    source: str
    output: int
    input: int
    formal: str = ""


@dataclass(frozen=True, slots=True)
class FixedInput:
    """A tensor that the file holds and a node reads: a weight, or a constant such as a shape.

    Attributes:
        input: which input of the reader it is.
        formal: what ONNX calls that input.
        values: a few integers as text; "" for everything else.
    """

    input: int
    tensor: TensorSpec
    is_weight: bool
    formal: str = ""
    values: str = ""


@dataclass(frozen=True, slots=True)
class OperatorNode:
    """A node of the file in its place.

    Attributes:
        id: unique in the flow: the node's name where no other node has it.
        attributes: as texts.
        outputs: by place; None for an optional one that is left out.
        bodies: the ids of the sheets that run inside it.
    """

    id: str
    cost: NodeCost
    attributes: Mapping[str, str] = field(default_factory=dict)
    wires: tuple[Wire, ...] = ()
    fixed: tuple[FixedInput, ...] = ()
    outputs: tuple[TensorSpec | None, ...] = ()
    bodies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SheetEnd:
    """Where a tensor enters a sheet or leaves it; ``wire`` is None for an input, and for a fixed output."""

    id: str
    tensor: TensorSpec
    wire: Wire | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One graph of the file, its nodes in execution order: the graph itself, a branch, the body of a loop."""

    id: str
    inputs: tuple[SheetEnd, ...]
    nodes: tuple[OperatorNode, ...]
    outputs: tuple[SheetEnd, ...]

    @property
    def wires(self) -> Iterator[Wire]:
        """Every wire of the sheet."""
        for node in self.nodes:
            yield from node.wires
        yield from (end.wire for end in self.outputs if end.wire is not None)


@dataclass(frozen=True, slots=True)
class NodeFlow:
    """The sheets of one graph, the graph itself first; together they hold every node of its ledger."""

    graph: str
    source: str
    sheets: tuple[Sheet, ...]

    def __post_init__(self) -> None:
        """Refuse a repeated sheet or node, and a wire or body that leads nowhere.

        Raises:
            GraphError: one is the case.
        """
        sheets = {sheet.id for sheet in self.sheets}
        if len(sheets) != len(self.sheets):
            raise GraphError(f"node flow of {self.graph!r}: two sheets share an id")
        for sheet in self.sheets:
            ends = [end.id for end in (*sheet.inputs, *sheet.outputs)]
            ids = {*ends, *(node.id for node in sheet.nodes)}
            if len(ids) != len(ends) + len(sheet.nodes):
                raise GraphError(f"node flow of {self.graph!r}: two nodes of {sheet.id!r} share an id")
            for wire in sheet.wires:
                if wire.source not in ids:
                    raise GraphError(
                        f"node flow of {self.graph!r}: a wire comes from {wire.source!r}: no node"
                    )
            for body in (body for node in sheet.nodes for body in node.bodies):
                if body not in sheets:
                    raise GraphError(f"node flow of {self.graph!r}: {body!r} is no sheet")
