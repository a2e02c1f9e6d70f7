"""Tasks that make files of graphs, and how every other task gets at one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target, is_file, resolve
from onnxlens.errors import UsageError
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.profile.graph.graph import Graph
    from onnxlens.specs.graph import GraphSpec
    from onnxlens.specs.manifest import ExportedGraph

MANIFEST_LAST = (".onnx", ".json")
"""Weights are renamed into place first, then the graph that points at them, then its manifest."""


def list_graphs(settings: Settings | None = None) -> tuple[GraphSpec, ...]:
    """Every graph of the catalog, at the settings' size."""
    from onnxlens.reference_model import catalog

    return tuple(resolve(name, settings or Settings()).spec for name in catalog.names())


def export_graph(
    target: str, out: Path | str, settings: Settings | None = None, progress: Progress = silent
) -> ExportedGraph:
    """Export a graph of the catalog or a factory into ``out``: ``NAME.onnx``, ``.onnx.data``, ``.json``.

    The weights are seeded unless the settings say otherwise.

    Raises:
        UsageError: the target, a size or ``out`` cannot be used.
        CheckpointError: the checkpoint is not the network's.
        ExportError: the module cannot be exported.
    """
    from onnxlens.export.exporter import ExportRequest, export
    from onnxlens.export.tracing import DEFAULT_OPSET
    from onnxlens.reference_model.weights.choice import weight_source
    from onnxlens.specs.manifest import ExportedGraph

    chosen = settings or Settings()
    found = resolve(target, chosen)
    weights = partial(weight_source, found.spec, chosen.weights or "seeded")
    opset = DEFAULT_OPSET if chosen.opset is None else chosen.opset
    request = ExportRequest(found.spec, weights, found.origin, found.sizes, opset, chosen.dtype)
    with staged(Path(out), MANIFEST_LAST) as stage:
        exported = export(request, stage, progress)
    return ExportedGraph(Path(out) / exported.onnx_path.name, exported.manifest)


def require_weights(target: Target, settings: Settings) -> None:
    """Refuse to run what is to be exported without weights.

    Raises:
        UsageError: that is what the settings say.
    """
    if settings.weights == "none" and not is_file(target):
        raise UsageError(f"{target}: cannot run without weights; choose seeded ones or a checkpoint")


@contextmanager
def loaded(
    target: Target, settings: Settings | None, progress: Progress, weights: str = "none"
) -> Iterator[Graph]:
    """The target as a loaded graph, with ``weights`` where it has to be exported first and none are set."""
    from onnxlens.profile.graph.loading import load_graph

    chosen = settings or Settings()
    with as_file(target, settings, weights, progress) as path:
        yield load_graph(path, chosen.shapes, chosen.dims, chosen.values)


@contextmanager
def as_file(target: Target, settings: Settings | None, weights: str, progress: Progress) -> Iterator[Path]:
    """The path of the target's ``.onnx`` file: its own, or a temporary export's."""
    if is_file(target):
        (settings or Settings()).require_for_file(target)
        yield Path(target)
        return
    chosen = settings or Settings()
    with tempfile.TemporaryDirectory(prefix="onnxlens-") as folder:
        exported = export_graph(
            str(target), folder, replace(chosen, weights=chosen.weights or weights), progress
        )
        yield exported.onnx_path
