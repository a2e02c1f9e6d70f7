"""One module of a graph in a file of its own, with its weights and PyTorch's way of calling it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from onnxlens.api.check import rebuilt
from onnxlens.api.module_calls import beside, chosen_call, pytorch_side
from onnxlens.api.target import resolve_again
from onnxlens.errors import GraphError, UsageError
from onnxlens.export.exported import MappedWeights
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.parity.module_calls import ModuleCall, Port, capture, spec_of
from onnxlens.profile.runtime.inputs import sample_inputs, save_inputs
from onnxlens.profile.subgraph.extraction import Subgraph, extract_subgraph, reordered
from onnxlens.profile.subgraph.weight_files import (
    from_folder,
    from_source,
    weight_bytes,
    write_with_weights,
    write_without_weights,
)
from onnxlens.reference_model.weights.state import filled
from onnxlens.specs.codec import to_text
from onnxlens.specs.extract import ExtractedTensor, ExtractReport
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.manifest import (
    ExportedGraph,
    Manifest,
    ModuleCut,
    data_path_of,
    manifest_path_of,
    values_path_of,
)
from onnxlens.specs.progress import Progress


@dataclass(frozen=True, slots=True)
class Extraction:
    """What is to be cut out, and what it gets.

    Attributes:
        module: its path.
        call: which of its calls, from 1; None for the first, or for all where they cannot be told apart.
        with_weights: whether the file gets its weights.
        source: where the weights are taken from; None for the files that the graph's own points at.
        with_data: whether PyTorch's inputs and outputs of the module are written too.
    """

    module: str
    call: int | None = None
    with_weights: bool = True
    source: WeightSource | None = None
    with_data: bool = False


def extract(graph: Graph, asked: Extraction, path: Path, progress: Progress) -> ExtractReport:
    """Write the module to ``path``, a manifest beside it where the graph has one, and its data if asked for.

    Raises:
        UsageError: the graph has no such module or call.
        GraphError: it cannot be cut out, or PyTorch's call of it cannot be set beside it and its data is
            asked for.
        CheckpointError: a weight cannot be read.
    """
    module = graph.hierarchy.require(asked.module, containers=True)
    progress("running PyTorch without values", 0, 0)
    side = pytorch_side(graph, module)
    chosen = chosen_call(graph, module, asked.call, side)
    progress("cutting", 0, 0)
    cut = extract_subgraph(graph, module, chosen.nodes)
    matched = beside(graph, cut, chosen.number, side)
    call = side.calls[chosen.number - 1] if module and chosen.number else None
    cut = reordered(cut, matched.handed, matched.returned)
    size = weight_bytes(cut.model, graph.weights.keys())
    weights = _label(graph, asked)
    progress("writing", 0, 0)
    if graph.manifest is not None:
        manifest = _manifest(graph.manifest, cut, matched, call, weights)
        manifest_path_of(path).write_text(to_text(manifest), encoding="utf-8")
    _write_model(graph, cut, asked, weights, path)  # last, for the model is used up by it
    if asked.with_data:
        progress("running PyTorch", 0, 0)
        _write_data(graph, asked.source, matched, path)
    doubt = f"no PyTorch side: {matched.doubt}; check it with --against unoptimised" if matched.doubt else ""
    return ExtractReport(
        graph=graph.name,
        module=module,
        class_name=graph.hierarchy.class_name(module),
        call=chosen.number,
        calls=len(side.calls) or None,
        nodes=cut.nodes,
        weight_bytes=size,
        weights=weights,
        inputs=tuple(ExtractedTensor(tensor, _role(call, matched, tensor.name)) for tensor in cut.inputs),
        outputs=tuple(ExtractedTensor(tensor, _role(call, matched, tensor.name)) for tensor in cut.outputs),
        notes=tuple(filter(None, (chosen.note, *cut.notes, doubt))),
        files=tuple(sorted(path.parent.iterdir(), key=lambda file: (file != path, file.name))),
    )


def _role(call: ModuleCall | None, matched: ModuleCut, name: str) -> str:
    """What PyTorch calls a tensor."""
    if call is None:
        return ""
    if name in matched.handed:
        return call.parameters()[matched.handed[name]]
    if name in matched.returned:
        count = len(call.outputs)
        return f"returned[{matched.returned[name]}]" if count > 1 else "returned"
    return ""


def _label(graph: Graph, asked: Extraction) -> str:
    """How the weights are named that the file gets; ``none`` where it gets none."""
    if not asked.with_weights:
        return "none"
    if asked.source is not None:
        return asked.source.label
    return graph.manifest.weights if graph.manifest else ""


def _write_model(graph: Graph, cut: Subgraph, asked: Extraction, weights: str, path: Path) -> None:
    if weights == "none":
        write_without_weights(cut.model, path, data_path_of(path), graph.weights.keys())
    else:
        read = from_folder(graph.path.parent) if asked.source is None else from_source(asked.source)
        write_with_weights(cut.model, path, data_path_of(path), read)


def _manifest(
    whole: Manifest, cut: Subgraph, matched: ModuleCut, call: ModuleCall | None, weights: str
) -> Manifest:
    """The whole graph's manifest, less what is not in the cut-out; paths and tensors keep their names."""
    has_weights = weights != "none"
    if not cut.path and not matched.doubt:
        return replace(whole, weights=weights, has_weights=has_weights)
    inside = f"{cut.path}." if cut.path else ""
    held = {tensor.name for tensor in cut.model.graph.initializer}
    modules = {
        path: name for path, name in whole.modules.items() if path == cut.path or path.startswith(inside)
    }
    handed = call.inputs if call else []
    inputs = (
        spec_of(tensor.name, handed[matched.handed[tensor.name]]) if tensor.name in matched.handed else tensor
        for tensor in cut.inputs
    )
    return replace(
        whole,
        graph=cut.model.graph.name,
        weights=weights,
        has_weights=has_weights,
        inputs=tuple(inputs),
        outputs=cut.outputs,
        input_ranges={
            tensor.name: whole.input_ranges[tensor.name]
            for tensor in cut.inputs
            if tensor.name in whole.input_ranges
        },
        modules={"": "", **modules},
        tensors=tuple(
            tensor for tensor in whole.tensors if tensor.name.startswith(inside) or tensor.name in held
        ),
        cut=matched,
    )


