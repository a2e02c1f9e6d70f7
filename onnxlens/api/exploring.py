"""Tasks that write graphs for viewers in which a person opens level after level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.api.exporting import loaded
from onnxlens.api.running import measure_graph
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import UsageError
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.measured import Measurements
    from onnxlens.specs.node_flow import NodeFlow

SUFFIX = ".json"


def explore_graph(
    target: Target,
    out: Path | str,
    settings: Settings | None = None,
    *,
    latency: bool = False,
    parity: bool = False,
    provider: str = "cpu",
    progress: Progress = silent,
) -> Sequence[Path]:
    """Write a graph for Google's Model Explorer, node by node, its modules as the levels to open.

    Beside ``out`` a file of node data is written for each ledger column: ``NAME.macs.json``,
    ``NAME.moved_bytes.json``, and with ``latency`` and ``parity`` ``NAME.latency_s.json`` and
    ``NAME.parity_error.json``.

    Args:
        target: what to write; nothing is run, and no weight is needed, unless a measurement is asked for.
        out: a .json file.
        settings: how it is exported, where it is no file.
        latency: time its nodes in ONNX Runtime.
        parity: compare what every module hands on with PyTorch.
        provider: what ONNX Runtime runs it on.
        progress: told of what is going on.

    Returns:
        The files that were written, the graph first.

    Raises:
        UsageError: the target, a setting or ``out`` cannot be used.
        GraphError: the file is no ONNX graph, or cannot be run where that was asked for.
    """
    place = Path(out)
    if place.suffix != SUFFIX:
        raise UsageError(f"{place}: Model Explorer opens {SUFFIX} files, and this is a {place.suffix!r} one")
    with staged(place.parent) as stage:
        measured = measure_graph(
            target, settings, latency=latency, parity=parity, provider=provider, progress=progress
        )
        flow, ledger = _flow_and_ledger(target, settings, measured, progress)
        progress("writing", 0, 0)
        texts = _texts(place, flow, ledger, measured)
        for name, text in texts.items():
            (stage / name).write_text(text, encoding="utf-8")
    return [place.with_name(name) for name in texts]


def _flow_and_ledger(
    target: Target, settings: Settings | None, measured: Measurements, progress: Progress
) -> tuple[NodeFlow, Ledger]:
    from onnxlens.profile.count.ledger import build_ledger
    from onnxlens.profile.count.measured import with_measurements
    from onnxlens.profile.flow.node_flow import build_node_flow

    with loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        ledger = with_measurements(build_ledger(graph), measured.timings, measured.errors)
        ledger = replace(ledger, notes=(*ledger.notes, *measured.notes))
        return build_node_flow(graph, ledger), ledger


def _texts(place: Path, flow: NodeFlow, ledger: Ledger, measured: Measurements) -> Mapping[str, str]:
    """What goes into each file, by its name, the graph first."""
    from onnxlens.reports.model_explorer.document import document_text, graph_document
    from onnxlens.reports.model_explorer.node_data import data_notes, data_text, node_data

    notes = data_notes(flow, measured.nodes)
    data: Mapping[str, Any] = node_data(flow, ledger, measured.nodes)
    return {
        place.name: document_text(graph_document(flow, ledger, notes)),
        **{f"{place.stem}.{column}{SUFFIX}": data_text(entry) for column, entry in data.items()},
    }
