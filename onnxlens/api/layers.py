"""What other tools report of a model's layers: read, led back to its nodes, and columns of its ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged_file, staged_plot
from onnxlens.api.target import Settings, Target
from onnxlens.errors import GraphError, UsageError
from onnxlens.specs.codec import from_plain, to_plain, to_text
from onnxlens.specs.layers import KEPT, OF_WORKERS, LayerReport
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.temporary import temporary_folder

if TYPE_CHECKING:
    from onnxlens.profile.graph.graph import Graph
    from onnxlens.specs.layers import ToolCosts
    from onnxlens.specs.ledger import Ledger

SCHEMA = "onnxlens.layer-report/1"
WARNING = "warning: "
"""How the notes of a ledger begin that doubt a report."""

LARGER = 2
"""More than a tool pads channels by."""

HEAD = 200
"""Where our own form of a report names its schema, in its first bytes."""


def read_layers(
    path: Path | str,
    tool: str = "",
    *,
    names: Path | str | None = None,
    chip: str = "",
    like: str = "",
    called: str = "",
) -> LayerReport:
    """What a tool reports of each layer: from a file or folder of its own, or from one of ``write_layers``.

    Args:
        path: of the report.
        tool: whose it is; "" for the one whose form it has.
        names: a second file that says what its names mean, where it needs one.
        chip: what it is of, if the report does not say it.
        like: the reader whose columns it has; ``tool`` may then be any name.
        called: what its columns are called, if not the tool and its chip.

    Raises:
        UsageError: it cannot be read, or no reader takes it; it is a folder with those of several tools.
    """
    if kept := _kept(Path(path)):
        raise UsageError(
            f"{path}: has a report of each of {', '.join(folder.name for folder in kept)}; give one folder "
            f"({kept[0]}), or all to 'onnxlens import' without options of a report"
        )
    if (own := _own_form(Path(path))) is not None:
        if tool not in ("", own.tool) or like or names:
            raise UsageError(
                f"{path}: is a report of {own.tool} in our own form; leave out --tool, --like and --names"
            )
        report = own
    else:
        from onnxlens.profile.vendor.readers.lookup import read_report

        report = read_report(Path(path), like or tool, names)
    if like and tool:
        report = replace(report, called=f"{tool}-{chip or report.chip}".rstrip("-"))
    return replace(report, chip=chip or report.chip, called=called or report.called)


def read_all_layers(path: Path | str, **options: Any) -> tuple[tuple[LayerReport, ...], tuple[str, ...]]:
    """The reports in a folder that ``compile --keep`` left, one of each tool; of any other path the only one.

    Args:
        path: of the reports.
        options: ``tool`` and the others of ``read_layers``, which one report may have alone.

    Returns:
        The reports, and why a folder has none that can be read.

    Raises:
        UsageError: none can be read.
    """
    kept = () if any(options.values()) else _kept(Path(path))
    if not kept:
        return (read_layers(path, **options),), ()
    reports, faults = [], []
    for folder in kept:
        try:
            report = read_layers(folder)
            chip = folder.name.removeprefix(f"{report.tool}-") if folder.name != report.tool else ""
            reports.append(replace(report, chip=report.chip or chip))
        except UsageError as error:
            faults.append(f"left out: {error}")
    if not reports:
        raise UsageError(f"{path}: no tool's folder in it has a report; {faults[0]}")
    return tuple(reports), tuple(faults)


def _kept(path: Path) -> Sequence[Path]:
    """The folders of tools in a folder that ``compile --keep`` left; none in any other."""
    folders = sorted(each for each in path.iterdir() if each.is_dir()) if path.is_dir() else ()
    return [folder for folder in folders if any((folder / name).is_file() for name in OF_WORKERS)]


def _own_form(path: Path) -> LayerReport | None:
    """The report of a file that ``write_layers`` wrote, or in a tool's folder; None of any other."""
    path = path / KEPT if path.is_dir() else path
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            if SCHEMA.encode() not in file.read(HEAD):
                return None
        plain = json.loads(path.read_text(encoding="utf-8"))
        return from_plain(plain["report"], LayerReport, str(path))
    except (OSError, ValueError, TypeError, KeyError, RecursionError, GraphError) as error:
        raise UsageError(
            f"{path}: begins as a report in our own form, and is none ({error}); write it again"
        ) from error


