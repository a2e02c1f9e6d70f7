"""Cost models that are given the matrix work of a graph: of layers of one form they see the first alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnxlens.errors import ToolError, UsageError
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.vendor.compilers.child import WORKERS, Outcome, run_worker
from onnxlens.profile.vendor.compilers.lookup import CompileRequest
from onnxlens.profile.vendor.workloads.layers import layers_of
from onnxlens.profile.vendor.workloads.lookup import FORMATS
from onnxlens.profile.vendor.workloads.written import Entry, Files
from onnxlens.specs.layers import METRICS, LayerRecord, LayerReport
from onnxlens.specs.workload import WorkloadFormat

STEM = "workload"


@dataclass(frozen=True, slots=True)
class Forms:
    """A graph's layers, and the first of each form as files.

    Attributes:
        files: of these, named as the layers of the graph.
        refused: why a node has none, by its name.
    """

    entries: Sequence[Entry]
    first: Mapping[str, Entry]
    files: Files
    refused: Mapping[str, str]

    @classmethod
    def of(cls, graph: Graph, chosen: WorkloadFormat) -> Forms:
        """Those of a graph.

        Raises:
            ToolError: the format has none of its layers.
        """
        costs = count_nodes(graph)
        found = layers_of(graph, costs)
        write = FORMATS[chosen]
        whole = write(found.layers, STEM)
        first: dict[str, Entry] = {}
        for entry in whole.entries:
            first.setdefault(entry.form, entry)
        refused = {costs[node].node: why for node, why in {**found.refused, **whole.refused}.items()}
        if not first:
            why = next((f"{name}: {reason}" for name, reason in refused.items()), "no node has MACs")
            raise ToolError(f"it can run none of the nodes: {why}")
        alone = [replace(entry.layer, left=None, right=None) for entry in first.values()]
        files = write(alone, STEM)
        named = dict(zip(first, files.entries, strict=True))
        return cls(whole.entries, named, files, refused)

    def write(self, folder: Path) -> None:
        """Write the files of the first of each form."""
        for name, text in self.files.texts.items():
            (folder / name).write_text(text, encoding="utf-8")

    def report(self, given: LayerReport, failed: Mapping[str, str], why: str) -> LayerReport:
        """What a tool says of the first layers, for every layer; its figures are of one time.

        Args:
            given: its records, named as the layers in the files.
            failed: why it has none of a layer, by its name.
            why: why it has none of the others.
        """
        known = {record.name: record for record in given.records}
        records: list[LayerRecord] = []
        refused = dict(self.refused)
        for entry in self.entries:
            name = self.first[entry.form].name
            if name in known:
                records.append(_as_often(known[name], entry))
            else:
                refused[entry.layer.node_name] = failed.get(name, why)
        if not records:
            raise ToolError(why or next(iter({**failed, **refused}.values())))
        note = f"run: {len(self.first)} of {len(self.entries)} layers, as equal layers have equal figures"
        return replace(given, records=tuple(records), refused=refused, notes=(*given.notes, note))


def _as_often(record: LayerRecord, entry: Entry) -> LayerRecord:
    figures = {
        name: value * entry.times if METRICS[name].together == "sum" else value
        for name, value in record.figures.items()
    }
    return replace(record, name=entry.layer.name, sources=(entry.layer.node_name,), figures=figures)


def simulate(
    request: CompileRequest,
    chosen: WorkloadFormat,
    asked: Mapping[str, object],
    read: Callable[[Path, Forms], LayerReport],
) -> LayerReport:
    """Write the files, run the tool's worker on them, and read what it wrote for each layer.

    A worker that is stopped has written the layers that it has done.

    Raises:
        ToolError: the format has none of the layers, or the tool did none.
    """
    forms = Forms.of(request.source.graph, chosen)
    forms.write(request.folder)
    outcome = run_worker(request.python, WORKERS / f"{chosen}.py", asked, request.folder, request.timeout_s)
    try:
        given = read(request.folder, forms)
    except UsageError as error:  # the tool has not come to the first layer's report
        raise ToolError(outcome.crashed or _failure(outcome)) from error
    failed = {each["name"]: each["reason"] for each in outcome.result.get("refused", ())}
    version = str(outcome.result.get("version", ""))
    stopped = f"not done: {outcome.crashed}" if outcome.crashed else ""
    return forms.report(replace(given, version=version, chip=request.chip), failed, stopped)


def _failure(outcome: Outcome) -> str:
    refused = outcome.result.get("refused") or [{"reason": "it wrote no report"}]
    return str(refused[0]["reason"])
