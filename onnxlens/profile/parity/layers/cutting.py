"""Slices of a model between values that are known: what they read is handed in, what they make handed out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import onnx
from onnx import NodeProto, ValueInfoProto

from onnxlens.profile.subgraph.parts import Parts, typed
from onnxlens.specs.tensor import TensorSpec

HANDED = "pytorch/"
"""Before the name of a value that is handed in: the same value may also be made, to be compared."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The nodes that make one value, as far back as the values that are known.

    Attributes:
        value: its name.
        nodes: their places among the model's nodes, ascending.
        inputs: the known values they read, inputs of the graph among them.
    """

    value: str
    nodes: tuple[int, ...]
    inputs: tuple[str, ...]


class Cutter:
    """Cuts one model; weights stay where they are, and external ones are pointed at as in the file."""

    def __init__(self, model: onnx.ModelProto, types: Mapping[str, TensorSpec]) -> None:
        """Index the model.

        Args:
            model: with its functions written out.
            types: of every value that may be handed in or out, by name.
        """
        self._parts = Parts(model)
        self._types = types

    def slice(self, value: str, known: Collection[str]) -> Slice:
        """What makes ``value`` from values in ``known``, inputs of the graph, and weights."""
        return Slice(value, *self._parts.behind(self._parts.makers((value,)), known))

    def operators(self, part: Slice) -> Iterable[NodeProto]:
        """The nodes of a slice."""
        return (self._parts.model.graph.node[index] for index in part.nodes)

    def side_by_side(
        self, slices: Collection[Slice], known: Collection[str], prefix: str = HANDED
    ) -> onnx.ModelProto:
        """A model of the slices, none of which reads what another makes: it hands out their values.

        Inputs of the graph are handed in under their own names, values in ``known`` under theirs after
        ``prefix``.
        """
        fed = dict.fromkeys(name for part in slices for name in part.inputs)
        renamed = {name: prefix + name for name in fed if name in known}
        places = {index for part in slices for index in part.nodes}
        return self._cut([part.value for part in slices], sorted(places), fed, renamed)

    def up_to(self, values: Collection[str]) -> onnx.ModelProto:
        """The model as far as the values, which it hands out."""
        nodes, inputs = self._parts.behind(self._parts.makers(values), ())
        return self._cut(values, nodes, inputs, {})

    def _cut(
        self, values: Collection[str], places: Iterable[int], fed: Iterable[str], renamed: Mapping[str, str]
    ) -> onnx.ModelProto:
        inputs = [self._handed_in(name, renamed) for name in fed]
        outputs = [_described(value, self._types[value]) for value in values]
        return self._parts.model_of(places, inputs, outputs, renamed)

    def _handed_in(self, name: str, renamed: Mapping[str, str]) -> ValueInfoProto:
        if name in renamed:
            return _described(renamed[name], self._types[name])
        return self._parts.inputs[name]


def _described(name: str, tensor: TensorSpec) -> ValueInfoProto:
    return typed(name, tensor.dtype, tensor.shape)