def layers_from(text: str) -> LayerReport:
    """The report that ``[NAME=]FILE[:TOOL]`` is.

    Raises:
        UsageError: it cannot be read.
    """
    name, equals, rest = text.partition("=")
    if not equals or Path(text).exists():
        name, rest = "", text
    path, colon, tool = rest.rpartition(":")
    if not colon or Path(rest).exists():
        path, tool = rest, ""
    return read_layers(path, tool, called=name)


def with_layers(opened: OpenedTarget, ledger: Ledger, *reports: LayerReport, doubted: bool = True) -> Ledger:
    """The ledger with the figures of other tools' reports, as columns METRIC@LABEL.

    Args:
        opened: what the ledger is of.
        ledger: its costs.
        reports: such as ``read_layers`` returns.
        doubted: warn of a report that looks like another model's; not where the tool was given this one.

    Raises:
        UsageError: nothing of a report leads to a node, or two are called the same.
    """
    if not reports:
        return ledger
    from onnxlens.reports.tables.led import doubts, led_notes

    labels = [each.report.label for each in ledger.tools]
    for report in reports:
        if not report.label:
            raise UsageError("a report says of no tool that it is its; give it a name: --layers NAME=FILE")
        if report.label in labels:
            raise UsageError(
                f"two reports are called {report.label}; give one another name: --layers NAME=FILE"
            )
        labels.append(report.label)
    tools = tuple(_costs(opened, ledger, led_to_nodes(opened, report)) for report in reports)
    notes = [note for costs in tools for note in led_notes(costs)]
    doubtful = tools if doubted else ()
    found = [doubt for costs in doubtful for doubt in (*doubts(ledger, costs), *_sizes(opened.graph, costs))]
    notes += [WARNING + doubt for doubt in found]
    return replace(ledger, tools=(*ledger.tools, *tools), notes=(*ledger.notes, *notes))


def led_to_nodes(opened: OpenedTarget, report: LayerReport) -> LayerReport:
    """The report with names of nodes in the place of its program, where it has one.

    The program is that of the graph as the tool takes it: in its dialect, if there is one.
    """
    if report.program is None:
        return report
    from onnxlens.api.file_form import Dialected
    from onnxlens.export.dialects.lookup import DIALECTS
    from onnxlens.profile.graph.loading import load_graph
    from onnxlens.profile.subgraph.one_file import prepared
    from onnxlens.profile.vendor.program_matching import led_by_program

    if report.tool not in DIALECTS:
        return led_by_program(report, opened.graph, {})
    change = Dialected(opened.graph, report.tool)
    with temporary_folder() as folder:
        path = folder / "model.onnx"
        path.write_bytes(prepared(opened.path, opened.graph, change=change).SerializeToString())
        return led_by_program(report, load_graph(path), change.sources)


def _costs(opened: OpenedTarget, ledger: Ledger, report: LayerReport) -> ToolCosts:
    from onnxlens.profile.vendor.attribution import attribute
    from onnxlens.profile.vendor.dilation import dilation_notes
    from onnxlens.reports.tables.tools import is_same_chip

    chip = next((each for each in ledger.bounds if is_same_chip(each, report)), None)
    bounds_s = None if chip is None else [max(node.units.values(), default=0.0) for node in chip.nodes]
    costs = attribute(opened.graph, ledger.nodes, report, bounds_s)
    if any(match.nodes for match in costs.matches) or costs.refused:
        notes = (*report.notes, *dilation_notes(opened.graph, ledger.nodes, costs))
        return replace(costs, report=replace(report, notes=tuple(dict.fromkeys(notes))))
    names = ", ".join(repr(record.name) for record in report.records[:3]) or "it has none"
    nodes = ", ".join(repr(node.node) for node in ledger.nodes[:3])
    raise UsageError(
        f"{report.label}: none of its {len(report.records)} layers leads to a node of {ledger.source}: the "
        f"layers are called {names}, and the nodes {nodes}; give the file that {report.tool} was given"
    )


