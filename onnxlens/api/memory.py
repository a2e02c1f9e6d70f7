"""The memory plan of a graph: its peak, a better order, an arena, and both as files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged_file, staged_plot
from onnxlens.api.target import Settings, Target
from onnxlens.errors import UsageError
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.memory import MemoryPlan

Order = Literal["file", "better"]
MOST_ALIGNMENT_BYTES = 2**20


def memory_plan(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    in_place: bool = False,
    order: Order = "file",
    stored_as: str = "",
    alignment_bytes: int = 1,
    progress: Progress = silent,
) -> MemoryPlan:
    """What is alive at every step of an execution, and where in one arena every activation is.

    Args:
        target: what to plan.
        settings: how it is exported, unless it is a file.
        in_place: outputs of elementwise operators take the memory of inputs that are needed no more.
        order: ``better`` searches for an order of the nodes that lowers the peak; ``file`` is the file's.
        stored_as: the dtype in which floats are held, such as int8; "" for the file's.
        alignment_bytes: offsets in the arena are multiples of it.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is not an ONNX graph.
    """
    from onnxlens.profile.chip.memory_plan import PlanRequest, plan_memory

    if order not in get_args(Order):
        raise UsageError(f"order {order!r} is not known; choose one of {', '.join(get_args(Order))}")
    if not 1 <= alignment_bytes <= MOST_ALIGNMENT_BYTES:
        raise UsageError(
            f"an alignment of {alignment_bytes} bytes is not possible; give 1 to {MOST_ALIGNMENT_BYTES}"
        )
    with opened(target, settings, progress) as it:
        request = PlanRequest(in_place, order == "better", stored_as, alignment_bytes)
        graph, idle = it.graph, it.ledger.idle
        it.progress("planning memory", 0, 0)
        return plan_memory(graph, idle, request)


def write_arena(ledger: Ledger, plan: MemoryPlan, out: Path | str, stored_as: str = "") -> Path:
    """Write the arena: a line for every tensor as ``.csv``, the whole plan as ``.json``.

    Raises:
        UsageError: another suffix, or ``out`` cannot be written.
    """
    from onnxlens.reports.tables.memory import arena_text, require_arena_suffix

    path = Path(out)
    require_arena_suffix(path)
    with staged_file(path) as file:
        file.write_text(arena_text(ledger, plan, stored_as, path.suffix), encoding="utf-8")
    return path


def write_memory_plot(ledger: Ledger, plan: MemoryPlan, out: Path | str) -> Path:
    """Plot memory over the execution, the peak's tensors named, as ``.svg`` or ``.png``.

    Raises:
        UsageError: another suffix, or ``out`` cannot be written.
    """
    from onnxlens.reports.plots.memory import write_memory_plot as write

    return staged_plot(out, partial(write, ledger, plan))
