"""Export a graph to ONNX, with its weights and its manifest."""

from __future__ import annotations

from pathlib import Path

from onnxlens.api.opened import OpenedTarget
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, is_file
from onnxlens.errors import UsageError
from onnxlens.specs.manifest import ExportedGraph
from onnxlens.specs.progress import Progress, silent


def export_graph(
    target: str, out: Path | str, settings: Settings | None = None, progress: Progress = silent
) -> ExportedGraph:
    """Export a graph of the catalog or a factory into ``out``: ``NAME.onnx``, ``.onnx.data``, ``.json``.

    The weights are seeded by default.

    Raises:
        UsageError: the target, a size or ``out`` cannot be used.
        CheckpointError: the checkpoint does not match the network.
        ExportError: the module cannot be exported.
    """
    chosen = settings or Settings()
    if is_file(target):
        raise UsageError(
            f"{target}: is an ONNX file already; give a graph of the catalog or a factory, or say how the "
            "file is to be: --single-file, --producer-name, --dialect"
        )
    with (
        staged(Path(out)) as stage,
        OpenedTarget(target, chosen, progress, folder=stage) as opened,
    ):
        exported = opened.runnable
    return ExportedGraph(Path(out) / exported.onnx_path.name, exported.manifest)
