"""A loaded graph as counting sees it: nodes in execution order, their owners, weights unread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.profile.graph.scopes import Owner, TracedCall
from onnxlens.specs.ledger import Attribution
from onnxlens.specs.manifest import Manifest
from onnxlens.specs.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Body:
    """A graph that runs inside a node: a branch of an If, the body of a Loop, Scan or SequenceMap.

    Attributes:
        key: unique in the file.
        name: of the attribute that holds it.
        trips: how often it runs in one run of the node; None where that is not known before.
        doubt: why the trips are not known.
        results: what it hands to the node's outputs, in their order.
    """

    key: str
    name: str
    trips: int | None
    doubt: str
    results: tuple[ValueView | None, ...]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node in its place.

    Attributes:
        offline: fed by constants and weights alone, so it runs once, before run time, and its outputs are
            weights.
        call: the PyTorch call that it is part of; None where the file does not say.
        bodies: what runs inside it; the nodes in there stand before it.
        within: the keys of the bodies that it stands in, outermost first.
    """

    view: NodeView
    owner: Owner
    offline: bool
    call: TracedCall | None = None
    bodies: tuple[Body, ...] = ()
    within: tuple[str, ...] = ()

    @property
    def reads(self) -> Iterator[ValueView]:
        """Its inputs, and what the bodies inside it hand to its outputs."""
        handed = (value for body in self.bodies for value in body.results)
        return (value for value in (*self.view.inputs, *handed) if value is not None)


@dataclass(frozen=True, slots=True)
class Graph:
    """One ONNX graph.

    Attributes:
        nodes: in execution order.
        weights: the initializers that hold the model's weights, by name.
        constants: the initializers that are part of the computation: shapes, axes, masks, scalars.
        called: the class of each module whose forward ran, by path; with its Python module where the file
            names that.
        given: the inputs whose value was fixed, so that they are constants, by name.
        notes: what a reader of its figures must know, one line each.
    """

    name: str
    path: Path
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: tuple[GraphNode, ...]
    weights: Mapping[str, ValueView]
    constants: Mapping[str, ValueView]
    attribution: Attribution
    called: Mapping[str, str]
    manifest: Manifest | None
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
