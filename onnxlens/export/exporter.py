"""One export, start to end: trace, simplify, lay out the weights, check, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from onnxlens.errors import ExportError
from onnxlens.export import external_data, passes
from onnxlens.export.tracing import DEFAULT_OPSET, fake_module, require_opset, trace
from onnxlens.specs.codec import to_text
from onnxlens.specs.graph import GraphSpec, WeightChoice, WeightSource
from onnxlens.specs.manifest import ExportedGraph, Manifest, StateTensor, data_path_of
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from torch import nn

WRITERS = ("onnxlens", "torch", "onnxscript", "onnx-ir", "onnx")
"""The packages whose versions decide what an exported file looks like."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export.

    Attributes:
        weights: chooses the source of the weights, for the module that is traced; it is called once, before
            anything is traced.
        origin: where the spec came from, so that the manifest can say how to build the module again: the
            catalog's name of the graph, or ``package.module:factory``.
        settings: batch, height and width for a graph of the catalog.
        dtype: of floating weights, inputs and outputs; None is the module's own.
    """

    spec: GraphSpec
    weights: WeightChoice
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
    require_opset(request.opset)
    spec = request.spec.in_dtype(request.dtype)
    progress("tracing", 0, 0)
    fake = fake_module(spec)
    source = request.weights(fake.module)
    model = trace(spec, fake, request.opset)
    progress("simplifying", 0, 0)
    passes.simplify(model)
    passes.keep_module_metadata(model)
    model.producer_name, model.producer_version = "onnxlens", version("onnxlens")
    onnx_path = directory / f"{spec.name}.onnx"
    external_data.point_at_file(model, source.tensors, data_path_of(onnx_path).name)
    progress("checking", 0, 0)
    passes.check_graph(model)
    if source.has_values:
        external_data.write(model, source, data_path_of(onnx_path), progress)
    _write_graph(model, onnx_path)
    if source.has_values:
        passes.check_file(onnx_path)
    exported = ExportedGraph(onnx_path, _manifest(request, fake.module, source))
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


def _manifest(request: ExportRequest, module: nn.Module, source: WeightSource) -> Manifest:
    """What the module itself says of its modules, parameters and buffers, and how it was exported."""
    spec = request.spec.in_dtype(request.dtype)
    parameters = {name for name, _ in module.named_parameters()}
    tensors = (
        StateTensor(
            name,
            tensor.dtype,
            tuple(dim for dim in tensor.shape if isinstance(dim, int)),
            "parameter" if name in parameters else "buffer",
        )
        for name, tensor in source.tensors.items()
    )
    return Manifest(
        graph=spec.name,
        origin=request.origin,
        family=spec.family,
        opset=request.opset,
        settings=dict(request.settings),
        weights=source.label,
        has_weights=source.has_values,
        inputs=spec.inputs,
        outputs=spec.outputs,
        input_ranges=dict(spec.input_ranges),
        modules={path: type(child).__name__ for path, child in module.named_modules()},
        tensors=tuple(tensors),
        versions={package: version(package) for package in WRITERS},
        dtype=request.dtype,
    )
