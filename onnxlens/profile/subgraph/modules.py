"""One module of a graph as a model of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import onnx
from onnx import ValueInfoProto, numpy_helper

from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.graph.scopes import has_scopes, write_scopes
from onnxlens.profile.subgraph.parts import Parts, typed
from onnxlens.specs.tensor import DTYPE_BITS, TensorSpec


@dataclass(frozen=True, slots=True)
class CutOut:
    """One module alone.

    Attributes:
        path: of the module; "" is the model itself.
        model: its nodes and those that make weights for them. Names, module scopes and weights are those of
            the file; a weight that stands in a data file still points at that one.
        inputs: what it reads from outside, in the order it is read.
        outputs: what of its own is read outside, in the order it is made.
        nodes: how many of its nodes do work at run time.
        notes: what a reader must know, one line each.
    """

    path: str
    model: onnx.ModelProto
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: int
    notes: tuple[str, ...] = ()


def cut_module(graph: Graph, path: str, only: Collection[GraphNode] | None = None) -> CutOut:
    """The module at ``path`` with all that is inside it, as a model of its own; no weight is read.

    What other modules make for it is an input, also where it does not stand in the call that PyTorch makes.
    What depends on weights alone belongs to the module that reads it, and is no input.

    Args:
        graph: from the file, whose nodes are read again.
        path: of a module, or of a container of modules; "" or the graph's name is the whole.
        only: those of its nodes that are wanted, as of one of several calls; None for all.

    Raises:
        UsageError: no module has the path, or the file names no modules.
        GraphError: nothing of it runs by itself, or the file does not say the type of what it reads.
    """
    chosen = require_module(graph, path)
    return _Cut(graph, chosen).cut_out(nodes_of(graph, chosen) if only is None else only)


def arranged(cut: CutOut, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> CutOut:
    """With inputs and outputs by the places given; those without one come last, as they were."""
    last = len(cut.inputs) + len(cut.outputs) + max((*inputs.values(), *outputs.values()), default=0)
    handed = sorted(cut.inputs, key=lambda tensor: inputs.get(tensor.name, last))
    returned = sorted(cut.outputs, key=lambda tensor: outputs.get(tensor.name, last))
    for declared, tensors in ((cut.model.graph.input, handed), (cut.model.graph.output, returned)):
        by_name = {value.name: value.SerializeToString() for value in declared}
        del declared[:]
        for tensor in tensors:
            declared.add().ParseFromString(by_name[tensor.name])
    return replace(cut, inputs=tuple(handed), outputs=tuple(returned))


def require_module(graph: Graph, path: str) -> str:
    """The path as the file has it: "" for the graph's own name.

    Raises:
        UsageError: no module has it, or the file names no modules.
    """
    known = {*graph.hierarchy.paths, *(graph.manifest.modules if graph.manifest else ())}
    if path in known or any(other.startswith(f"{path}.") for other in known):
        return path
    if path == graph.name:
        return ""
    if graph.attribution == "none":
        raise UsageError(f"{graph.path.name} names no modules, so none of them can be cut out")
    near = get_close_matches(path, sorted(known - {""}), n=3) or sorted(known - {""})[:3]
    raise UsageError(f"{graph.name} has no module {path!r}; there is {', '.join(near)}")


def name_of(graph: Graph, path: str) -> str:
    """``graph/path``, also where the graph is itself a cut-out."""
    cut = graph.manifest.cut if graph.manifest else None
    whole = graph.name.removesuffix(f"/{cut.module}") if cut and path else graph.name
    return f"{whole}/{path}" if path else whole


def nodes_of(graph: Graph, path: str) -> Sequence[GraphNode]:
    """The nodes of the module and of all inside it, less those that run before run time."""
    return [node for node in graph.nodes if not node.constant_folded and _is_inside(node.module.path, path)]


def _is_inside(owner: str, path: str) -> bool:
    return path in ("", owner) or owner.startswith(f"{path}.")


class _Cut:
    """One graph, read again as it stands in its file, to be cut."""

    def __init__(self, graph: Graph, path: str) -> None:
        self._graph = graph
        self._path = path
        self._top = [node for node in graph.nodes if not node.within]
        model = read_model(graph.path)
        for name, values in graph.given.items():
            model.graph.initializer.append(numpy_helper.from_array(values, name))
        self._keep_owners(model)
        self._parts = Parts(model)
        self._types = _types(graph)
        self._declared = {
            value.name: value
            for values in (model.graph.value_info, model.graph.output, model.graph.input)
            for value in values
        }

    def _keep_owners(self, model: onnx.ModelProto) -> None:
        """Write down whose a node is where the file left that to its neighbours: those may be cut away."""
        if self._graph.attribution == "metadata":
            hierarchy = self._graph.hierarchy
            for node, proto in zip(self._top, model.graph.node, strict=True):
                if not has_scopes(proto):
                    lineage = hierarchy.lineage(node.module.path)
                    write_scopes(proto, [(path, self._graph.called.get(path, "")) for path in lineage])

    def cut_out(self, nodes: Collection[GraphNode]) -> CutOut:
        wanted = {id(node) for node in nodes}
        inside = [place for place, node in enumerate(self._top) if id(node) in wanted or not self._path]
        if not inside:
            raise GraphError(self._why_nothing(nodes))
        made = [self._made(place) for place in inside]
        own = {name for names in made for name in names}
        known = {
            name
            for place, node in enumerate(self._top)
            if not node.constant_folded and id(node) not in wanted
            for name in self._made(place)
        }
        places, read = self._parts.behind(inside, known)
        inputs = self._in_order(read, places)
        outputs = self._outputs(own, inside)
        return CutOut(
            path=self._path,
            model=self._model(places, inputs, outputs),
            inputs=tuple(self._types[name] for name in inputs),
            outputs=tuple(self._types[name] for name in outputs),
            nodes=len(nodes),
            notes=tuple(self._notes(inside, own, inputs)),
        )

    def _made(self, place: int) -> Sequence[str]:
        return [name for name in self._parts.model.graph.node[place].output if name]

    def _in_order(self, read: Collection[str], places: Iterable[int]) -> Sequence[str]:
        """The names as the nodes read them; those of the whole graph as it declares them."""
        if not self._path:
            return [tensor.name for tensor in self._graph.inputs]
        return [
            name
            for name in dict.fromkeys(name for place in places for name in self._parts.read(place))
            if name in read
        ]

    def _outputs(self, own: Collection[str], inside: Collection[int]) -> Sequence[str]:
        """What is read outside, or handed out by the graph."""
        results = [tensor.name for tensor in self._graph.outputs]
        if not self._path:
            return results
        places = set(inside)
        wanted = set(results)
        for place in range(len(self._top)):
            if place not in places:
                wanted.update(self._parts.read(place))
        names = [name for place in sorted(places) for name in self._made(place) if name in wanted]
        if not names:
            raise GraphError(f"{self._title}: nobody reads what it makes, so there is nothing to hand out")
        return names

    @property
    def _title(self) -> str:
        return f"{self._graph.name}: {self._path or 'the model'}"

    def _why_nothing(self, nodes: Collection[GraphNode]) -> str:
        """The one line on a module without a node that could stand in a graph by itself."""
        if nodes:
            key = next(iter(nodes)).within[0]
            holder = next(node for node in self._top if any(body.key == key for body in node.bodies))
            whole = holder.module.path or self._graph.name
            return (
                f"{self._title} runs inside the {holder.view.op_type} {holder.view.name!r} and cannot be "
                f"cut out of it; extract {whole}, which holds that"
            )
        return (
            f"{self._title} runs no operator: what it makes is what it is handed, or depends on weights alone"
        )

    def _model(self, places: Sequence[int], inputs: Iterable[str], outputs: Iterable[str]) -> onnx.ModelProto:
        model = self._parts.model_of(
            places, [self._typed(name) for name in inputs], [self._typed(name) for name in outputs]
        )
        source, graph = self._parts.model, model.graph
        graph.name = name_of(self._graph, self._path)
        borders = {value.name for value in (*graph.input, *graph.output)}
        between = {name for node in graph.node for name in node.output} - borders
        graph.value_info.extend(value for value in source.graph.value_info if value.name in between)
        held = between | borders | {tensor.name for tensor in graph.initializer}
        graph.quantization_annotation.extend(
            note for note in source.graph.quantization_annotation if note.tensor_name in held
        )
        model.producer_name, model.producer_version = source.producer_name, source.producer_version
        return model

    def _typed(self, name: str) -> ValueInfoProto:
        """The value's declaration: what is known of it here, or what the file says of it."""
        tensor = self._types[name]
        if tensor.dtype in DTYPE_BITS and tensor.elements is not None:
            return typed(name, tensor.dtype, tensor.shape)
        if name in self._declared:
            return self._declared[name]
        if tensor.dtype in DTYPE_BITS:
            return typed(name, tensor.dtype, None if tensor.shape == ("?",) else tensor.shape)
        raise GraphError(
            f"{self._title} reads or makes {name!r}, whose element type the file does not say; "
            "infer its shapes first"
        )

    def _notes(self, inside: Iterable[int], own: Collection[str], inputs: Iterable[str]) -> Iterable[str]:
        """Which inputs hang on outputs: what the module hands on comes back into it."""
        places, outside = set(inside), set[str]()
        for place in range(len(self._top)):
            if place not in places and any(
                name in own or name in outside for name in self._parts.read(place)
            ):
                outside.update(self._made(place))
        for name in inputs:
            if name in outside:
                yield (
                    f"{name} is made outside, from what the module itself hands on: run alone it takes both, "
                    "and one cannot follow from the other"
                )


def _types(graph: Graph) -> Mapping[str, TensorSpec]:
    values: Iterable[ValueView] = (
        value for node in graph.nodes for value in node.view.outputs if value is not None
    )
    return {tensor.name: tensor for tensor in (*(value.spec for value in values), *graph.inputs)}
