"""Extract one module of a graph as a file of its own, with its weights and a manifest of its PyTorch call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from onnxlens.api.extract_calls import chosen_call, match_call, pytorch_calls
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target, file_of, is_file
from onnxlens.errors import GraphError, UsageError
from onnxlens.export.exported import data_digest
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.parity.module_calls import ModuleCall, Port, capture
from onnxlens.profile.runtime.inputs import sample_inputs, save_inputs
from onnxlens.profile.subgraph.extraction import Subgraph, extract_subgraph, reordered
from onnxlens.profile.subgraph.weight_files import (
    data_files,
    from_folder,
    from_source,
    weight_bytes,
    write_with_weights,
    write_without_weights,
)
from onnxlens.specs.codec import to_text
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.manifest import (
    ExtractedTensor,
    ExtractReport,
    Manifest,
    ModuleCut,
    data_path_of,
    manifest_path_of,
    values_path_of,
)
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.tensor import spec_of


def extract_module(
    target: Target | OpenedTarget,
    module: str,
    out: Path | str,
    settings: Settings | None = None,
    *,
    call: int | None = None,
    data: bool = False,
    progress: Progress = silent,
) -> ExtractReport:
    """Write one module of a graph as an ONNX file of its own, with its weights.

    Args:
        target: the graph; without a file, only the module's own weights are created.
        module: its path, as the ledger lists it; "" is the whole graph.
        out: the ``.onnx`` file; next to it come weights that do not fit into it (``.onnx.data``), and a
            manifest (``.json``) if the graph has one.
        settings: how it is exported, unless it is a file; weights of ``none`` leave out a file's weights too.
        call: which call of a module that is called several times, from 1; None for the first, or for all if
            they cannot be distinguished.
        data: also write the inputs and outputs of PyTorch's call: ``.inputs.npz``, ``.expected.npz``.
        progress: shows the steps.

    Raises:
        UsageError: the target, module, call, a setting or ``out`` cannot be used.
        GraphError: the file is not an ONNX graph, the module cannot be extracted, or ``data`` is requested
            and PyTorch's call of the module is unknown.
        CheckpointError: the weights cannot be read.
    """
    path = Path(out)
    if isinstance(target, OpenedTarget):
        source, given = target.target, target.settings
    else:
        source, given = file_of(target) if is_file(target) else target, settings or Settings()
    weightless = given.weights == "none"
    _require_out(path, source)
    if weightless and data:
        raise UsageError(f"{source}: its data needs its weights; leave --weights none out")
    if data and given.dtype == "bfloat16":
        raise _has_no_npz(str(source))
    if weightless and settings is not None and is_file(source):
        settings = replace(settings, weights=None)
    with staged(path.parent) as stage, opened(target, settings, progress) as it:
        report = _extract(it, module, call, stage / path.name, weightless=weightless, data=data)
    return replace(report, files=tuple(path.parent / file.name for file in report.files))


def _require_out(path: Path, target: Target) -> None:
    """Reject a path that is not an ``.onnx`` file, or that would overwrite the source or its weights."""
    if path.suffix != ".onnx" or path.is_dir():
        raise UsageError(f"{path}: is not an .onnx file; give --out a name such as block.onnx")
    if is_file(target) and path.resolve() == Path(target).resolve():
        raise UsageError(f"{path}: is the file to extract from; choose another --out")
    data = data_path_of(path)
    if is_file(target) and data.is_file():
        folder = Path(target).parent
        if data.resolve() in {(folder / name).resolve() for name in data_files(read_model(Path(target)))}:
            raise UsageError(f"{path}: {data.name} beside it holds weights of {target}; choose another --out")


def _extract(
    it: OpenedTarget, path: str, call: int | None, out: Path, *, weightless: bool, data: bool
) -> ExtractReport:
    """Write the module at ``path`` to ``out``, with a manifest if the graph has one, and its data."""
    graph, progress = it.graph, it.progress
    module = graph.hierarchy.require(path, containers=True)
    source = None if weightless or it.is_file else it.weights
    weights = _weights_label(graph, source, weightless=weightless)
    progress("running PyTorch without values", 0, 0)
    calls = pytorch_calls(it, module)
    chosen = chosen_call(graph, module, call, calls)
    progress("extracting", 0, 0)
    subgraph = extract_subgraph(graph, module, chosen.nodes)
    matched = match_call(graph, subgraph, chosen.number, calls)
    pytorch_call = calls.calls[chosen.number - 1] if module and chosen.number else None
    subgraph = reordered(subgraph, matched.handed, matched.returned)
    size = weight_bytes(subgraph.model, graph.weights.keys())
    progress("writing", 0, 0)
    manifest = graph.manifest and _manifest(graph.manifest, subgraph, matched, pytorch_call, weights)
    _write_model(graph, subgraph, source, weights, out)  # which empties the model
    if manifest is not None:
        whole = replace(manifest, data_digest=data_digest(out))
        manifest_path_of(out).write_text(to_text(whole), encoding="utf-8")
    if data:
        progress("running PyTorch", 0, 0)
        _write_data(it, matched, out)
    reason = f"no PyTorch side: {matched.doubt}; check it with --against unoptimised" if matched.doubt else ""
    roles = _roles(pytorch_call, matched)
    return ExtractReport(
        graph=graph.name,
        module=module,
        class_name=graph.hierarchy.class_name(module),
        call=chosen.number,
        calls=len(calls.calls) or None,
        nodes=subgraph.nodes,
        weight_bytes=size,
        weights=weights,
        inputs=tuple(ExtractedTensor(tensor, roles.get(tensor.name, "")) for tensor in subgraph.inputs),
        outputs=tuple(ExtractedTensor(tensor, roles.get(tensor.name, "")) for tensor in subgraph.outputs),
        notes=tuple(filter(None, (chosen.note, *subgraph.notes, reason))),
        files=tuple(sorted(out.parent.iterdir(), key=lambda file: (file != out, file.name))),
    )


def _roles(call: ModuleCall | None, matched: ModuleCut) -> Mapping[str, str]:
    """What PyTorch calls the subgraph's inputs and outputs, by their names in the file."""
    if call is None:
        return {}
    parameters, several = call.parameters(), len(call.outputs) > 1
    returned = {
        name: f"returned[{index}]" if several else "returned" for name, index in matched.returned.items()
    }
    return returned | {name: parameters[index] for name, index in matched.handed.items()}


