"""Numbers as a person reads them, thousands kept short and the unit said, and the cost columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType
from typing import Literal

from onnxlens.specs.layers import METRICS
from onnxlens.specs.ledger import Bounds, is_lower_bound
from onnxlens.specs.record import record
from onnxlens.specs.roofline import AT
from onnxlens.specs.tensor import TensorSpec

DECIMAL_STEPS = ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
REPEATED = 2**12
"""The texts of so many figures are kept: large files repeat theirs."""
BINARY_STEPS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


@lru_cache(REPEATED)
def short_count(count: float) -> str:
    """``401.64 G`` for 401636720640; a number under a thousand as it is, rounded."""
    count = round(count)
    for step, letter in DECIMAL_STEPS:
        if round(count / step, 5) >= 1:  # so that 999,999 is 1.00 M and not 1000.00 k
            return f"{count / step:.2f} {letter}"
    return str(count)


@lru_cache(REPEATED)
def short_bytes(count: float) -> str:
    """``3.20 GiB``; a number under 1024 as ``512 B``."""
    count = round(count)
    for step, unit in BINARY_STEPS:
        if round(count / step, 5) >= 1:
            return f"{count / step:.2f} {unit}"
    return f"{count} B"


def short_time(seconds: float) -> str:
    """``6.35 s``, ``124 ms``, ``12.4 ms``, ``1.2 us``, ``32 ns`` for what would round to nothing."""
    if 0 < seconds < 0.5e-7:
        return f"{seconds / 1e-9:.2g} ns"
    if seconds >= 0.9995:  # so that it is 1.00 s and not 1000 ms
        return f"{seconds:.2f} s"
    step, unit = (1e-3, "ms") if seconds >= 0.9995e-3 else (1e-6, "us")
    count = seconds / step
    return f"{count:.0f} {unit}" if count >= 100 else f"{count:.1f} {unit}"


def share(part: float, whole: float, digits: int = 1) -> str:
    """``12.5 %``; ``<0.1 %`` for what would round to nothing; an empty text where there is no whole."""
    if not whole:
        return ""
    percent, least = 100 * part / whole, 10.0**-digits
    return f"<{least:.{digits}f} %" if 0 < percent < least / 2 else f"{percent:.{digits}f} %"


AT_LEAST, AT_MOST, UNKNOWN = ">=", "<=", "?"
PART = "~"
"""Before a part of what a tool reports of nodes in several rows."""


def bounded(text: str, figure: float, *, lower: bool) -> str:
    """``>= 1.20 G`` for a figure that lacks what is unknown; ``?`` where nothing of it is known."""
    if not lower:
        return text
    return f"{AT_LEAST} {text}" if figure else UNKNOWN


def figure_text(name: str, figure: float, bounds: Bounds, short: Callable[[float], str] | None = None) -> str:
    """A cost as a person reads it, by its column's name: every cost that is printed passes through here."""
    text = (short or COSTS[name].short)(figure)
    return bounded(text, figure, lower=is_lower_bound(name, bounds))


def share_text(
    part: float, whole: float, *, part_lower: bool = False, whole_lower: bool = False, digits: int = 1
) -> str:
    """A share of what may lack what is unknown: then at most what it is of the rest, or ``?``."""
    if not part_lower and not whole_lower:
        return share(part, whole, digits)
    if part_lower or part >= whole:
        return UNKNOWN
    return f"{AT_MOST} {share(part, whole, digits)}" if part else share(part, whole, digits)


def counted(count: int, name: str) -> str:
    """``1 tensor``, ``2 tensors``."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def as_if_held(dtype: str) -> str:
    """What a table says of ``--as-dtype``."""
    return f"types: as if floats were held as {dtype}"


def shapes(tensors: Sequence[TensorSpec], limit: int | None = None) -> str:
    """The tensors' shapes, the first ``limit`` of them; equal ones in a row are counted."""
    texts = [(text, len(list(same))) for text, same in groupby(tensor.shape_text() for tensor in tensors)]
    shown = [text if times == 1 else f"{times} x {text}" for text, times in texts[:limit]]
    hidden = sum(times for _, times in texts[len(shown) :])
    return ", ".join(shown) + (f", +{hidden} more" if hidden else "")


Combination = Literal["sum", "max", "none"]
"""The figure of several parts is the sum of theirs, the largest of them, or not defined by them."""


@record(frozen=True, slots=True)
class Cost:
    """A cost column.

    Attributes:
        title: with the unit, where the figures do not have it.
        short: a figure as a person reads it.
        combined: how the figures of several parts combine.
        measured_by: the option that measures it; "" for what is counted.
        head: what heads its column, where that is not its name: narrow, and taken by every option.
    """

    title: str
    short: Callable[[float], str]
    combined: Combination = "sum"
    measured_by: str = ""
    head: str = ""


COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        "macs": Cost("MACs", short_count),
        "params": Cost("params", short_count),
        "vector_ops": Cost("elementwise ops", short_count),
        "special_ops": Cost("transcendental ops", short_count),
        "flops": Cost("FLOPs", short_count),
        "weight_read_bytes": Cost("weights read", short_bytes, head="weights_read"),
        "read_bytes": Cost("read", short_bytes, head="read"),
        "write_bytes": Cost("written", short_bytes, head="written"),
        "moved_bytes": Cost("memory traffic", short_bytes, head="moved"),
        "resident_weight_bytes": Cost("resident weights", short_bytes, head="weights"),
        "live_bytes": Cost("activation memory", short_bytes, "max", head="live"),
        "working_bytes": Cost("working set", short_bytes, "none", head="working"),
        "latency_s": Cost("latency", short_time, measured_by="latency", head="latency"),
        "unknown_nodes": Cost("unknown nodes", short_count, head="unknown"),
        "arithmetic_intensity": Cost("FLOPs/byte", lambda figure: f"{figure:.3g}", "none", head="flops/byte"),
        "achieved_macs_per_s": Cost("MACs/s", short_count, "none", "latency", "macs/s"),
        "parity_error": Cost("error", lambda figure: f"{figure:.1e}", "none", "parity", "error"),
        "bound_s": Cost("lower bound", short_time, "none", "hardware", "bound"),
        "bound_percent": Cost("share of the bound", "{:.1f} %".format, "none", "hardware"),
        "serial_s": Cost("bound of operators in turn", short_time, measured_by="hardware"),
        "compute_s": Cost("compute", short_time, measured_by="hardware"),
        "elementwise_s": Cost("elementwise unit", short_time, measured_by="hardware"),
        "transcendental_s": Cost("transcendental unit", short_time, measured_by="hardware"),
        "memory_s": Cost("memory bound", short_time, "none", "hardware"),
        "fit_bound_s": Cost("bound with the array's steps", short_time, "none", "hardware"),
        "lost_macs": Cost("MACs lost", short_count, measured_by="hardware"),
        "vendor_cycles": Cost("vendor's cycles", short_count, measured_by="hardware"),
        "vendor_macs": Cost("MACs of vendor's cycles", short_count, measured_by="hardware"),
        "turning_factor": Cost("turning factor", "{:.3g}".format, "none", "hardware"),
        "fused_bytes": Cost("fused memory traffic", short_bytes, measured_by="fusion"),
        "fused_weight_read_bytes": Cost("fused weights read", short_bytes, measured_by="fusion"),
        "fused_read_bytes": Cost("fused read", short_bytes, measured_by="fusion"),
        "fused_write_bytes": Cost("fused written", short_bytes, measured_by="fusion"),
        "spilled_bytes": Cost("spilled", short_bytes, measured_by="on-chip"),
        "sram_bytes": Cost("memory on the chip", short_bytes, "max", "fusion"),
        "off_percent": Cost("operators left out", "{:.0f} %".format, "none", head="left out"),
    }
)
"""By the ledger's name."""

SHORTS: Mapping[str, Callable[[float], str]] = {
    "s": short_time,
    "bytes": short_bytes,
    "pJ": lambda figure: f"{short_count(figure)} pJ",
    "": "{:.1e}".format,
}
RATIO = "{:.3g} x".format

TOOL_COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        **{
            name: Cost(
                name.removesuffix("_s").replace("_", " "),
                SHORTS.get(metric.unit, short_count),
                "sum" if metric.together == "sum" else "none",
                "layers",
            )
            for name, metric in METRICS.items()
        },
        "cost_share": Cost("cost share", lambda figure: share(figure, 1), measured_by="layers"),
        "bound_ratio": Cost("times the bound", RATIO, "none", "layers"),
        "macs_ratio": Cost("MACs over ours", RATIO, "none", "layers"),
    }
)
"""The columns of numbers of other tools' reports, which have ``@`` and the report behind."""


def cost_of(name: str, unit: str = "") -> Cost:
    """How a cost is shown, of whatever chip or report; one that is in no table is shown as it is."""
    plain, at, chip = name.partition(AT)
    costs = TOOL_COSTS if at and plain in TOOL_COSTS else COSTS
    cost = costs.get(plain, Cost(plain, lambda figure: f"{figure:.4g}", "none"))
    where = f" {'by' if costs is TOOL_COSTS else 'on'} {chip}" if at else ""
    return replace(cost, title=cost.title + unit + where)


COST_NAMES: Mapping[str, str] = MappingProxyType(
    {other: name for name, cost in COSTS.items() for other in (cost.title.lower(), cost.head, name) if other}
)
"""The costs' names by what they are called in any place, in small letters."""
