"""Parts of a model as models of their own: some of its nodes, what they read, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from onnxlens.profile.graph.loading.protobuf import subgraphs
from onnxlens.specs.tensor import Dim

INITIALIZERS_ALONE = 4
"""The IR version from which an initializer need not be an input of the graph as well."""


class Parts:
    """Cuts one model; weights stay where they are, and external ones are pointed at as in the file."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Index the model, whose functions are written out."""
        self.model = model
        self.inputs = {value.name: value for value in model.graph.input}
        self._read = [tuple(names_read(node)) for node in model.graph.node]
        self._makers = {
            name: index for index, node in enumerate(model.graph.node) for name in node.output if name
        }
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._sparse = {tensor.values.name: tensor for tensor in model.graph.sparse_initializer}

    def read(self, place: int) -> Sequence[str]:
        """What the node there reads, in the graphs inside it too."""
        return self._read[place]

    def makers(self, values: Iterable[str]) -> Iterator[int]:
        """The places of the nodes that make the values."""
        return (self._makers[value] for value in values)

    def behind(
        self, places: Iterable[int], known: Collection[str]
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The nodes there and all that make what they read, as far back as values in ``known``.

        Inputs of the graph and weights end it too. Places are ascending; the names are those of the values in
        ``known`` and of the inputs that the nodes read, in the order they are met.
        """
        nodes: set[int] = set()
        inputs: dict[str, None] = {}
        waiting = list(places)
        while waiting:
            index = waiting.pop()
            if index in nodes:
                continue
            nodes.add(index)
            for name in self._read[index]:
                if name in known or (name in self.inputs and name not in self._weights):
                    inputs[name] = None
                elif name in self._makers:
                    waiting.append(self._makers[name])
        return tuple(sorted(nodes)), tuple(inputs)

    def model_of(
        self,
        places: Iterable[int],
        inputs: Sequence[ValueInfoProto],
        outputs: Sequence[ValueInfoProto],
        renamed: Mapping[str, str] | None = None,
    ) -> onnx.ModelProto:
        """A model of the nodes there, which read some values under other names."""
        nodes = [_renamed(self.model.graph.node[index], renamed or {}) for index in places]
        read = {name for node in nodes for name in names_read(node)} | {value.name for value in outputs}
        graph = helper.make_graph(
            nodes,
            self.model.graph.name or "graph",
            inputs,
            outputs,
            [tensor for name, tensor in self._weights.items() if name in read],
            sparse_initializer=[tensor for name, tensor in self._sparse.items() if name in read],
        )
        version = max(self.model.ir_version, INITIALIZERS_ALONE)
        return helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=version)


def names_read(node: NodeProto) -> Iterator[str]:
    """What a node reads, and what the graphs inside it read of those around them."""
    yield from filter(None, node.input)
    for _, graph in subgraphs(node):
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        own.update(tensor.values.name for tensor in graph.sparse_initializer)
        own.update(name for inner in graph.node for name in inner.output)
        read = (name for inner in graph.node for name in names_read(inner))
        yield from (name for name in read if name not in own)


def typed(name: str, dtype: str, shape: Sequence[Dim] | None) -> ValueInfoProto:
    """A tensor's declaration; a dimension of ``?`` is left open, and a shape of None left out."""
    kinds = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
    kind = kinds.get(dtype) or TensorProto.DataType.Value(dtype.upper())
    dims = None if shape is None else [None if dim == "?" else dim for dim in shape]
    return helper.make_tensor_value_info(name, kind, dims)


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A copy that reads under other names, in the graphs inside it too."""
    copy = NodeProto()
    copy.CopyFrom(node)
    if names:
        _rename(copy, names)
    return copy


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    node.input[:] = [names.get(name, name) for name in node.input]
    for _, graph in subgraphs(node):
        for inner in graph.node:
            _rename(inner, names)
