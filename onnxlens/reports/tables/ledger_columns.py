"""The ledger's columns by name: what may be chosen, filtered and sorted by, in each format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from onnxlens.reports.numbers import short_count, short_time
from onnxlens.reports.tables import columns
from onnxlens.reports.tables.column import Column
from onnxlens.reports.tables.peer_columns import count_and_share
from onnxlens.specs.ledger import Ledger, ModuleCost

ModuleColumn = Column[ModuleCost]


def _measured(
    title: str, value: Callable[[ModuleCost], float | None], shown: Callable[[float], str]
) -> ModuleColumn:
    """A figure that a module may lack."""

    def short(module: ModuleCost) -> str:
        figure = value(module)
        return "-" if figure is None else shown(figure)

    return Column(title, value, short, right=True)


def _always(column: ModuleColumn) -> Callable[[Ledger], ModuleColumn]:
    return lambda ledger: column


LEDGER_COLUMNS: Mapping[str, Callable[[Ledger], ModuleColumn]] = MappingProxyType(
    {
        "order": _always(columns.MODULE_ORDER),
        "path": lambda ledger: columns.module_column(ledger, nested=False),
        "class": _always(columns.MODULE_CLASS),
        "depth": _always(Column("depth", lambda m: m.depth, right=True)),
        "macs": lambda ledger: count_and_share(ledger)[0],
        "macs_percent": lambda ledger: count_and_share(ledger)[1],
        "params": _always(columns.MODULE_PARAMS),
        "vector_ops": _always(columns.count_column("vector ops", lambda m: m.vector_ops)),
        "special_ops": _always(columns.count_column("special ops", lambda m: m.special_ops)),
        "weight_read_bytes": _always(columns.MODULE_WEIGHTS_READ),
        "read_bytes": _always(columns.MODULE_READ),
        "write_bytes": _always(columns.MODULE_WRITTEN),
        "moved_bytes": _always(columns.MODULE_MOVED),
        "live_bytes": _always(columns.MODULE_LIVE),
        "arithmetic_intensity": _always(
            _measured("FLOPs/byte", lambda m: m.arithmetic_intensity, lambda figure: f"{figure:.1f}")
        ),
        "unknown_nodes": _always(columns.MODULE_UNKNOWN),
        "latency_s": _always(_measured("latency", lambda m: m.latency_s, short_time)),
        "achieved_macs_per_s": _always(
            _measured("MACs/s", lambda m: m.achieved_macs_per_s, lambda figure: short_count(round(figure)))
        ),
        "parity_error": _always(_measured("error", lambda m: m.parity_error, lambda figure: f"{figure:.1e}")),
    }
)
"""Every column, by the name that options, CSV and JSON call it."""

TEXTS = frozenset({"path", "class"})
"""The columns that hold text; all others hold numbers."""

FOR_PEOPLE = (
    "path", "class", "macs", "macs_percent", "params", "moved_bytes", "live_bytes", "arithmetic_intensity",
    "unknown_nodes", "latency_s", "achieved_macs_per_s", "parity_error",
)  # fmt: skip
"""What fits on a line, unless columns are chosen."""

MEASURED_BY: Mapping[str, str] = MappingProxyType(
    {"latency_s": "--latency", "achieved_macs_per_s": "--latency", "parity_error": "--parity"}
)
"""The option that fills a column which is empty without."""


def present_columns(ledger: Ledger) -> Mapping[str, ModuleColumn]:
    """The columns that hold a figure in some row; one without was not computed, and is absent."""
    every = {name: column(ledger) for name, column in LEDGER_COLUMNS.items()}
    return {
        name: column
        for name, column in every.items()
        if any(column.exact(module) is not None for module in ledger.modules)
    }
