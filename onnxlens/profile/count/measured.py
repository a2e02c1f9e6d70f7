"""Measured figures at the modules that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from onnxlens.errors import GraphError
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.measured import ModuleError, ModuleTiming


def with_measurements(
    ledger: Ledger, timings: Sequence[ModuleTiming] = (), errors: Sequence[ModuleError] = ()
) -> Ledger:
    """The ledger with the seconds and errors of its modules, those of the model in the totals as well.

    What was not measured stays None; what was measured of a module that has no row is reported in a note.

    Raises:
        GraphError: a module was measured twice.
    """
    seconds = _by_path("time", ((timing.path, timing.median_s) for timing in timings))
    parity = _by_path("error", ((error.path, error.rel_l2) for error in errors))
    return replace(
        ledger,
        modules=tuple(
            replace(
                module,
                latency_s=seconds.get(module.path, module.latency_s),
                parity_error=parity.get(module.path, module.parity_error),
            )
            for module in ledger.modules
        ),
        totals=replace(
            ledger.totals,
            latency_s=seconds.get("", ledger.totals.latency_s),
            parity_error=parity.get("", ledger.totals.parity_error),
        ),
        notes=(
            *ledger.notes,
            *_without_row(ledger, "times", seconds),
            *_without_row(ledger, "errors", parity),
        ),
    )


def _by_path(what: str, measured: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    figures: dict[str, float] = {}
    for path, figure in measured:
        if path in figures:
            raise GraphError(f"module {path!r}: two {what}s were measured, {figures[path]} and {figure}")
        figures[path] = figure
    return figures


def _without_row(ledger: Ledger, what: str, figures: Mapping[str, float]) -> Sequence[str]:
    rows = {module.path for module in ledger.modules}
    strangers = [path for path in figures if path not in rows]
    if not strangers:
        return ()
    return (f"{what} of modules that have no row: {len(strangers)} (first: {strangers[0]})",)
