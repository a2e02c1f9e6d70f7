"""Parts of a model as models of their own: what they read is handed in, what is wanted is handed out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import NodeProto, TensorProto, helper

from onnxlens.profile.loading.value_types import subgraphs
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
        self._model = model
        self._types = types
        self._read = [tuple(names_read(node)) for node in model.graph.node]
        self._makers = {
            name: index for index, node in enumerate(model.graph.node) for name in node.output if name
        }
        self._inputs = {value.name: value for value in model.graph.input}
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._sparse = {tensor.values.name: tensor for tensor in model.graph.sparse_initializer}

    def slice(self, value: str, known: Collection[str]) -> Slice:
        """What makes ``value`` from values in ``known``, inputs of the graph, and weights."""
        return Slice(value, *self._behind((value,), known))

    def _behind(
        self, values: Collection[str], known: Collection[str]
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The nodes that make the values from what is known, and what of that they read."""
        nodes: set[int] = set()
        inputs: dict[str, None] = {}
        waiting = [self._makers[value] for value in values]
        while waiting:
            index = waiting.pop()
            if index in nodes:
                continue
            nodes.add(index)
            for name in self._read[index]:
                if name in known or (name in self._inputs and name not in self._weights):
                    inputs[name] = None
                elif name in self._makers:
                    waiting.append(self._makers[name])
        return tuple(sorted(nodes)), tuple(inputs)

    def operators(self, part: Slice) -> Iterable[NodeProto]:
        """The nodes of a slice."""
        return (self._model.graph.node[index] for index in part.nodes)

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
        nodes, inputs = self._behind(values, ())
        return self._cut(values, nodes, inputs, {})

    def _cut(
        self, values: Collection[str], places: Iterable[int], fed: Iterable[str], renamed: Mapping[str, str]
    ) -> onnx.ModelProto:
        nodes = [_renamed(self._model.graph.node[index], renamed) for index in places]
        read = {name for node in nodes for name in names_read(node)}
        graph = helper.make_graph(
            nodes,
            self._model.graph.name or "graph",
            [self._handed_in(name, renamed) for name in fed],
            [_described(value, self._types[value]) for value in values],
            [tensor for name, tensor in self._weights.items() if name in read],
            sparse_initializer=[tensor for name, tensor in self._sparse.items() if name in read],
        )
        return helper.make_model(
            graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version
        )

    def _handed_in(self, name: str, renamed: Mapping[str, str]) -> onnx.ValueInfoProto:
        if name in renamed:
            return _described(renamed[name], self._types[name])
        return self._inputs[name]


def names_read(node: NodeProto) -> Iterator[str]:
    """What a node reads, and what the graphs inside it read of those around them."""
    yield from filter(None, node.input)
    for _, graph in subgraphs(node):
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        own.update(name for inner in graph.node for name in inner.output)
        read = (name for inner in graph.node for name in names_read(inner))
        yield from (name for name in read if name not in own)


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A copy that reads under other names, in the graphs inside it too."""
    copy = NodeProto()
    copy.CopyFrom(node)
    _rename(copy, names)
    return copy


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    node.input[:] = [names.get(name, name) for name in node.input]
    for _, graph in subgraphs(node):
        for inner in graph.node:
            _rename(inner, names)


def _described(name: str, tensor: TensorSpec) -> onnx.ValueInfoProto:
    kinds = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
    kind = kinds.get(tensor.dtype) or TensorProto.DataType.Value(tensor.dtype.upper())
    return helper.make_tensor_value_info(name, kind, tensor.shape)
