"""Count MACs, params and bytes of a graph; nothing is run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import Settings, Target
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.flow import FlowGraph
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.peers import Convention


def profile_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    progress: Progress = silent,
    convention: Convention = "matrix",
) -> Ledger:
    """Count MACs, params and bytes of every node, module and operator type; no weight is read.

    Args:
        target: what to count.
        settings: how it is exported, unless it is a file.
        progress: shows the steps.
        convention: ``matrix`` is ours; with ``onnx-tool``, ``fvcore`` or ``thop``, every row also has in
            ``peer`` what that package counts.

    Raises:
        UsageError: the target or a setting cannot be used, or the convention is fvcore's or thop's and the
            file does not name its PyTorch modules.
        GraphError: the file is not an ONNX graph.
    """
    with opened(target, settings, progress) as it:
        return it.ledger if convention == "matrix" else it.ledger_in(convention)


def profile_with_flow(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    progress: Progress = silent,
    convention: Convention = "matrix",
) -> tuple[Ledger, FlowGraph]:
    """As ``profile_graph``, with the data flow between the innermost modules."""
    from onnxlens.profile.flow.collapse import collapsed
    from onnxlens.profile.flow.deepest import build_flow
    from onnxlens.profile.flow.parallelism import parallelism_of

    with opened(target, settings, progress) as it:
        ledger = profile_graph(it, convention=convention)
        deepest = build_flow(it.graph, ledger)
        flow = collapsed(deepest, deepest.flow.depth)
        return ledger, replace(flow, parallelism=parallelism_of(deepest))
