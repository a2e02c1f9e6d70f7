"""The costs of a target as formulas in its dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import Settings, Target
from onnxlens.errors import GraphError, UsageError
from onnxlens.specs.formula import (
    FormulaReport,
    FormulaRow,
    FormulaRows,
    OpenNode,
    Polynomial,
    total,
)
from onnxlens.specs.ledger import COUNTS
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.profile.count.formula import NodeFormula, NodeFormulas
    from onnxlens.profile.graph.graph import Graph
    from onnxlens.specs.ledger import Ledger


def formulas_of(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    variables: Sequence[str] = (),
    by: FormulaRows = "module",
    progress: Progress = silent,
) -> FormulaReport:
    """The costs of every module, operator type or node as exact polynomials in named dimensions.

    Args:
        target: what to count.
        settings: how it is exported, unless it is a file; ``dims`` fixes dimensions.
        variables: the dimensions that formulas are in; all that are open by default.
        by: what a row is.
        progress: shows the steps.

    Raises:
        UsageError: no dimension has the name, or none is open, or the graph fits too few sizes.
        GraphError: the file is not an ONNX graph.
    """
    from onnxlens.profile.count.formula import node_formulas
    from onnxlens.profile.count.ledger import build_ledger

    with opened(target, settings, progress) as it:
        chosen = it.sizes.variables(variables)
        it.progress("counting at many sizes", 0, 0)
        found = node_formulas(lambda dims: _graph_at(it, dims), chosen)
        ledger = build_ledger(found.graph)
        return FormulaReport(
            graph=ledger.graph,
            source=ledger.source,
            opset=ledger.opset,
            variables=found.variables,
            parts=found.parts,
            rows=tuple({"module": _modules, "op": _operators, "node": _nodes}[by](found, ledger)),
            open_nodes=tuple(
                OpenNode(cost.node, cost.op_type, cost.module_path, node.reason)
                for node, cost in zip(found.nodes, ledger.nodes, strict=True)
                if node.reason
            ),
            fixed=dict(it.settings.dims),
            checked_points=found.points,
            example=found.example,
            limit=it.sizes.limit(found.graph, found.example) or found.limit,
            by=by,
        )


def ledger_at(target: OpenedTarget, dims: Mapping[str, int]) -> Ledger:
    """The counted costs at these sizes of the dimensions that are open.

    Raises:
        UsageError: a dimension is not the graph's, or sizes contradict each other.
    """
    from onnxlens.profile.count.ledger import build_ledger

    return build_ledger(target.graph_at(dims))


def _graph_at(it: OpenedTarget, dims: Mapping[str, int]) -> Graph | None:
    """The graph there; None where it has no such sizes, or parts of it do not fit together then."""
    try:
        return it.graph_at(dims, fitting=True)
    except (UsageError, GraphError):
        return None


def _modules(found: NodeFormulas, ledger: Ledger) -> Sequence[FormulaRow]:
    inside = found.graph.by_module()
    return [
        _row(
            row.path,
            row.class_name,
            row.depth,
            [found.nodes[index] for index in inside[row.path]],
            row.params,
        )
        for row in ledger.modules
    ]


def _operators(found: NodeFormulas, ledger: Ledger) -> Sequence[FormulaRow]:
    groups: dict[str, list[int]] = {}  # as tables name them, whatever their domain
    for index, cost in enumerate(ledger.nodes):
        groups.setdefault(cost.op_type, []).append(index)
    return [
        _row(op, "", 0, [found.nodes[i] for i in group], sum(ledger.nodes[i].params for i in group))
        for op, group in groups.items()
    ]


def _nodes(found: NodeFormulas, ledger: Ledger) -> Sequence[FormulaRow]:
    return [
        _row(cost.node, cost.op_type, 0, [node], cost.params)
        for node, cost in zip(found.nodes, ledger.nodes, strict=True)
    ]


def _row(key: str, class_name: str, depth: int, nodes: Sequence[NodeFormula], params: int) -> FormulaRow:
    formulas = {
        name: total([node.formulas[name] for node in nodes if name in node.formulas]) for name in COUNTS
    }
    formulas["params"] = Polynomial.number(params)
    return FormulaRow(key, class_name, depth, formulas, sum(bool(node.reason) for node in nodes))
