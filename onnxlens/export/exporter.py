"""One export, start to end: trace, simplify, place the weights, check, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from onnxlens.errors import ExportError
from onnxlens.export import checking, external_data, passes
from onnxlens.export.manifest import manifest_of
from onnxlens.export.tracing import DEFAULT_OPSET, trace
from onnxlens.specs.codec import to_text
from onnxlens.specs.graph import GraphSpec, WeightSource
from onnxlens.specs.manifest import ExportedGraph, data_path_of
from onnxlens.specs.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export.

    Attributes:
        origin: where the spec came from, so that the manifest can say how to build the module again: the
            catalog's name of the graph, or ``package.module:factory``.
        settings: batch, height and width for a graph of the catalog.
        dtype: of floating weights, inputs and outputs; None is the module's own.
    """

    spec: GraphSpec
    source: WeightSource
    origin: str
    settings: Mapping[str, int] = field(default_factory=dict)
    opset: int = DEFAULT_OPSET
    dtype: str | None = None


def export(request: ExportRequest, directory: Path, progress: Progress = silent) -> ExportedGraph:
    """Write ``NAME.onnx``, ``.onnx.data`` (if the source has values) and ``.json`` into ``directory``.

    Files there are overwritten as they come: a caller that must not leave half a result gives a fresh
    directory.

    Raises:
        ExportError: the module cannot be exported, or ONNX's checker refuses the result.
        CheckpointError: the source cannot give a value.
    """
    spec, source = request.spec.in_dtype(request.dtype), request.source
    progress("tracing", 0, 0)
    model = trace(spec, request.opset)
    progress("simplifying", 0, 0)
    passes.simplify(model)
    passes.keep_module_metadata(model)
    _name_producer(model)
    onnx_path = directory / f"{spec.name}.onnx"
    external_data.point_at_file(model, source.tensors, data_path_of(onnx_path).name)
    progress("checking", 0, 0)
    checking.check_graph(model)
    if source.has_values:
        external_data.write(model, source, data_path_of(onnx_path), progress)
    _write_graph(model, onnx_path)
    if source.has_values:
        checking.check_file(onnx_path)
    manifest = manifest_of(
        spec,
        spec.build(device="meta"),
        source,
        request.opset,
        request.origin,
        request.settings,
        request.dtype,
    )
    exported = ExportedGraph(onnx_path, manifest)
    exported.manifest_path.write_text(to_text(manifest), encoding="utf-8")
    return exported


def _name_producer(model: ir.Model) -> None:
    from importlib.metadata import version

    model.producer_name = "onnxlens"
    model.producer_version = version("onnxlens")


def _write_graph(model: ir.Model, path: Path) -> None:
    """The graph alone; its external tensors are written as references."""
    data = ir.to_proto(model).SerializeToString()
    if len(data) > 2**31 - 1:
        raise ExportError(
            f"{path.name}: the graph without its weights takes {len(data)} bytes, over ONNX's 2 GiB"
        )
    path.write_bytes(data)
