"""The matrix work of a graph written for a hardware cost model."""

from __future__ import annotations

from pathlib import Path

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import UsageError
from onnxlens.specs.codec import to_plain, to_text
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.workload import WORKLOAD_FORMATS, Workload, WorkloadFormat

SCHEMA = "onnxlens.workload/1"


def write_workload(
    target: Target | OpenedTarget,
    out: Path | str,
    workload: WorkloadFormat,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Workload:
    """Write the matrix products of a graph as the input of a cost model, and what each leads back to.

    Beside the files of the format, ``GRAPH.WORKLOAD.json`` has the node and the module of every layer, how
    often it runs, its MACs, and why a node with MACs is in no file. No weight is read.

    Args:
        target: the graph.
        out: a folder.
        workload: ``scalesim``, ``zigzag`` or ``timeloop``.
        settings: how it is exported, or at which sizes a file is read.
        progress: shows the steps.

    Returns:
        What was written; its files are below ``out``.

    Raises:
        UsageError: the target, a setting or ``out`` cannot be used, or nothing in the graph can be written.
        GraphError: the file is not an ONNX graph.
    """
    if workload not in WORKLOAD_FORMATS:
        raise UsageError(f"no workload is called {workload!r}; choose one of {', '.join(WORKLOAD_FORMATS)}")
    from onnxlens.profile.vendor.workloads.lookup import workload_of

    folder = Path(out)
    with opened(target, settings, progress) as it:
        graph, costs = it.graph, it.ledger.nodes
        it.progress("writing", 0, 0)
        made = workload_of(graph, costs, workload)
        if not made.layers:
            why = next(iter(made.refused.values()), "no node has MACs")
            raise UsageError(f"{graph.name}: there is nothing to write for {workload}: {why}")
        with staged(folder) as stage:
            for name, text in {**made.texts, made.index: to_text(index_document(made))}.items():
                file = stage / name
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
    return made


def index_document(workload: Workload) -> dict[str, object]:
    """What leads from the files back to the nodes."""
    plain = to_plain(workload)
    plain.pop("texts")
    layers = [{**to_plain(layer), "macs": layer.macs} for layer in workload.layers]
    return {"schema": SCHEMA, **plain, "written_macs": workload.written_macs, "layers": layers}
