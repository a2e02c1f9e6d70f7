"""From an ONNX file to a Graph, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote

from onnx import GraphProto, ValueInfoProto

from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.graph.graph import Graph, uncollected
from onnxlens.profile.graph.loading.fixing import fix_dimensions, fix_values
from onnxlens.profile.graph.loading.inference import Inference, complete_types
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.graph.loading.opsets import newer_operator_notes
from onnxlens.profile.graph.loading.protobuf import FileGraph, declared_parameters, read_graph, versions
from onnxlens.profile.graph.loading.quantization import scales_and_weights
from onnxlens.profile.graph.loading.ranges import check_axes
from onnxlens.profile.graph.loading.sorting import in_order, sort_nodes
from onnxlens.profile.graph.loading.structure import check_structure, in_one_line
from onnxlens.profile.graph.loading.value_types import UNKNOWN
from onnxlens.profile.graph.loading.views import ModelReader
from onnxlens.profile.graph.node_view import DefUse, NodeView, ValueView
from onnxlens.profile.graph.scopes import read_scopes
from onnxlens.specs.bounds import in_file
from onnxlens.specs.manifest import Manifest, manifest_path_of, read_manifest
from onnxlens.specs.tensor import TensorSpec

INTEGER_TABLES = ("int64", "int32", "bool")
"""Element types that, without a manifest, mean shapes, axes and indices rather than weights."""


@uncollected()
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
    with in_one_line(path), in_file(path):
        return _loaded(path, shapes or {}, dims or {}, values or {})


def _loaded(
    path: Path,
    shapes: Mapping[str, Sequence[int]],
    dims: Mapping[str, int],
    values: Mapping[str, Sequence[float]],
) -> Graph:
    model = read_model(path, to_write=False)
    manifest = read_manifest(path)
    if manifest is not None:
        _require_of_file(path, manifest, model.graph)
    graph = _read_in_order(path, model.graph, versions(model))
    fixed = fix_dimensions(path, graph, shapes, dims)
    given = fix_values(path, model.graph, values)
    inference = complete_types(model, graph, path.parent, doubtful=bool(fixed.changed))
    if fixed.changed and inference.misfits:
        raise UsageError(
            f"{path.name}: {fixed.changed[0]}, and {inference.misfits[0]}; keep what the file fixes"
        )
    _require_axes(path, graph, inference)
    newer = newer_operator_notes(graph, versions(model))
    read = ModelReader(model, graph, path, inference)
    def_use = DefUse(read.nodes)
    scopes = read_scopes(read.nodes, read.protos, read.initializers, def_use)
    placed = zip(scopes.modules, scopes.traced, scopes.evidence, strict=True)
    for node, (module, call, evidence) in zip(read.nodes, placed, strict=True):
        node.module, node.call, node.evidence = module, call, evidence
    held = {name: view for name, view in read.initializers.items() if name not in given}
    weights = _weights(held, manifest, [node.view for node in read.nodes])
    open_inputs = (value for value in model.graph.input if value.name not in read.initializers)
    inputs = _tensors(open_inputs, inference)
    loaded = Graph(
        name=manifest.graph if manifest else model.graph.name or path.stem,
        path=path,
        opset=versions(model).get("", 0),
        inputs=inputs,
        outputs=_tensors(model.graph.output, inference),
        nodes=tuple(read.nodes),
        weights=weights,
        constants={name: view for name, view in read.initializers.items() if name not in weights},
        attribution=scopes.attribution,
        called=scopes.called,
        manifest=manifest,
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
