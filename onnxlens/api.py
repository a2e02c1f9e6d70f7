"""The Python API: one function per task, composed of the four folders.

A ``target`` is the name of a graph of the catalog, ``package.module:factory`` for a function that returns a
``GraphSpec``, or the path of an ``.onnx`` file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from onnxlens.errors import UsageError
from onnxlens.specs.progress import Progress, silent
from onnxlens.staging import staged

if TYPE_CHECKING:
    import numpy as np

    from onnxlens.profile.graph import Graph
    from onnxlens.specs.flow import FlowGraph
    from onnxlens.specs.graph import GraphSpec, WeightSource
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.manifest import ExportedGraph
    from onnxlens.specs.results import ParityReport

Target = str | Path
Reference = Literal["pytorch", "unoptimised"]

MANIFEST_LAST = (".onnx", ".json")
"""Weights are renamed into place first, then the graph that points at them, then its manifest."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a graph of the catalog, or of a factory, is built and exported.

    Attributes:
        weights: ``none``, ``seeded``, or a checkpoint's path; None for the task's own choice.
        batch: None for the graph's own.
        height, width: in pixels.
    """

    weights: str | Path | None = None
    opset: int = 18
    batch: int | None = None
    height: int = 512
    width: int = 512


def list_graphs(settings: Settings | None = None) -> tuple[GraphSpec, ...]:
    """Every graph of the catalog, at the settings' size."""
    from onnxlens.reference_model import catalog

    chosen = settings or Settings()
    return tuple(
        catalog.get(name, batch=chosen.batch, height=chosen.height, width=chosen.width)
        for name in catalog.names()
    )


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
    from onnxlens.specs.manifest import ExportedGraph

    chosen = settings or Settings()
    spec, origin, sizes = _resolve(target, chosen)
    source = _weight_source(spec, chosen.weights or "seeded")
    with staged(Path(out), MANIFEST_LAST) as stage:
        exported = export(ExportRequest(spec, source, origin, sizes, chosen.opset), stage, progress)
    return ExportedGraph(Path(out) / exported.onnx_path.name, exported.manifest)


def profile_graph(target: Target, settings: Settings | None = None, progress: Progress = silent) -> Ledger:
    """Count MACs, params and bytes of every node, module and operator type; no weight is read.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is no ONNX graph.
    """
    return profile_with_flow(target, settings, progress)[0]


def profile_with_flow(
    target: Target, settings: Settings | None = None, progress: Progress = silent
) -> tuple[Ledger, FlowGraph]:
    """As ``profile_graph``, with the data flow between the innermost modules, from one reading."""
    from onnxlens.profile.flow import build_flow
    from onnxlens.profile.ledger import build_ledger

    with _loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        ledger = build_ledger(graph)
        return ledger, build_flow(graph, ledger, max(module.depth for module in ledger.modules))


def flow_of(
    target: Target, depth: int, settings: Settings | None = None, progress: Progress = silent
) -> FlowGraph:
    """The data flow between the modules down to ``depth``.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file is no ONNX graph.
    """
    from onnxlens.profile.flow import build_flow
    from onnxlens.profile.ledger import build_ledger

    with _loaded(target, settings, progress) as graph:
        progress("counting", 0, 0)
        return build_flow(graph, build_ledger(graph), depth)


def render_graph(
    target: Target,
    out: Path | str,
    depth: int = 2,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Path:
    """Draw the data flow between the modules down to ``depth`` into ``out`` (.svg, .png, .pdf or .dot).

    Raises:
        UsageError: the target, a setting, or ``out`` cannot be used.
        GraphError: the file is no ONNX graph.
        ToolError: Graphviz is missing.
    """
    from onnxlens.reports.pictures import require_suffix, write_picture

    place = Path(out)
    require_suffix(place)
    with staged(place.parent) as stage:
        flow = flow_of(target, depth, settings, progress)
        progress("drawing", 0, 0)
        write_picture(flow, stage / place.name)
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
    from onnxlens.profile.parity import DEFAULT_TOLERANCE

    bound = DEFAULT_TOLERANCE if tolerance is None else tolerance
    with _as_file(target, settings, "seeded", progress) as path:
        if reference == "pytorch":
            return _against_pytorch(path, provider, bound, progress)
        return _against_unoptimised(path, provider, bound, progress)


def _against_pytorch(path: Path, provider: str, tolerance: float, progress: Progress) -> ParityReport:
    from onnxlens.export.exported import open_export
    from onnxlens.profile.inputs import sample_inputs
    from onnxlens.profile.parity import compare
    from onnxlens.profile.session import open_session, run
    from onnxlens.specs.results import ParityReport

    exported = open_export(path)
    manifest = exported.manifest
    inputs = sample_inputs(manifest.inputs, manifest.input_ranges)
    progress("running PyTorch", 0, 0)
    expected = _run_pytorch(exported, inputs)
    progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(path, provider), inputs)
    results = compare(got, expected, tolerance)
    return ParityReport(
        manifest.graph, path.name, manifest.opset, manifest.weights, provider, "pytorch", results
    )


