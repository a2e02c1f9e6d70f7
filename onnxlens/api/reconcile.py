"""Compare our MACs with the counts of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import Settings, Target
from onnxlens.profile.count.conventions.peers import build_reconciliation
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.peers import Reconciliation


def reconcile_graph(
    target: Target | OpenedTarget, settings: Settings | None = None, progress: Progress = silent
) -> Reconciliation:
    """Compare our MACs with what onnx-tool, fvcore and thop count, by operator type, and say why they differ.

    fvcore and thop count PyTorch modules: a file that does not say which ran has onnx-tool's count alone.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is not an ONNX graph.
    """
    with opened(target, settings, progress) as it:
        graph = it.graph
        it.progress("counting", 0, 0)
        return build_reconciliation(graph)
