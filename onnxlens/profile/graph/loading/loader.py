"""From an ONNX file to a Graph, step by step."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from shlex import quote

import numpy as np
from onnx import GraphProto, ValueInfoProto

from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.graph.graph import Graph, uncollected
from onnxlens.profile.graph.loading.dimensions.equations import Equations
from onnxlens.profile.graph.loading.fixing import Fixed, fix_dimensions, fix_values
from onnxlens.profile.graph.loading.inference import Inference, Memo, complete_types, types_at_other_sizes
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.graph.loading.opsets import newer_operator_notes
from onnxlens.profile.graph.loading.protobuf import FileGraph, declared_parameters, read_graph, versions
from onnxlens.profile.graph.loading.ranges import check_axes
from onnxlens.profile.graph.loading.sorting import in_order, sort_nodes
from onnxlens.profile.graph.loading.structure import check_structure, in_one_line
from onnxlens.profile.graph.loading.value_types import UNKNOWN, declared_types
from onnxlens.profile.graph.loading.views import ModelReader
from onnxlens.profile.graph.node_view import DefUse, NodeView, ValueView
from onnxlens.profile.graph.quantization import scales_and_weights
from onnxlens.profile.graph.scopes import Scopes, read_scopes
from onnxlens.specs.bounds import in_file
from onnxlens.specs.manifest import Manifest, manifest_path_of, read_manifest
from onnxlens.specs.tensor import TensorSpec

INTEGER_TABLES = ("int64", "int32", "bool")
"""Element types that, without a manifest, mean shapes, axes and indices rather than weights."""


def load_graph(
    path: Path,
    shapes: Mapping[str, Sequence[int]] | None = None,
    dims: Mapping[str, int] | None = None,
    values: Mapping[str, Sequence[float]] | None = None,
) -> Graph:
    """The graph in the file at ``path``, with our manifest where one lies beside it.

    Args:
        path: of the ``.onnx`` file.
        shapes: sizes for all dimensions of an input, by its name.
        dims: sizes for dynamic dimensions, by their symbol.
        values: of inputs that decide shapes or branches, by name: they become constants.

    Raises:
        GraphError: there is no such file, or it holds no ONNX graph.
        UsageError: no input or dimension has the name, or a size contradicts the file.
    """
    return LoadedFile(path).at(shapes, dims, values)


class LoadedFile:
    """An ONNX file, read once: its graph at any sizes of its inputs.

    The first graph is inferred by all libraries there are. At other sizes types are evaluated in one walk
    from node to node, in which nodes that are alike are looked at once; only where that leaves open what the
    libraries may find, they are asked again. What does not hang on sizes, such as modules, is found once.
    """

    @uncollected()
    def __init__(self, path: Path) -> None:
        """Read the file; ``load_graph`` says what is raised."""
        self._path = path
        with in_one_line(path), in_file(path):
            self._model = read_model(path, to_write=False)
            self._manifest = read_manifest(path)
            graph = self._model.graph
            if self._manifest is not None:
                _require_of_file(path, self._manifest, graph)
            self._opsets = versions(self._model)
            self._read = _read_in_order(path, graph, self._opsets)
        self._ends = [(field, list(map(deepcopy, field))) for field in (graph.input, graph.output)]
        self._initializers = len(graph.initializer)
        self._memo = Memo()
        self._equations: dict[bool, Equations] = {}
        self._scopes: Scopes | None = None
        self._inferences: dict[Hashable, Inference] = {}

    @uncollected()
    def at(
        self,
        shapes: Mapping[str, Sequence[int]] | None = None,
        dims: Mapping[str, int] | None = None,
        values: Mapping[str, Sequence[float]] | None = None,
        *,
        fitting: bool = False,
    ) -> Graph:
        """The graph at these sizes; arguments and errors are those of ``load_graph``.

        Args:
            shapes: as there.
            dims: as there.
            values: as there.
            fitting: refuse sizes that do not fit together, also where only open ones are given.
        """
        with in_one_line(self._path), in_file(self._path):
            return self._at(shapes or {}, dims or {}, values or {}, fitting)

    def fixed(self, shapes: Mapping[str, Sequence[int]], dims: Mapping[str, int]) -> Fixed:
        """What becomes of the open dimensions at these sizes; errors as in ``load_graph``."""
        with in_one_line(self._path), in_file(self._path):
            return self._fix(shapes, dims)

    def _at(
        self,
        shapes: Mapping[str, Sequence[int]],
        dims: Mapping[str, int],
        values: Mapping[str, Sequence[float]],
        fitting: bool,
    ) -> Graph:
        path, model = self._path, self._model
        fixed = self._fix(shapes, dims)
        given = fix_values(path, model.graph, values)
        inference = self._inferred(bool(fixed.changed), values, fitting)
        if fitting and inference.misfits:
            raise UsageError(f"{path.name}: these sizes do not fit: {inference.misfits[0]}; give others")
        if fixed.changed and inference.misfits:
            raise UsageError(
                f"{path.name}: {fixed.changed[0]}, and {inference.misfits[0]}; keep what the file fixes"
            )
        return self._graph(inference, given, fixed)

    @uncollected()
    def declared(self) -> Graph:
        """The graph with the dimensions and types that the file has: nothing is inferred."""
        with in_one_line(self._path), in_file(self._path):
            self._restore()
            parts = ((inner.prefix, inner.proto, inner.constants()) for inner in self._read.all())
            return self._graph(Inference(declared_types(parts)), {}, Fixed())

    def _graph(self, inference: Inference, given: Mapping[str, np.ndarray], fixed: Fixed) -> Graph:
        """The graph with these types."""
        path, model = self._path, self._model
        read = ModelReader(model, self._read, path, inference)
        def_use = DefUse(read.nodes)
        if self._scopes is None:
            self._scopes = read_scopes(read.nodes, read.protos, read.initializers, def_use)
        scopes = self._scopes
        placed = zip(scopes.modules, scopes.traced, scopes.evidence, strict=True)
        for node, (module, call, evidence) in zip(read.nodes, placed, strict=True):
            node.module, node.call, node.evidence = module, call, evidence
        held = {name: view for name, view in read.initializers.items() if name not in given}
        weights = _weights(held, self._manifest, [node.view for node in read.nodes])
        open_inputs = (value for value in model.graph.input if value.name not in read.initializers)
        inputs = _tensors(open_inputs, inference)
        newer = newer_operator_notes(self._read, self._opsets)
        loaded = Graph(
            name=self._manifest.graph if self._manifest else model.graph.name or path.stem,
            path=path,
            opset=self._opsets.get("", 0),
            inputs=inputs,
            outputs=_tensors(model.graph.output, inference),
            nodes=tuple(read.nodes),
            weights=weights,
            constants={name: view for name, view in read.initializers.items() if name not in weights},
            attribution=scopes.attribution,
            called=scopes.called,
            manifest=self._manifest,
            given=given,
            notes=(
                *fixed.changed,
                *fixed.notes,
                *newer,
                *inference.notes,
                *_dynamic_notes(inputs, fixed.free),
            ),
            declared=declared_parameters(model.graph),
        )
        return loaded.knowing(def_use)

    def _fix(self, shapes: Mapping[str, Sequence[int]], dims: Mapping[str, int]) -> Fixed:
        """Give the inputs these sizes."""
        self._restore()
        return fix_dimensions(self._path, self._read, shapes, dims, self._equations)

    def _restore(self) -> None:
        """Give the inputs and outputs the dimensions that they have in the file, and values to none."""
        for field, copies in self._ends:
            del field[:]
            field.extend(copies)
        for tensor in self._model.graph.initializer[self._initializers :]:
            self._memo.held.pop(tensor.name, None)
        del self._model.graph.initializer[self._initializers :]

    def _inferred(self, changed: bool, values: Mapping[str, Sequence[float]], fitting: bool) -> Inference:
        """The types at the sizes that the inputs now have."""
        model, graph, folder = self._model, self._read, self._path.parent
        fixed = [_fixed_axes(value) for value in model.graph.input]
        key = (changed, *fixed, *((name, *numbers) for name, numbers in values.items()))
        before = self._inferences.get(key)
        if before is not None:
            found, is_complete = types_at_other_sizes(model, graph, folder, self._memo, before)
            if is_complete or (fitting and found.misfits):
                return replace(found, notes=before.notes)
        found = complete_types(model, graph, folder, self._memo, doubtful=changed)
        self._inferences.setdefault(key, found)
        _require_axes(self._path, graph, found)
        return found


def _fixed_axes(value: ValueInfoProto) -> tuple[bool, ...]:
    """Which of the dimensions of an input are numbers."""
    return tuple([dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim])


def _read_in_order(path: Path, graph: GraphProto, opsets: Mapping[str, int]) -> FileGraph:
    """The graph's nodes; those that are out of order are sorted, in place."""
    try:
        read = read_graph(graph)
        check_structure(read, opsets)
        if in_order(read):
            return read
        sort_nodes(graph)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error
    return read_graph(graph)


