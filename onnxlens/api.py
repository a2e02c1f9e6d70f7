"""The Python API: one function per task, composed of the four folders.

A ``target`` is the name of a graph of the catalog, ``package.module:factory`` for a function that returns a
``GraphSpec``, or the path of an ``.onnx`` file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.errors import ToolError, UsageError
from onnxlens.specs.progress import Progress, Watch, silent, unwatched
from onnxlens.staging import staged
from onnxlens.targets import Job, LayerRequest, Settings, Target, is_file, resolve, weight_source

if TYPE_CHECKING:
    from onnxlens.network_runs import Backend
    from onnxlens.profile.graph import Graph
    from onnxlens.specs.flow import FlowGraph
    from onnxlens.specs.graph import GraphSpec
    from onnxlens.specs.layers import LayerReport
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.manifest import ExportedGraph
    from onnxlens.specs.peers import Convention, Reconciliation
    from onnxlens.specs.results import ParityReport, Reference
    from onnxlens.specs.summary import RunSummary

MANIFEST_LAST = (".onnx", ".json")
"""Weights are renamed into place first, then the graph that points at them, then its manifest."""


def list_graphs(settings: Settings | None = None) -> tuple[GraphSpec, ...]:
    """Every graph of the catalog, at the settings' size."""
    from onnxlens.reference_model import catalog

    return tuple(resolve(name, settings or Settings()).spec for name in catalog.names())


def run_reference(job: Job, watch: Watch = unwatched) -> RunSummary:
    """The main job: export, count, compare, time and draw the graphs of the reference model, into one folder.

    Raises:
        UsageError: a graph is unknown, or the folder cannot be written.
    """
    from onnxlens.main_job import run_job

    return run_job(job, watch)


def annotate_picture(
    picture: Path | str,
    kind: str,
    out: Path | str,
    *,
    backend: Backend = "torch",
    weights: str | Path = "seeded",
    progress: Progress = silent,
) -> Path:
    """Make the control image of a picture, of the ``kind`` that ``onnxlens.annotation`` lists, and write it.

    Args:
        picture: a file that OpenCV reads.
        kind: ``canny``, ``hed``, ``mlsd``, ``openpose``, ``depth``, ``normal``, ``scribble``,
            ``scribble-drawing``.
        out: a .png or another picture file, by its suffix.
        backend: what runs the networks: ``torch`` or ``onnx``.
        weights: ``seeded``, a checkpoint, or a folder of published ones.
        progress: told of each network as it runs.

    Raises:
        UsageError: the picture, the kind or ``out`` cannot be used.
        CheckpointError: the weights are not the networks'.
    """
    from onnxlens.annotation import annotate
    from onnxlens.network_runs import NetworkRuns
    from onnxlens.reference_model.annotators.images import read_image, require_picture_suffix, write_image

    place = Path(out)
    require_picture_suffix(place)
    image = read_image(Path(picture))
    with staged(place.parent) as stage, NetworkRuns(backend, weights, progress) as run:
        write_image(annotate(image, kind, run), stage / place.name)
    return place


def export_graph(
    target: str, out: Path | str, settings: Settings | None = None, progress: Progress = silent
) -> ExportedGraph:
    """Export a graph of the catalog or a factory into ``out``: ``NAME.onnx``, ``.onnx.data``, ``.json``.

    The weights are seeded unless the settings say otherwise.

    Raises:
        UsageError: the target, a size or ``out`` cannot be used.
        CheckpointError: the checkpoint is not the network's.
        ExportError: the module cannot be exported.
    """
    from onnxlens.export.exporter import ExportRequest, export
    from onnxlens.export.tracing import DEFAULT_OPSET
    from onnxlens.specs.manifest import ExportedGraph

    chosen = settings or Settings()
    found = resolve(target, chosen)
    source = weight_source(found.spec, chosen.weights or "seeded")
    request = ExportRequest(
        found.spec, source, found.origin, found.sizes, DEFAULT_OPSET if chosen.opset is None else chosen.opset
    )
    with staged(Path(out), MANIFEST_LAST) as stage:
        exported = export(request, stage, progress)
    return ExportedGraph(Path(out) / exported.onnx_path.name, exported.manifest)


def profile_graph(
    target: Target,
    settings: Settings | None = None,
    progress: Progress = silent,
    convention: Convention = "matrix",
) -> Ledger:
    """Count MACs, params and bytes of every node, module and operator type; no weight is read.

    Args:
        target: what to count.
        settings: how it is exported, where it is no file.
        progress: told of what is going on.
        convention: ``matrix``, ours; with ``onnx-tool``, ``fvcore`` or ``thop`` every row also has, as its
            ``peer``, what that package would print.

    Raises:
        UsageError: the target or a setting cannot be used, or fvcore's or thop's convention was asked for a
            file that does not say which PyTorch modules ran.
        GraphError: the file is no ONNX graph.
    """
    return profile_with_flow(target, settings, progress, convention)[0]


def profile_with_flow(
    target: Target,
    settings: Settings | None = None,
    progress: Progress = silent,
    convention: Convention = "matrix",
) -> tuple[Ledger, FlowGraph]:
    """As ``profile_graph``, with the data flow between the innermost modules, from one reading."""
    from onnxlens.profile.flow import build_flow
    from onnxlens.profile.ledger import build_ledger

    with _loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        ledger = build_ledger(graph, convention)
        return ledger, build_flow(graph, ledger, max(module.depth for module in ledger.modules))