def _run_pytorch(exported: ExportedGraph, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The PyTorch side of an export: its module, built again, with the weights that the file holds."""
    from onnxlens.export.exported import ExportedWeights
    from onnxlens.profile.parity import run_module
    from onnxlens.reference_model.weights.state import filled

    manifest = exported.manifest
    weights = ExportedWeights(exported)
    sizes = manifest.settings
    settings = (
        Settings(None, manifest.opset, sizes["batch"], sizes["height"], sizes["width"])
        if sizes
        else Settings()
    )
    spec, _, _ = _resolve(manifest.origin, settings)
    return run_module(
        filled(spec.build(device="meta"), weights), inputs, [tensor.name for tensor in spec.outputs]
    )


def _against_unoptimised(path: Path, provider: str, tolerance: float, progress: Progress) -> ParityReport:
    from onnxlens.profile.inputs import sample_inputs
    from onnxlens.profile.loading import load_graph
    from onnxlens.profile.parity import compare
    from onnxlens.profile.session import open_session, run
    from onnxlens.specs.results import ParityReport

    graph = load_graph(path)
    manifest = graph.manifest
    inputs = sample_inputs(graph.inputs, manifest.input_ranges if manifest else {})
    progress("running ONNX Runtime without optimisations", 0, 0)
    expected = run(open_session(path, provider, optimised=False), inputs)
    progress(f"running ONNX Runtime ({provider})", 0, 0)
    got = run(open_session(path, provider), inputs)
    weights = manifest.weights if manifest else ""
    return ParityReport(
        graph.name,
        path.name,
        graph.opset,
        weights,
        provider,
        "unoptimised",
        compare(got, expected, tolerance),
    )


@contextmanager
def _loaded(target: Target, settings: Settings | None, progress: Progress) -> Iterator[Graph]:
    """The target as a loaded graph, weightless where it has to be exported first."""
    from onnxlens.profile.loading import load_graph

    with _as_file(target, settings, "none", progress) as path:
        yield load_graph(path)


@contextmanager
def _as_file(target: Target, settings: Settings | None, weights: str, progress: Progress) -> Iterator[Path]:
    """The path of the target's ``.onnx`` file: its own, or a temporary export's."""
    if _is_file(target):
        if settings is not None and settings != Settings():
            raise UsageError(
                f"{target}: opset, weights and sizes are those of the file; leave those options out"
            )
        yield Path(target)
        return
    chosen = settings or Settings()
    with tempfile.TemporaryDirectory(prefix="onnxlens-") as folder:
        exported = export_graph(
            str(target),
            folder,
            Settings(chosen.weights or weights, chosen.opset, chosen.batch, chosen.height, chosen.width),
            progress,
        )
        yield exported.onnx_path


def _is_file(target: Target) -> bool:
    """Whether the target means a file: a graph's name and a factory have neither suffix nor separator."""
    return isinstance(target, Path) or target.endswith(".onnx") or "/" in target or Path(target).is_file()


def _resolve(target: str, settings: Settings) -> tuple[GraphSpec, str, dict[str, int]]:
    """The spec of a target that is no file, its name for a manifest, and the sizes it was made with."""
    from onnxlens.reference_model import catalog

    if ":" in target:
        return _from_factory(target), target, {}
    spec = catalog.get(target, batch=settings.batch, height=settings.height, width=settings.width)
    batch = spec.inputs[0].shape[0]
    assert isinstance(batch, int)
    return spec, target, {"batch": batch, "height": settings.height, "width": settings.width}


def _from_factory(target: str) -> GraphSpec:
    """Call ``package.module:factory``."""
    from onnxlens.specs.graph import GraphSpec

    module_name, _, attribute = target.partition(":")
    try:
        factory = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{target}: cannot be imported ({error}); give package.module:factory") from error
    spec = factory()
    if not isinstance(spec, GraphSpec):
        raise UsageError(f"{target}: returned a {type(spec).__name__}, expected an onnxlens.GraphSpec")
    return spec


def _weight_source(spec: GraphSpec, weights: str | Path) -> WeightSource:
    from onnxlens.reference_model.weights.absent import AbsentWeights
    from onnxlens.reference_model.weights.checkpoint import CheckpointWeights
    from onnxlens.reference_model.weights.seeded import SeededWeights
    from onnxlens.reference_model.weights.state import state_tensors

    tensors = state_tensors(spec.build(device="meta"))
    if weights == "none":
        return AbsentWeights(tensors)
    if weights == "seeded":
        return SeededWeights(tensors, spec.checkpoint.prefix)
    return CheckpointWeights(Path(weights), spec.name, tensors, spec.checkpoint)
