"""Extract one module of a graph as a file of its own, with its weights and PyTorch's way of calling it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from onnxlens.api.extract_calls import chosen_call, match_call, pytorch_calls
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import MANIFEST_LAST, staged
from onnxlens.api.target import Settings, Target, is_file
from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.parity.module_calls import ModuleCall, Port, capture, spec_of
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
    read_manifest,
    values_path_of,
)
from onnxlens.specs.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be extracted, and what it gets.

    Attributes:
        call: which of the module's calls, from 1; None for the first, or for all where they cannot be
            distinguished.
        with_weights: whether the file gets its weights.
        with_data: whether PyTorch's inputs and outputs of the module are written too.
    """

    module: str
    call: int | None
    with_weights: bool
    with_data: bool


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
        target: whose module; of a graph of the catalog or a factory the module's weights alone are made.
        module: its path, as the ledger lists it; "" is the whole graph.
        out: the ``.onnx`` file; weights that do not fit into it come beside it (``.onnx.data``), a manifest
            (``.json``) where the graph has one.
        settings: how it is exported, unless it is a file; weights of ``none`` leave them out of a file too.
        call: of a module that runs several times, which time, from 1; None for the first.
        data: also write the inputs and outputs of PyTorch's call: ``.inputs.npz``, ``.expected.npz``.
        progress: shows the steps.

    Raises:
        UsageError: the target, module, call, a setting or ``out`` cannot be used.
        GraphError: the file is not an ONNX graph, the module cannot be extracted, or PyTorch's call of it is
            not to be found and its data is asked for.
        CheckpointError: the weights cannot be read.
    """
    path, weightless = Path(out), False
    if isinstance(target, OpenedTarget):
        weightless = target.settings.weights == "none"
    elif settings is not None and settings.weights == "none":
        weightless = True
        settings = replace(settings, weights=None) if is_file(target) else settings
    _require_out(path, target.target if isinstance(target, OpenedTarget) else target)
    if weightless and data:
        raise UsageError(f"{target}: its data needs its weights; leave --weights none out")
    with staged(path.parent, MANIFEST_LAST) as stage, opened(target, settings, progress) as it:
        report = _extract(it, _Request(module, call, not weightless, data), stage / path.name)
        _remove_stale(path, {file.name for file in report.files})
    return replace(report, files=tuple(path.parent / file.name for file in report.files))


def _require_out(path: Path, target: Target) -> None:
    """Refuse a path that is not an ``.onnx`` file, or that would overwrite the source or its weights.

    Raises:
        UsageError: it is one of these.
    """
    if path.suffix != ".onnx" or path.is_dir():
        raise UsageError(f"{path}: is not an .onnx file; give --out a name such as block.onnx")
    if is_file(target) and path.resolve() == Path(target).resolve():
        raise UsageError(f"{path}: is the file to extract from; choose another --out")
    data = data_path_of(path)
    if is_file(target) and data.is_file() and _holds_weights_of(data, Path(target)):
        raise UsageError(f"{path}: {data.name} beside it holds weights of {target}; choose another --out")


def _holds_weights_of(data: Path, path: Path) -> bool:
    return data.resolve() in ((path.parent / name).resolve() for name in data_files(read_model(path)))


def _remove_stale(path: Path, written: Collection[str]) -> None:
    """Remove files that an earlier extraction of the same name left: they do not belong to this one."""
    data, manifest = data_path_of(path), manifest_path_of(path)
    values = (values_path_of(path, "inputs"), values_path_of(path, "expected"))
    ours = (manifest, *values) if read_manifest(path) is not None else ()
    for stale in (data, *ours):
        if stale.name not in written:
            stale.unlink(missing_ok=True)


def _extract(it: OpenedTarget, asked: _Request, path: Path) -> ExtractReport:
    """Write the module to ``path``, with a manifest where the graph has one, and its data if asked for."""
    graph, progress = it.graph, it.progress
    module = graph.hierarchy.require(asked.module, containers=True)
    source = it.weights if asked.with_weights and not it.is_file else None
    progress("running PyTorch without values", 0, 0)
    calls = pytorch_calls(it, module)
    chosen = chosen_call(graph, module, asked.call, calls)
    progress("extracting", 0, 0)
    subgraph = extract_subgraph(graph, module, chosen.nodes)
    matched = match_call(graph, subgraph, chosen.number, calls)
    call = calls.calls[chosen.number - 1] if module and chosen.number else None
    subgraph = reordered(subgraph, matched.handed, matched.returned)
    size = weight_bytes(subgraph.model, graph.weights.keys())
    weights = _label(graph, asked, source)
    progress("writing", 0, 0)
    if graph.manifest is not None:
        manifest = _manifest(graph.manifest, subgraph, matched, call, weights)
        manifest_path_of(path).write_text(to_text(manifest), encoding="utf-8")
    _write_model(graph, subgraph, source, weights, path)  # last, for the model is used up by it
    if asked.with_data:
        progress("running PyTorch", 0, 0)
        _write_data(it, matched, path)
    reason = f"no PyTorch side: {matched.doubt}; check it with --against unoptimised" if matched.doubt else ""
    return ExtractReport(
        graph=graph.name,
        module=module,
        class_name=graph.hierarchy.class_name(module),
        call=chosen.number,
        calls=len(calls.calls) or None,
        nodes=subgraph.nodes,
        weight_bytes=size,
        weights=weights,
        inputs=tuple(
            ExtractedTensor(tensor, _role(call, matched, tensor.name)) for tensor in subgraph.inputs
        ),
        outputs=tuple(
            ExtractedTensor(tensor, _role(call, matched, tensor.name)) for tensor in subgraph.outputs
        ),
        notes=tuple(filter(None, (chosen.note, *subgraph.notes, reason))),
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


def _label(graph: Graph, asked: _Request, source: WeightSource | None) -> str:
    """How the weights are named that the file gets; ``none`` where it gets none."""
    if not asked.with_weights:
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
    """The whole graph's manifest, reduced to what the subgraph holds; paths and tensors keep their names."""
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
    """Write the inputs and outputs of PyTorch's call of the module, from one run of the whole network.

    Raises:
        GraphError: PyTorch's call of the module is not known.
        UsageError: the tensors are of a type that numpy has not.
        CheckpointError: the network's weights are not there.
    """
    graph, manifest = it.graph, it.graph.manifest
    if manifest is None or matched.doubt:
        why = matched.doubt or f"{graph.path.name} has no manifest"
        raise GraphError(f"{graph.name}: {matched.module} has no PyTorch side to give its data: {why}")
    if manifest.dtype == "bfloat16":
        raise UsageError(f"{graph.name}: is in bfloat16, which .npz files have not; leave its data out")
    network = it.take_module(None if it.is_file else it.weights)
    call = matched.call - 1
    read = {Port(matched.module, call, "in", index): name for name, index in matched.handed.items()}
    made = {Port(matched.module, call, "out", index): name for name, index in matched.returned.items()}
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    values = capture(network, inputs, {**read, **made})
    for ports, kind in ((read, "inputs"), (made, "expected")):
        save_inputs({name: values[name] for name in ports.values()}, values_path_of(path, kind))