def _require_axes(path: Path, graph: FileGraph, inference: Inference) -> None:
    try:
        check_axes(graph, inference.types)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error


def _require_of_file(path: Path, manifest: Manifest, graph: GraphProto) -> None:
    """Refuse a manifest whose inputs or tensors are not the file's: what it says of modules is not either."""
    held = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in held]
    listed = [tensor.name for tensor in manifest.inputs]
    wrong = f"the inputs {', '.join(listed)}, the file {', '.join(inputs)}" if inputs != listed else ""
    for tensor in manifest.tensors:
        if held.get(tensor.name, tensor.stored_shape) != tensor.stored_shape:
            wrong = f"{tensor.name} as {tensor.shape}, the file as {held[tensor.name]}"
    if wrong:
        raise GraphError(
            f"{path}: its manifest {manifest_path_of(path).name} lists {wrong}; export again, or delete the "
            "manifest to use the file without it"
        )


def _weights(
    initializers: Mapping[str, ValueView], manifest: Manifest | None, nodes: Sequence[NodeView]
) -> Mapping[str, ValueView]:
    """The initializers that are weights: the manifest's.

    Without one, all but integer tables, scalars, and what quantising operators read as scale or zero point;
    an integer tensor that such an operator reads as a weight is one.
    """
    if manifest is not None:
        known = {tensor.name for tensor in manifest.tensors}
        return {name: view for name, view in initializers.items() if name in known}
    scales, quantized = scales_and_weights(nodes)
    return {
        name: view
        for name, view in initializers.items()
        if view.shape and name not in scales and (view.dtype not in INTEGER_TABLES or name in quantized)
    }


