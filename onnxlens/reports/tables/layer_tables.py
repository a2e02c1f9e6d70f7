"""A comparison by layer as text: the largest errors for people, every row for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from onnxlens.reports.tables.column import Column
from onnxlens.reports.tables.text_tables import TableFormat, rendered
from onnxlens.specs.parity import ModuleParity, ModuleParityReport

SHOWN = 20
"""About as many rows as a person compares."""


def layer_table(report: ModuleParityReport, table_format: TableFormat) -> str:
    """For people the largest errors introduced, and what follows; as CSV every row in execution order."""
    if table_format == "csv":
        return rendered(report.layers, _columns(report), table_format)
    table = rendered(report.ranked[:SHOWN], _columns(report), table_format)
    samples = "1 sample" if report.samples == 1 else f"{report.samples} samples"
    heading = (
        f"{report.graph} (opset {report.opset}): modules in ONNX Runtime on {report.provider} against PyTorch"
        f", {samples}, weights: {report.weights or 'as in the file'}\n"
        f"largest errors introduced, relative L2, {min(SHOWN, len(report.ranked))} of {len(report.ranked)}; "
        f"tolerance {report.tolerance:.0e}"
    )
    return "\n\n".join((heading, table, "\n".join(_verdict(report))))


def _columns(report: ModuleParityReport) -> Sequence[Column[ModuleParity]]:
    return (
        Column("#", lambda r: r.order, right=True),
        Column("module", lambda r: r.path, lambda r: r.path or report.graph),
        Column("class", lambda r: r.class_name),
        Column("what", lambda r: _what(r), lambda r: _what(r, 3)),
        Column("call", lambda r: r.call or "", right=True),
        Column("shape", lambda r: str(r.shape)),
        Column("inherited", lambda r: _exact(r.inherited), lambda r: _short(r.inherited), True),
        Column("output", lambda r: _exact(r.output), lambda r: _short(r.output), True),
        Column("introduced", lambda r: _exact(r.introduced), lambda r: _short(r.introduced), True),
        Column("max abs", lambda r: _exact(r.max_abs), lambda r: _short(r.max_abs), True),
        Column("result", lambda r: r.reason or r.verdict),
    )


def _what(row: ModuleParity, limit: int | None = None) -> str:
    """``module``, or the operators that a module runs between its children."""
    if row.kind == "module":
        return "module"
    types = list(dict.fromkeys(row.operators))
    shown = types[:limit]
    return ", ".join(shown) + (f", +{len(types) - len(shown)} more" if len(types) > len(shown) else "")


def _exact(error: float | None) -> float | str:
    return "" if error is None else error


def _short(error: float | None) -> str:
    return "-" if error is None else f"{error:.2e}"


def _verdict(report: ModuleParityReport) -> Sequence[str]:
    """Who is to blame, or that nobody is; and what nobody knows of."""
    verdicts = Counter(layer.verdict for layer in report.layers)
    lines = [
        f"{len(report.layers)} rows: " + ", ".join(f"{count} {name}" for name, count in verdicts.items())
    ]
    reasons = Counter(f"{layer.path}: {layer.reason}" for layer in report.layers if layer.reason)
    lines += [f"not comparable: {reason}" for reason in reasons]
    if report.stopped:
        lines.append("stopped at the first over the tolerance; nothing is said of what comes after")
    if report.first_diverging is not None:
        lines.append(f"GUILTY: {_named(report, report.first_diverging)}")
    elif report.first_over is not None:
        lines.append(
            "no module alone is over the tolerance: the error builds up, and passes it first at "
            + _named(report, report.first_over)
        )
    else:
        lines.append("all layers agree" if report.passed else "nothing could be compared")
    return lines


def _named(report: ModuleParityReport, row: ModuleParity) -> str:
    path = row.path or f"{report.graph} itself"
    what = row.class_name if row.kind == "module" else f"its own {_what(row)}"
    return f"{path} ({what}), which makes {', '.join(row.tensors)}"