def _sizes(graph: Graph, costs: ToolCosts) -> Iterator[str]:
    """Whether most layers make larger tensors than their nodes; smaller ones may be tiles, or not padded."""
    larger = []
    for match in costs.matches:
        values = (each for node in match.nodes for each in graph.nodes[node].view.outputs if each)
        ours = [each.spec.elements if each.kind == "tensor" else None for each in values]
        if match.record.outputs and ours and None not in ours:
            theirs = max(map(prod, match.record.outputs))
            larger.append(theirs >= LARGER * max(each for each in ours if each is not None))
    if 2 * sum(larger) > len(larger):
        yield (
            f"{sum(larger)} of {len(larger)} layers of {costs.report.label} make tensors of twice the size "
            "of ours, or more: is the report of another picture size or batch?"
        )


def layer_doubts(ledger: Ledger) -> list[str]:
    """Why reports may be of other models than this ledger's; nothing where they look like it."""
    return [note.removeprefix(WARNING) for note in ledger.notes if note.startswith(WARNING)]


def import_profile(
    path: Path | str,
    model: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    progress: Progress = silent,
    **options: Any,
) -> Ledger:
    """The costs of a model with what another tool reports of its layers.

    Args:
        path: of the report.
        model: what the tool was given.
        settings: how it is exported, unless it is a file.
        progress: shows the steps.
        options: ``tool`` and the others of ``read_layers``.

    Raises:
        UsageError: the report or the model cannot be used, or nothing of one leads to the other.
    """
    report = read_layers(path, **options)
    with opened(model, settings, progress) as it:
        return with_layers(it, it.ledger, report)


def write_layers(ledger: Ledger, label: str, out: Path | str) -> Path:
    """Write a report of the ledger in onnxlens's own form, with the nodes that each record was led to.

    Raises:
        UsageError: no report is called so, or ``out`` cannot be written.
    """
    path = Path(out)
    text = to_text(layers_document(ledger, label))
    with staged_file(path) as file:
        file.write_text(text, encoding="utf-8")
    return path


def layers_document(ledger: Ledger, label: str) -> dict[str, Any]:
    """The report, and where each of its records was led; ``read_layers`` reads the report alone."""
    costs = next((each for each in ledger.tools if each.report.label == label), None)
    if costs is None:
        there = ", ".join(each.report.label for each in ledger.tools) or "none"
        raise UsageError(f"no report is called {label}; there are {there}")
    return {
        "schema": SCHEMA,
        "graph": ledger.graph,
        "source": ledger.source,
        "report": to_plain(costs.report),
        "matches": [
            {
                "record": match.record.name,
                "way": match.way,
                "trail": match.trail,
                "confidence": match.confidence,
                "nodes": [ledger.nodes[node].node for node in match.nodes],
                "modules": list(dict.fromkeys(ledger.nodes[node].module_path for node in match.nodes)),
            }
            for match in costs.matches
        ],
    }


def plot_layers(ledger: Ledger, out: Path | str, metric: str = "", depth: int | None = None) -> Path:
    """Draw what tools report of the modules as bars, as svg or png.

    Args:
        ledger: with reports.
        out: the file.
        metric: what to draw; "" for what each report says most about.
        depth: of the deepest modules; None for as many as stay readable.

    Raises:
        UsageError: no report has the metric, or ``out`` cannot be written.
    """
    from onnxlens.reports.plots.layers import write_layers_plot

    return staged_plot(out, partial(write_layers_plot, ledger, metric, depth))