def _tensors(values: Iterable[ValueInfoProto], inference: Inference) -> tuple[TensorSpec, ...]:
    specs = []
    for value in values:
        known = inference.types.get(value.name, UNKNOWN)
        dims = ("unknown rank",) if known.shape is None else known.shape
        dtype = known.dtype or "unknown"
        if known.kind != "tensor":  # the element type says that the size is not known
            dtype = f"{known.kind} of {dtype}"
        specs.append(TensorSpec(value.name, dtype, dims))
    return tuple(specs)


def _dynamic_notes(inputs: Sequence[TensorSpec], free: Sequence[str]) -> tuple[str, ...]:
    """How to get at figures that hang on dynamic dimensions: ``free`` are those that decide all others."""
    named = [tensor for tensor in inputs if tensor.elements is None]
    if not named:
        return ()
    symbols = {dim for tensor in named for dim in tensor.shape}
    flags = [f"--dim {quote(name)}=SIZE" for name in free if name in symbols]
    flags += [f"--shape {quote(tensor.name)}=SIZES" for tensor in named if not flags or "?" in tensor.shape]
    listed = ", ".join(f"{tensor.name} {tensor.shape_text()}" for tensor in named)
    return (f"inputs have dynamic dimensions: {listed}; fix them with {' '.join(flags)}",)
