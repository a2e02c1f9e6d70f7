"""The ledger: every module's costs, counted and measured; and a measured run as a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged_file
from onnxlens.api.target import Settings, Target
from onnxlens.profile.count.measured import with_measurements
from onnxlens.specs.codec import to_text
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.reports.tables.files import FileFormat
    from onnxlens.reports.tables.query import Query
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.measured import ModuleError, ModuleTiming, NodeTiming
    from onnxlens.specs.memory import MemoryPeak


def ledger_of(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    timings: Sequence[ModuleTiming] | None = None,
    errors: Sequence[ModuleError] | None = None,
    nodes: Sequence[NodeTiming] = (),
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> Ledger:
    """Every cost of every module: the counted ones, and the measurements that are passed in.

    Args:
        target: what to count.
        settings: how it is exported, unless it is a file.
        timings: of modules, in seconds, such as ``measure_graph`` returns.
        errors: of modules against a reference, likewise.
        nodes: of the nodes that ran, likewise; groups of nodes have their time from these.
        notes: how both were measured.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is not an ONNX graph, or a module was measured twice.
    """
    with opened(target, settings, progress) as it:
        ledger = with_measurements(it.ledger, timings or (), errors or (), nodes)
    return replace(ledger, notes=(*ledger.notes, *notes))


def with_working_sets(opened: OpenedTarget, ledger: Ledger, stored_as: str = "") -> Ledger:
    """The ledger with what each module takes if it runs alone: activations at their most, and weights.

    Args:
        opened: what the ledger is of.
        ledger: its costs.
        stored_as: the dtype in which floats are held, such as int8; "" for the file's.
    """
    from onnxlens.profile.count.working_sets import with_working_sets as measured

    return measured(ledger, opened.graph, stored_as)


def write_table(ledger: Ledger, query: Query, table_format: FileFormat, out: Path | str) -> Path:
    """Write the rows that are asked for as a file of another program's, ``xlsx`` or ``parquet``.

    Raises:
        UsageError: its library is not installed, a column holds no figure, or ``out`` cannot be written.
    """
    from onnxlens.reports.tables.files import require_library, write_file
    from onnxlens.reports.tables.ledger import cost_cells

    require_library(table_format)
    path = Path(out)
    names, cells = cost_cells(ledger, query)
    with staged_file(path) as file:
        write_file(names, cells, table_format, file)
    return path


def memory_peak(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    stored_as: str = "",
    progress: Progress = silent,
) -> MemoryPeak:
    """The node while which most bytes of activations are alive, and every tensor that is alive then.

    Args:
        target: what to count.
        settings: how it is exported, unless it is a file.
        stored_as: the dtype in which floats are held, such as int8; "" for the file's.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is not an ONNX graph.
    """
    from onnxlens.profile.count.liveness import memory_peak as found

    with opened(target, settings, progress) as it:
        return found(it.graph, it.ledger.idle, stored_as)


def write_trace(ledger: Ledger, nodes: Sequence[NodeTiming], out: Path | str) -> Path:
    """Write a timed run as a trace for Perfetto or Chrome, whose tracks are the module hierarchy.

    Raises:
        UsageError: no node was timed, two nodes overlap, or ``out`` cannot be written.
    """
    from onnxlens.reports.trace import trace_document

    path = Path(out)
    text = to_text(trace_document(ledger, nodes))
    with staged_file(path) as file:
        file.write_text(text, encoding="utf-8")
    return path
