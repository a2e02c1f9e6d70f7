"""Compare ONNX Runtime with PyTorch module by module: the error each inherits, and the error it adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from onnxlens.api.check import tolerance_of
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.providers import opened_model, require_provider
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.parity.matching import match_modules
from onnxlens.profile.parity.module_calls import capture, layers_of, observe
from onnxlens.profile.parity.parity import Deviations, keep_worst
from onnxlens.profile.parity.rows import ModuleRows
from onnxlens.profile.parity.slices import REFERENCE, Slice, Slicer, chunks, write_reproduction
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.subgraph.extractor import value_specs
from onnxlens.specs.parity import LayerRequest, ModuleParity, ModuleParityReport
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.tensor import HALVES


def check_layers(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    request: LayerRequest | None = None,
    progress: Progress = silent,
) -> ModuleParityReport:
    """Run a graph in ONNX Runtime and in PyTorch; compare the inputs and outputs of every module.

    Args:
        target: what to compare; a file needs a manifest of ours.
        settings: how it is exported, unless it is a file.
        request: provider, tolerance, memory, samples, and what to do at the first diverging module.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used, the memory is too little, or the export is in a
            half type.
        GraphError: the file cannot be read, has no PyTorch side, or names no modules.
        CheckpointError: its weights are missing.
        ParityError: two runs of PyTorch differ, or the first diverging module cannot be written.
    """
    chosen = request or LayerRequest()
    with opened(target, settings, progress) as it:
        it.require_weights()
        _require_float32(it.target, it.settings.dtype)
        require_provider(chosen.provider)
        if chosen.reproduce is None:
            return _compare_modules(it, chosen)
        with staged(chosen.reproduce) as stage:
            return _compare_modules(it, replace(chosen, reproduce=stage))


def _require_float32(target: Target, dtype: str | None) -> None:
    if dtype in HALVES:
        raise UsageError(
            f"{target}: layers are compared in float32 alone, this export is in {dtype}; "
            "check it as a whole, without --layers"
        )


def _compare_modules(it: OpenedTarget, request: LayerRequest) -> ModuleParityReport:
    graph, path, manifest = it.graph, it.path, it.runnable.manifest
    _require_float32(path, manifest.half_type)
    if graph.attribution == "none":
        raise GraphError(
            f"{path}: names no modules, so there are no layers to compare; check without --layers"
        )
    comparison = _Comparison(it, request)
    layers = comparison.layers()
    report = ModuleParityReport(
        graph=graph.name,
        source=path.name,
        opset=graph.opset,
        weights=manifest.weights,
        provider=request.provider,
        tolerance=comparison.tolerance,
        samples=request.samples,
        stopped=request.stop and any(map(_is_over, layers)),
        layers=layers,
    )
    if request.reproduce is not None and report.first_diverging is not None:
        comparison.reproduce(report.first_diverging, request.reproduce)
    return report


class _Comparison:
    """The modules of one graph, matched between the file and PyTorch and ready to run in both."""

    def __init__(self, it: OpenedTarget, request: LayerRequest) -> None:
        graph, manifest = it.graph, it.runnable.manifest
        self._graph = graph
        self._request = request
        self._progress = it.progress
        self.tolerance = tolerance_of(it, request.tolerance, request.provider)
        others = range(1, request.samples)
        drawn = (sample_inputs(graph.inputs, manifest.input_ranges, draw) for draw in others)
        self._samples = [it.inputs, *drawn]
        self._module = it.take_module()
        self._progress("observing PyTorch", 0, 0)
        observed = observe(self._module, self._samples[0], graph.hierarchy.paths)
        self._types = value_specs(graph)
        self._matching = match_modules(graph, observed, layers_of(self._module))
        self._slicer = Slicer(read_model(graph.path), self._types)
        self._rows = ModuleRows(graph, self._slicer, self._matching, self._types, self.tolerance)
        values = sorted(self._matching.ports, key=self._rows.order)
        self._slices = [self._slicer.slice(value, self._matching.ports) for value in values]

    def layers(self) -> tuple[ModuleParity, ...]:
        """Compare chunk by chunk; with ``stop``, up to the first module that is over the tolerance."""
        found = Deviations()
        done: list[Slice] = []
        rows: tuple[ModuleParity, ...] = ()
        for chunk in chunks(self._slices, self._types, self._request.memory_bytes):
            self._progress("comparing layers", len(done), len(self._slices))
            self._compare(chunk, found)
            done += chunk
            rows = self._rows.rows(done, found)
            if self._request.stop and any(map(_is_over, rows)):
                first = next(index for index, row in enumerate(rows) if _is_over(row))
                return rows[: first + 1]
        return rows

    def _compare(self, chunk: Sequence[Slice], found: Deviations) -> None:
        """Run each of the chunk's slices on PyTorch's tensors, in one session; then the graph as a whole."""
        known = self._matching.ports
        alone = self._slicer.model_of(chunk, known)
        whole = self._slicer.model_up_to([part.value for part in chunk])
        provider, path = self._request.provider, self._graph.path
        kept = self._captured(chunk, self._samples[0]) if len(self._samples) == 1 else None
        for model, into in ((alone, found.local), (whole, found.output)):
            with opened_model(path, provider, model) as run:
                for inputs in self._samples:
                    captured = self._captured(chunk, inputs) if kept is None else kept
                    references = {REFERENCE + name: value for name, value in captured.items()}
                    keep_worst(into, run({**inputs, **references}), captured)
            del run  # only one session at a time holds the weights

    def _captured(self, chunk: Sequence[Slice], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors of PyTorch that the chunk reads or is compared with."""
        names = {part.value for part in chunk} | {name for part in chunk for name in part.inputs}
        ports = {self._matching.ports[name]: name for name in names if name in self._matching.ports}
        return capture(self._module, inputs, ports)

    def reproduce(self, layer: ModuleParity, folder: Path) -> None:
        """Write the module alone, with PyTorch's inputs of the first sample."""
        parts = [part for part in self._slices if part.value in layer.tensors]
        values = {**self._samples[0], **self._captured(parts, self._samples[0])}
        model = self._slicer.model_of(parts, self._matching.ports, prefix="")
        write_reproduction(layer, model, values, self._graph.path.parent, folder)


def _is_over(layer: ModuleParity) -> bool:
    return layer.verdict in ("introduces", "carries")
