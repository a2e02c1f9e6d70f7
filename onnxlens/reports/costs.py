"""The cost columns: their titles, how a figure is written, and how the figures of several parts combine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from onnxlens.reports.numbers import short_bytes, short_count, short_time

Combination = Literal["sum", "max", "none"]
"""The figure of several parts is the sum of theirs, the largest of them, or not defined by them."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost column.

    Attributes:
        title: with the unit, where the figures do not have it.
        short: a figure as a person reads it.
        combined: how the figures of several parts combine.
        measured_by: the option that measures it; "" for what is counted.
    """

    title: str
    short: Callable[[float], str]
    combined: Combination = "sum"
    measured_by: str = ""


def _count(figure: float) -> str:
    return short_count(round(figure))


def _bytes(figure: float) -> str:
    return short_bytes(round(figure))


COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        "macs": Cost("MACs", _count),
        "params": Cost("params", _count),
        "vector_ops": Cost("elementwise ops", _count),
        "special_ops": Cost("transcendental ops", _count),
        "flops": Cost("FLOPs", _count),
        "weight_read_bytes": Cost("weights read", _bytes),
        "read_bytes": Cost("read", _bytes),
        "write_bytes": Cost("written", _bytes),
        "moved_bytes": Cost("memory traffic", _bytes),
        "resident_weight_bytes": Cost("resident weights", _bytes),
        "live_bytes": Cost("activation memory", _bytes, "max"),
        "latency_s": Cost("latency", short_time, measured_by="latency"),
        "bound_s": Cost("lower bound", short_time),
        "unknown_nodes": Cost("unknown nodes", _count),
        "arithmetic_intensity": Cost("FLOPs/byte", lambda figure: f"{figure:.3g}", "none"),
        "achieved_macs_per_s": Cost("MACs/s", _count, "none", "latency"),
        "parity_error": Cost("error", lambda figure: f"{figure:.1e}", "none", "parity"),
    }
)
"""By the ledger's name."""
