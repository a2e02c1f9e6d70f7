"""One export, start to end: trace, simplify, lay out the weights, check, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from onnxlens.errors import ExportError
from onnxlens.export import external_data, passes
from onnxlens.export.lowering import lower
from onnxlens.export.tracing import DEFAULT_OPSET, trace
from onnxlens.specs.codec import to_text
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.manifest import ExportedGraph, Manifest, StateTensor, data_path_of
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.export.network import Network

WRITERS = ("onnxlens", "torch", "onnxscript", "onnx-ir", "onnx")
"""The packages whose versions decide what an exported file looks like."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export.

    Attributes:
        network: of the graph, in the element type that is asked for.
        origin: where the spec came from, so that the manifest can say how to build the module again: the
            catalog's name of the graph, or ``package.module:factory``.
        settings: batch, height and width for a graph of the catalog.
        dtype: that floating weights, inputs and outputs were cast to; None is the module's own.
        origin_proof: that the user has named the factory, for the manifest.
        whole_normalizations: whether long group normalizations stay whole, as those of other sizes would be.
    """

    network: Network
    origin: str
    settings: Mapping[str, int] = field(default_factory=dict)
    opset: int = DEFAULT_OPSET
    dtype: str | None = None
    origin_proof: str | None = None
    whole_normalizations: bool = False


def export(request: ExportRequest, directory: Path, progress: Progress = silent) -> ExportedGraph:
    """Write the graph without its weights: ``NAME.onnx`` and the manifest ``NAME.json`` into ``directory``.

    Files there are overwritten as they come: a caller that must not leave half a result gives a fresh
    directory.

    Raises:
        ExportError: the module cannot be exported, or ONNX's checker refuses the result.
    """
    progress("tracing", 0, 0)
    model = trace(request.network, request.opset)
    spec, state = request.network.spec, request.network.state
    passes.name_weights(model, state.aliases)
    progress("simplifying", 0, 0)
    passes.simplify(model, split=not request.whole_normalizations)
    passes.keep_module_metadata(model)
    model.producer_name, model.producer_version = "onnxlens", version("onnxlens")
    onnx_path = directory / f"{spec.name}.onnx"
    external_data.point_at_file(model, state.tensors, data_path_of(onnx_path).name)
    if request.opset < model.opset_imports[""]:
        model = lower(model, request.opset)
    progress("checking", 0, 0)
    passes.check_graph(model)
    _write_graph(model, onnx_path)
    return _with_manifest(onnx_path, _manifest(request))


def add_weights(exported: ExportedGraph, source: WeightSource, progress: Progress = silent) -> ExportedGraph:
    """Write the weights that an exported graph points at, ``NAME.onnx.data``, and say so in its manifest.

    Raises:
        CheckpointError: the source cannot give a value.
        ExportError: ONNX's checker refuses the file.
    """
    digest = external_data.write(ir.load(exported.onnx_path), source, exported.data_path, progress)
    passes.check_file(exported.onnx_path)
    manifest = replace(exported.manifest, weights=source.label, has_weights=True, data_digest=digest)
    return _with_manifest(exported.onnx_path, manifest)


def _with_manifest(onnx_path: Path, manifest: Manifest) -> ExportedGraph:
    exported = ExportedGraph(onnx_path, manifest)
    exported.manifest_path.write_text(to_text(exported.manifest), encoding="utf-8")
    return exported


def _write_graph(model: ir.Model, path: Path) -> None:
    """The graph alone; its external tensors are written as references."""
    data = ir.to_proto(model).SerializeToString()
    if len(data) > 2**31 - 1:
        raise ExportError(
            f"{path.name}: the graph without its weights takes {len(data)} bytes, over ONNX's 2 GiB"
        )
    path.write_bytes(data)


def _manifest(request: ExportRequest) -> Manifest:
    """What the module itself says of its modules, parameters and buffers, and how it was exported."""
    spec, module = request.network.spec, request.network.module
    parameters = {name for name, _ in module.named_parameters()}
    tensors = (
        StateTensor(
            name,
            tensor.dtype,
            tuple(dim for dim in tensor.shape if isinstance(dim, int)),
            "parameter" if name in parameters else "buffer",
        )
        for name, tensor in request.network.state.tensors.items()
    )
    return Manifest(
        graph=spec.name,
        origin=request.origin,
        origin_proof=request.origin_proof,
        family=spec.family,
        opset=request.opset,
        settings=dict(request.settings),
        weights="none",
        has_weights=False,
        inputs=spec.inputs,
        outputs=spec.outputs,
        input_ranges={name: (float(low), float(high)) for name, (low, high) in spec.input_ranges.items()},
        modules={path: type(child).__name__ for path, child in module.named_modules()},
        tensors=tuple(tensors),
        versions={package: version(package) for package in WRITERS},
        dtype=request.dtype,
    )