def reconcile_graph(
    target: Target, settings: Settings | None = None, progress: Progress = silent
) -> Reconciliation:
    """Our MACs beside what onnx-tool, fvcore and thop count, by operator type, and why they differ.

    Raises:
        UsageError: the target or a setting cannot be used, or the file does not say which modules ran.
        GraphError: the file is no ONNX graph.
    """
    from onnxlens.profile.conventions.reconciliation import build_reconciliation

    with _loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        return build_reconciliation(graph)


def flow_of(
    target: Target, depth: int | None = None, settings: Settings | None = None, progress: Progress = silent
) -> FlowGraph:
    """The data flow between the modules down to ``depth``; None is the deepest that a person can follow.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is no ONNX graph.
    """
    from onnxlens.profile.flow import build_flow, readable_depth
    from onnxlens.profile.ledger import build_ledger

    with _loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        return build_flow(graph, build_ledger(graph), readable_depth(graph) if depth is None else depth)


def render_graph(
    target: Target,
    out: Path | str,
    depth: int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Path:
    """Draw the data flow between the modules down to ``depth`` into ``out`` (.svg, .png, .pdf or .dot).

    A depth of None is the deepest that a person can follow. Without Graphviz its source is written, as .dot.

    Raises:
        UsageError: the target, a setting, or ``out`` cannot be used.
        GraphError: the file is no ONNX graph.
        ToolError: Graphviz is missing.
    """
    from onnxlens.reports.pictures import require_suffix, write_picture

    place = Path(out)
    require_suffix(place)
    missing = ""
    with staged(place.parent) as stage:
        flow = flow_of(target, depth, settings, progress)
        progress("drawing", 0, 0)
        try:
            write_picture(flow, stage / place.name)
        except ToolError as error:
            missing = str(error)
            write_picture(flow, stage / f"{place.stem}.dot")
    if missing:
        raise ToolError(f"{missing}; wrote {place.with_suffix('.dot')}")
    return place


def check_graph(
    target: Target,
    settings: Settings | None = None,
    *,
    provider: str = "cpu",
    reference: Reference = "pytorch",
    tolerance: float | None = None,
    progress: Progress = silent,
) -> ParityReport:
    """Run a graph in ONNX Runtime and in its reference on the same inputs and weights; compare every output.

    The weights of a graph of the catalog are seeded unless the settings say otherwise. PyTorch runs first and
    is freed before ONNX Runtime opens the file; both read the weights that the file holds.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file cannot be read, or has no PyTorch side.
        ParityError: the outputs cannot be compared.
    """
    from onnxlens.comparison import against_pytorch, against_unoptimised
    from onnxlens.profile.loading import load_graph

    _require_weights(target, settings)
    chosen = settings or Settings()
    with _as_file(target, settings, "seeded", progress) as path:
        if reference == "pytorch":
            return against_pytorch(path, provider, tolerance, progress)
        graph = load_graph(path, chosen.shapes, chosen.dims, chosen.values)
        return against_unoptimised(graph, provider, tolerance, progress)


def check_layers(
    target: Target,
    settings: Settings | None = None,
    request: LayerRequest | None = None,
    progress: Progress = silent,
) -> LayerReport:
    """Run a graph in ONNX Runtime and in PyTorch; compare what every module inherits, hands on, and adds.

    Args:
        target: what to compare; a file needs our manifest beside it.
        settings: how it is exported, where it is no file.
        request: provider, tolerance, memory, samples, and what to do at the first module over the tolerance.
        progress: told of what is going on.

    Raises:
        UsageError: the target, a setting or the memory cannot be used.
        GraphError: the file cannot be read, has no PyTorch side, or names no modules.
        ParityError: PyTorch gives other tensors in two runs, or the guilty module cannot be written.
    """
    from onnxlens.layer_comparison import layers_against_pytorch

    _require_weights(target, settings)
    chosen = request or LayerRequest()
    with _as_file(target, settings, "seeded", progress) as path:
        if chosen.reproduce is None:
            return layers_against_pytorch(path, chosen, progress)
        with staged(chosen.reproduce) as stage:
            return layers_against_pytorch(path, replace(chosen, reproduce=stage), progress)


def _require_weights(target: Target, settings: Settings | None) -> None:
    if settings is not None and settings.weights == "none" and not is_file(target):
        raise UsageError(f"{target}: cannot run without weights; choose seeded ones or a checkpoint")


@contextmanager
def _loaded(target: Target, settings: Settings | None, progress: Progress) -> Iterator[Graph]:
    """The target as a loaded graph, weightless where it has to be exported first."""
    from onnxlens.profile.loading import load_graph

    chosen = settings or Settings()
    with _as_file(target, settings, "none", progress) as path:
        yield load_graph(path, chosen.shapes, chosen.dims, chosen.values)


@contextmanager
def _as_file(target: Target, settings: Settings | None, weights: str, progress: Progress) -> Iterator[Path]:
    """The path of the target's ``.onnx`` file: its own, or a temporary export's."""
    if is_file(target):
        (settings or Settings()).require_for_file(target)
        yield Path(target)
        return
    chosen = settings or Settings()
    with tempfile.TemporaryDirectory(prefix="onnxlens-") as folder:
        exported = export_graph(
            str(target), folder, replace(chosen, weights=chosen.weights or weights), progress
        )
        yield exported.onnx_path
