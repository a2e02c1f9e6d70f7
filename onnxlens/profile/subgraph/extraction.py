"""One module of a graph, extracted as a model of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import onnx
from onnx import ValueInfoProto, numpy_helper

from onnxlens.errors import GraphError
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.graph.loading.structure import in_one_line
from onnxlens.profile.graph.scopes import has_scopes, write_scopes
from onnxlens.profile.subgraph.extractor import Extractor, typed, value_specs
from onnxlens.specs.tensor import DTYPE_BITS, TensorSpec


@dataclass(frozen=True, slots=True)
class Subgraph:
    """One module extracted from a graph.

    Attributes:
        path: of the module; "" is the model itself.
        model: its nodes and the constant-folded ones that they read from. Names, module scopes and weights
            are the file's; a weight in a data file is still referenced there.
        inputs: the values that it reads from outside, in the order of reading.
        outputs: its values that are read outside, in the order of production.
        nodes: how many of its nodes run, constant-folded ones excluded.
        notes: what a reader must know, one line each.
    """

    path: str
    model: onnx.ModelProto
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: int
    notes: tuple[str, ...] = ()


def extract_subgraph(graph: Graph, path: str, only: Collection[GraphNode] | None = None) -> Subgraph:
    """The module at ``path`` with all modules inside it, as a model of its own; no weight is read.

    1. A value that another module produces is an input, even if PyTorch does not pass it as an argument.
    2. A value that depends on weights alone is produced in the module that reads it, and is not an input.

    Args:
        graph: loaded from a file, whose nodes are read again.
        path: of a module, or of a container of modules; "" or the graph's name is the whole.
        only: those of its nodes to extract, such as one of several calls; None for all.

    Raises:
        UsageError: there is no module at the path.
        GraphError: it runs no node of its own, or the element type of an input is unknown.
    """
    module = graph.hierarchy.require(path, containers=True)
    with in_one_line(graph.path):
        return _Extraction(graph, module).subgraph(nodes_of(graph, module) if only is None else only)


def reordered(subgraph: Subgraph, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Subgraph:
    """The same with inputs and outputs sorted by the given positions; those without one stay last."""
    taken = sorted(subgraph.inputs, key=lambda tensor: inputs.get(tensor.name, inf))
    returned = sorted(subgraph.outputs, key=lambda tensor: outputs.get(tensor.name, inf))
    for declared, tensors in ((subgraph.model.graph.input, taken), (subgraph.model.graph.output, returned)):
        by_name = {value.name: value.SerializeToString() for value in declared}
        del declared[:]
        for tensor in tensors:
            declared.add().ParseFromString(by_name[tensor.name])
    return replace(subgraph, inputs=tuple(taken), outputs=tuple(returned))


def name_of(graph: Graph, path: str) -> str:
    """``graph/path``, also if the graph is itself an extracted module."""
    cut = graph.manifest.cut if graph.manifest else None
    whole = graph.name.removesuffix(f"/{cut.module}") if cut and path else graph.name
    return f"{whole}/{path}" if path else whole


def nodes_of(graph: Graph, path: str) -> Sequence[GraphNode]:
    """The nodes of the module and of all modules inside it, without constant-folded ones."""
    return [
        node
        for node in graph.nodes
        if not node.constant_folded
        and (path in ("", node.module.path) or node.module.path.startswith(f"{path}."))
    ]


class _Extraction:
    """A graph, read again as it is in its file, and the module to extract from it."""

    def __init__(self, graph: Graph, path: str) -> None:
        self._graph = graph
        self._path = path
        self._top = [node for node in graph.nodes if not node.within]
        model = read_model(graph.path)
        for name, values in graph.given.items():
            model.graph.initializer.append(numpy_helper.from_array(values, name))
        self._write_inferred_scopes(model)
        self._extractor = Extractor(model)
        self._specs = value_specs(graph)
        self._declared = {
            value.name: value
            for values in (model.graph.value_info, model.graph.output, model.graph.input)
            for value in values
        }

    def _write_inferred_scopes(self, model: onnx.ModelProto) -> None:
        """Record the module of nodes without metadata: the neighbors it was inferred from may be left out."""
        if self._graph.attribution == "metadata":
            for node, proto in zip(self._top, model.graph.node, strict=True):
                if not has_scopes(proto):
                    lineage = self._graph.hierarchy.lineage(node.module.path)
                    write_scopes(proto, [(path, self._graph.called.get(path, "")) for path in lineage])

    def subgraph(self, nodes: Collection[GraphNode]) -> Subgraph:
        wanted = {id(node) for node in nodes}
        inside = [index for index, node in enumerate(self._top) if id(node) in wanted or not self._path]
        if not inside:
            raise GraphError(self._why_nothing(nodes))
        own = {name for index in inside for name in self._produced(index)}
        known = {
            name
            for index, node in enumerate(self._top)
            if not node.constant_folded and id(node) not in wanted
            for name in self._produced(index)
        }
        indices, read = self._extractor.upstream(inside, known)
        inputs = self._in_order(read, indices)
        outputs = self._outputs(inside)
        return Subgraph(
            path=self._path,
            model=self._model(indices, inputs, outputs),
            inputs=tuple(self._specs[name] for name in inputs),
            outputs=tuple(self._specs[name] for name in outputs),
            nodes=len(nodes),
            notes=tuple(self._notes(inside, own, inputs)),
        )

    def _produced(self, index: int) -> Sequence[str]:
        return [name for name in self._extractor.model.graph.node[index].output if name]

    def _in_order(self, read: Collection[str], indices: Iterable[int]) -> Sequence[str]:
        """The names as the nodes read them; those of the whole graph as it declares them."""
        if not self._path:
            return [tensor.name for tensor in self._graph.inputs]
        names = dict.fromkeys(name for index in indices for name in self._extractor.reads(index))
        return [name for name in names if name in read]

    def _outputs(self, inside: Sequence[int]) -> Sequence[str]:
        """The values that nodes outside read, and those that are outputs of the graph."""
        wanted = dict.fromkeys(tensor.name for tensor in self._graph.outputs)
        if not self._path:
            return list(wanted)
        for index in set(range(len(self._top))).difference(inside):
            wanted.update(dict.fromkeys(self._extractor.reads(index)))
        names = [name for index in inside for name in self._produced(index) if name in wanted]
        if not names:
            raise GraphError(f"{self._title}: nothing reads its values, so it has no outputs")
        return names

    @property
    def _title(self) -> str:
        return f"{self._graph.name}: {self._path or 'the model'}"

    def _why_nothing(self, nodes: Collection[GraphNode]) -> str:
        """The message for a module without a node that could be in a graph of its own."""
        if nodes:
            key = next(iter(nodes)).within[0]
            parent = next(node for node in self._top if any(body.key == key for body in node.bodies))
            whole = parent.module.path or self._graph.name
            return (
                f"{self._title} runs inside the {parent.view.op_type} {parent.view.name!r} and cannot be "
                f"extracted from it; extract {whole}, which contains it"
            )
        return f"{self._title} runs no operator: it returns its inputs, or depends on weights alone"

    def _model(
        self, indices: Sequence[int], inputs: Iterable[str], outputs: Iterable[str]
    ) -> onnx.ModelProto:
        model = self._extractor.model_of(
            indices, [self._typed(name) for name in inputs], [self._typed(name) for name in outputs]
        )
        source, graph = self._extractor.model, model.graph
        graph.name = name_of(self._graph, self._path)
        ends = {value.name for value in (*graph.input, *graph.output)}
        between = {name for node in graph.node for name in node.output} - ends
        graph.value_info.extend(value for value in source.graph.value_info if value.name in between)
        held = between | ends | {tensor.name for tensor in graph.initializer}
        graph.quantization_annotation.extend(
            note for note in source.graph.quantization_annotation if note.tensor_name in held
        )
        model.producer_name, model.producer_version = source.producer_name, source.producer_version
        return model

    def _typed(self, name: str) -> ValueInfoProto:
        """The value's declaration, as inferred here, or else as in the file."""
        tensor = self._specs[name]
        if tensor.dtype in DTYPE_BITS and tensor.elements is not None:
            return typed(name, tensor.dtype, tensor.shape)
        if name in self._declared:
            return self._declared[name]
        if tensor.dtype in DTYPE_BITS:
            return typed(name, tensor.dtype, None if tensor.shape == ("?",) else tensor.shape)
        raise GraphError(
            f"{self._title} reads or makes {name!r}, whose element type the file does not declare; "
            "infer its shapes first"
        )

    def _notes(self, inside: Collection[int], own: Collection[str], inputs: Iterable[str]) -> Iterable[str]:
        """The inputs that depend on outputs: values of the module return to it through other modules."""
        dependent = set[str]()
        for index in sorted(set(range(len(self._top))).difference(inside)):
            if any(name in own or name in dependent for name in self._extractor.reads(index)):
                dependent.update(self._produced(index))
        for name in inputs:
            if name in dependent:
                yield (
                    f"{name} is made outside, from the module's own outputs: run alone it takes both, "
                    "and one cannot follow from the other"
                )