def _weights_label(graph: Graph, source: WeightSource | None, *, weightless: bool) -> str:
    """The manifest's name for the weights that are written."""
    if weightless:
        return "none"
    if source is not None:
        return source.label
    return graph.manifest.weights if graph.manifest else ""


def _write_model(
    graph: Graph, subgraph: Subgraph, source: WeightSource | None, weights: str, path: Path
) -> None:
    if weights == "none":
        write_without_weights(subgraph.model, path, data_path_of(path), graph.weights.keys())
    else:
        read = from_folder(graph.path.parent) if source is None else from_source(source)
        write_with_weights(subgraph.model, path, data_path_of(path), read)


def _manifest(
    whole: Manifest, subgraph: Subgraph, matched: ModuleCut, call: ModuleCall | None, weights: str
) -> Manifest:
    """The whole graph's manifest, reduced to the subgraph; modules and tensors keep their names."""
    has_weights = weights != "none"
    if not subgraph.path and not matched.doubt:
        return replace(whole, weights=weights, has_weights=has_weights)
    inside = f"{subgraph.path}." if subgraph.path else ""
    held = {tensor.name for tensor in subgraph.model.graph.initializer}
    modules = {
        path: name for path, name in whole.modules.items() if path == subgraph.path or path.startswith(inside)
    }
    passed = call.inputs if call else []
    inputs = (
        spec_of(tensor.name, passed[matched.handed[tensor.name]]) if tensor.name in matched.handed else tensor
        for tensor in subgraph.inputs
    )
    return replace(
        whole,
        graph=subgraph.model.graph.name,
        weights=weights,
        has_weights=has_weights,
        inputs=tuple(inputs),
        outputs=subgraph.outputs,
        input_ranges={
            tensor.name: whole.input_ranges[tensor.name]
            for tensor in subgraph.inputs
            if tensor.name in whole.input_ranges
        },
        modules={"": "", **modules},
        tensors=tuple(
            tensor for tensor in whole.tensors if tensor.name.startswith(inside) or tensor.name in held
        ),
        cut=matched,
    )


def _write_data(it: OpenedTarget, matched: ModuleCut, path: Path) -> None:
    """Write the inputs and outputs of PyTorch's call of the module, from one run of the whole network."""
    graph, manifest = it.graph, it.graph.manifest
    if manifest is None or matched.doubt:
        why = matched.doubt or f"{graph.path.name} has no manifest"
        raise GraphError(f"{graph.name}: {matched.module} has no PyTorch side to give its data: {why}")
    if manifest.dtype == "bfloat16":
        raise _has_no_npz(graph.name)
    network = it.take_module(None if it.is_file else it.weights)
    call = matched.call - 1
    read = {Port(matched.module, call, "in", index): name for name, index in matched.handed.items()}
    made = {Port(matched.module, call, "out", index): name for name, index in matched.returned.items()}
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    values = capture(network, inputs, {**read, **made})
    for ports, kind in ((read, "inputs"), (made, "expected")):
        save_inputs({name: values[name] for name in ports.values()}, values_path_of(path, kind))


def _has_no_npz(graph: str) -> UsageError:
    return UsageError(f"{graph}: is in bfloat16, which .npz files have not; leave its data out")