def _write_data(graph: Graph, source: WeightSource | None, matched: ModuleCut, path: Path) -> None:
    """Write what PyTorch hands the module, and what it returns, in one run of the whole network.

    Raises:
        GraphError: PyTorch's call cannot be set beside the file.
        UsageError: the tensors are of a type that numpy has not.
        CheckpointError: the network's weights are not there.
    """
    manifest = graph.manifest
    if manifest is None or matched.doubt:
        why = matched.doubt or f"no manifest lies beside {graph.path.name}"
        raise GraphError(f"{graph.name}: {matched.module} has no PyTorch side to give its data: {why}")
    if manifest.dtype == "bfloat16":
        raise UsageError(f"{graph.name}: is in bfloat16, which .npz files have not; leave its data out")
    if source is None:
        network = rebuilt(ExportedGraph(graph.path, manifest), MappedWeights)
    else:
        spec = resolve_again(manifest.origin, manifest.settings, manifest.dtype)
        network = filled(spec.build(device="meta"), source)
    call = matched.call - 1
    handed = {Port(matched.module, call, "in", place): name for name, place in matched.handed.items()}
    returned = {Port(matched.module, call, "out", place): name for name, place in matched.returned.items()}
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    values = capture(network, inputs, {**handed, **returned})
    for places, kind in ((handed, "inputs"), (returned, "expected")):
        save_inputs({name: values[name] for name in places.values()}, values_path_of(path, kind))
