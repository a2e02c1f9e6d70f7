"""Results as JSON documents; docs/schemas/ holds the schema of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onnxlens.specs.bench import BenchReport
from onnxlens.specs.codec import to_plain
from onnxlens.specs.flow import FlowGraph, FlowNode
from onnxlens.specs.generate import Generated
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.groups import nodes_inside
from onnxlens.specs.ledger import Ledger, is_lower_bound
from onnxlens.specs.parity import ModuleParityReport, ParityReport
from onnxlens.specs.peers import Reconciliation
from onnxlens.specs.roofline import ChipBounds
from onnxlens.specs.summary import RunSummary

if TYPE_CHECKING:
    from onnxlens.reports.tables.query import Query

Document = dict[str, Any]

GENERATE = "onnxlens.generate/1"


def profile_document(ledger: Ledger, flow: FlowGraph) -> Document:
    """Everything that was counted, exact; a figure that was not computed is absent."""
    from onnxlens.reports.tables.chips import chip_columns_of_modules  # other documents do without tables
    from onnxlens.reports.tables.led import led_documents

    on_chips = chip_columns_of_modules(ledger)
    return {
        "schema": "onnxlens.profile/1",
        "graph": ledger.graph,
        "source": ledger.source,
        "opset": ledger.opset,
        "weights": ledger.weights,
        "attribution": ledger.attribution,
        "convention": ledger.convention,
        "totals": {**to_plain(ledger.totals), "arithmetic_intensity": ledger.totals.arithmetic_intensity},
        "modules": [
            {**to_plain(module), **to_plain({name: each.exact(module) for name, each in on_chips.items()})}
            for module in ledger.modules
        ],
        "ops": [to_plain(operator) for operator in ledger.operators],
        "nodes": [to_plain(node) for node in ledger.nodes],
        "flow": _flow(flow),
        "notes": list(ledger.notes),
        "conventions": dict(ledger.conventions),
        **({"bounds": [_bounds(ledger, each) for each in ledger.bounds]} if ledger.bounds else {}),
        **led_documents(ledger),
    }


def _bounds(ledger: Ledger, bounds: ChipBounds) -> Document:
    """The bounds of every module on a chip; a module of which nothing is known has none."""
    inside = nodes_inside(ledger)
    found = {module.path: bounds.of(inside[module.path]) for module in ledger.modules}
    unknown = {module.path for module in ledger.modules if is_lower_bound("bound_s", module.lower_bounds)}
    return {
        "chip": bounds.label,
        "title": bounds.chip.title,
        "system": bounds.chip.system,
        "dtype": bounds.dtype,
        "fusion": bounds.fusion,
        "modules": {
            path: {**to_plain(bound), "limited_by": bound.limited_by}
            for path, bound in found.items()
            if bound.bound_s or path not in unknown
        },
        "grades": {limit: list(grades) for limit, grades in bounds.grades.items()},
        "notes": list(bounds.notes),
    }


def _flow(flow: FlowGraph) -> Document:
    """Every box has its MACs and params as fields too, next to its costs, for readers of older documents.

    What is unknown is absent.
    """
    return {**to_plain(flow), "nodes": [_box(node) for node in flow.nodes]}


def _box(node: FlowNode) -> Document:
    unknown = "macs" not in node.costs and is_lower_bound("macs", node.lower_bounds)
    return {**to_plain(node), **({} if unknown else {"macs": node.macs}), "params": node.params}


def reconciliation_document(reconciliation: Reconciliation) -> Document:
    """Every operator type's count in every convention."""
    return {"schema": "onnxlens.reconciliation/1", **to_plain(reconciliation)}


def bench_document(report: BenchReport, query: Query | None = None) -> Document:
    """Every time that was measured, exact, or the rows that are asked for; and why the machine was noisy."""
    found = {"schema": "onnxlens.bench/2", **to_plain(report), "noise": list(report.noise)}
    if query is None:
        return found
    from onnxlens.reports.tables.bench import bench_rows  # other documents do without tables

    for name in ("modules", "operators", "nodes"):
        del found[name]
    return {**found, **bench_rows(report, query)}


def parity_document(report: ParityReport) -> Document:
    """Every output's errors, and the verdict."""
    return {"schema": "onnxlens.parity/1", **to_plain(report), "passed": report.passed}


def layers_document(report: ModuleParityReport) -> Document:
    """Every module's errors in execution order, the verdict, and the first diverging module's path if any."""
    first = {} if report.first_diverging is None else {"guilty": report.first_diverging.path}
    return {"schema": "onnxlens.layers/1", **to_plain(report), "passed": report.passed, **first}


def summary_document(summary: RunSummary) -> Document:
    """One entry for each graph of a run, and the machine it ran on."""
    return {"schema": "onnxlens.summary/1", **to_plain(summary), "succeeded": summary.succeeded}


def generated_document(generated: Generated) -> Document:
    """What was asked for, the files that were written, and the time of every graph."""
    return {"schema": GENERATE, **to_plain(generated)}


def catalog_document(specs: Sequence[GraphSpec]) -> Document:
    """The graphs of the catalog: what goes in, what comes out, which sizes they take."""
    return {
        "schema": "onnxlens.catalog/1",
        "graphs": [
            {
                "name": spec.name,
                "title": spec.title,
                "family": spec.family,
                "inputs": to_plain(spec.inputs),
                "outputs": to_plain(spec.outputs),
                "dynamic_axes": {
                    name: {str(axis): symbol for axis, symbol in axes.items()}
                    for name, axes in spec.dynamic_axes.items()
                },
                "size_multiple": spec.size_multiple,
                "min_size": spec.min_size,
                "checkpoint_prefix": spec.checkpoint.prefix,
            }
            for spec in specs
        ],
    }
