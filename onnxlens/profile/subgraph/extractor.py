"""Some nodes of a model as a model of their own, with the values that they read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading.protobuf import subgraphs
from onnxlens.specs.tensor import Dim, TensorSpec

INITIALIZERS_ALONE = 4
"""The IR version from which an initializer need not be a graph input as well."""


class Extractor:
    """Extracts from one model; weights stay where they are, external ones are referenced as in the file."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Index the model, whose functions are inlined."""
        self.model = model
        self.inputs = {value.name: value for value in model.graph.input}
        self._reads = [tuple(names_read(node)) for node in model.graph.node]
        self._producers = {
            name: index for index, node in enumerate(model.graph.node) for name in node.output if name
        }
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._sparse = {tensor.values.name: tensor for tensor in model.graph.sparse_initializer}

    def reads(self, node: int) -> Sequence[str]:
        """The names that the node at that index reads, in the graphs inside it too."""
        return self._reads[node]

    def producers(self, values: Iterable[str]) -> Iterator[int]:
        """The indices of the nodes that produce the values."""
        return (self._producers[value] for value in values)

    def upstream(
        self, nodes: Iterable[int], known: Collection[str]
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The nodes and all that produce what they read, as far back as values in ``known``.

        Graph inputs and weights end it too. Returns indices in ascending order, and the names of the values
        in ``known`` and of the graph inputs that the nodes read, in the order they are found.
        """
        found: set[int] = set()
        inputs: dict[str, None] = {}
        waiting = list(nodes)
        while waiting:
            index = waiting.pop()
            if index in found:
                continue
            found.add(index)
            for name in self._reads[index]:
                if name in known or (name in self.inputs and name not in self._weights):
                    inputs[name] = None
                elif name in self._producers:
                    waiting.append(self._producers[name])
        return tuple(sorted(found)), tuple(inputs)

    def model_of(
        self,
        nodes: Iterable[int],
        inputs: Sequence[ValueInfoProto],
        outputs: Sequence[ValueInfoProto],
        renamed: Mapping[str, str] | None = None,
    ) -> onnx.ModelProto:
        """A model of the nodes at those indices, which read some values under other names."""
        copies = [_renamed(self.model.graph.node[index], renamed or {}) for index in nodes]
        read = {name for node in copies for name in names_read(node)} | {value.name for value in outputs}
        graph = helper.make_graph(
            copies,
            self.model.graph.name or "graph",
            inputs,
            outputs,
            [tensor for name, tensor in self._weights.items() if name in read],
            sparse_initializer=[tensor for name, tensor in self._sparse.items() if name in read],
        )
        version = max(self.model.ir_version, INITIALIZERS_ALONE)
        return helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=version)


def value_specs(graph: Graph) -> Mapping[str, TensorSpec]:
    """Element type and shape of every graph input and every value that a node produces, by name."""
    values = (value for node in graph.nodes for value in node.view.outputs if value is not None)
    return {spec.name: spec for spec in (*(value.spec for value in values), *graph.inputs)}


def names_read(node: NodeProto) -> Iterator[str]:
    """The names that a node reads, including those that the graphs inside it read from outer scopes."""
    yield from filter(None, node.input)
    for _, graph in subgraphs(node):
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        own.update(tensor.values.name for tensor in graph.sparse_initializer)
        own.update(name for inner in graph.node for name in inner.output)
        read = (name for inner in graph.node for name in names_read(inner))
        yield from (name for name in read if name not in own)


def typed(name: str, dtype: str, shape: Sequence[Dim] | None) -> ValueInfoProto:
    """A tensor's declaration; a dimension of ``?`` is left open, and a shape of None is left out."""
    kinds = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
    kind = kinds.get(dtype) or TensorProto.DataType.Value(dtype.upper())
    dims = None if shape is None else [None if dim == "?" else dim for dim in shape]
    return helper.make_tensor_value_info(name, kind, dims)


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A copy that reads values under other names, in the graphs inside it too."""
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
