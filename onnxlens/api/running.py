"""Tasks that run a graph, in ONNX Runtime and in PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.exporting import as_file, require_weights
from onnxlens.api.staging import staged
from onnxlens.api.target import Job, LayerRequest, Settings, Target
from onnxlens.specs.progress import Progress, Watch, silent, unwatched

if TYPE_CHECKING:
    from onnxlens.api.network_runs import Backend
    from onnxlens.specs.bench import BenchReport, BenchRequest
    from onnxlens.specs.measured import Measurements
    from onnxlens.specs.parity import ModuleParityReport, ParityReport, Reference
    from onnxlens.specs.summary import RunSummary


def run_reference(job: Job, watch: Watch = unwatched) -> RunSummary:
    """The main job: export, count, compare, time and draw the graphs of the reference model, into one folder.

    Raises:
        UsageError: a graph is unknown, or the folder cannot be written.
    """
    from onnxlens.api.run import run_job

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
    """Make the control image of a picture, of the ``kind`` and write it.

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
    from onnxlens.api.network_runs import NetworkRuns
    from onnxlens.reference_model.annotators.annotation import annotate
    from onnxlens.reference_model.annotators.images import read_image, require_picture_suffix, write_image

    place = Path(out)
    require_picture_suffix(place)
    image = read_image(Path(picture))
    with staged(place.parent) as stage, NetworkRuns(backend, weights, progress) as run:
        write_image(annotate(image, kind, run), stage / place.name)
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
    from onnxlens.api.check import against_pytorch, against_unoptimised
    from onnxlens.profile.graph.loading import load_graph

    chosen = settings or Settings()
    require_weights(target, chosen)
    with as_file(target, settings, "seeded", progress) as path:
        if reference == "pytorch":
            return against_pytorch(path, provider, tolerance, progress)
        graph = load_graph(path, chosen.shapes, chosen.dims, chosen.values)
        return against_unoptimised(graph, provider, tolerance, progress)


def check_layers(
    target: Target,
    settings: Settings | None = None,
    request: LayerRequest | None = None,
    progress: Progress = silent,
) -> ModuleParityReport:
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
    from onnxlens.api.layers_against_pytorch import layers_against_pytorch

    require_weights(target, settings or Settings())
    chosen = request or LayerRequest()
    with as_file(target, settings, "seeded", progress) as path:
        if chosen.reproduce is None:
            return layers_against_pytorch(path, chosen, progress)
        with staged(chosen.reproduce) as stage:
            return layers_against_pytorch(path, replace(chosen, reproduce=stage), progress)


def bench_graph(
    target: Target,
    settings: Settings | None = None,
    request: BenchRequest | None = None,
    progress: Progress = silent,
) -> BenchReport:
    """Time a graph in ONNX Runtime, and say which of its modules the time goes to.

    The weights of a graph of the catalog are seeded unless the settings say otherwise.

    Args:
        target: what to run.
        settings: how it is exported, where it is no file; how a file's dynamic sizes are fixed.
        request: provider, runs, warm-ups, optimisation level, threads, and whether PyTorch is timed too; None
            for ten runs after two on the CPU.
        progress: told of what is going on.

    Raises:
        UsageError: the target or a setting cannot be used, or PyTorch was asked for without our manifest.
        GraphError: the file cannot be read or run.
        ToolError: the provider is not available, or no node runs on it.
    """
    from onnxlens.api.bench import bench
    from onnxlens.profile.graph.loading import load_graph
    from onnxlens.profile.runtime.matmul_peak import require_runnable
    from onnxlens.specs.bench import BenchRequest

    chosen, how = settings or Settings(), request or BenchRequest()
    require_weights(target, chosen)
    require_runnable(how.provider, how.level)
    with as_file(target, settings, "seeded", progress) as path:
        return bench(load_graph(path, chosen.shapes, chosen.dims, chosen.values), how, progress)


def measure_graph(
    target: Target,
    settings: Settings | None = None,
    *,
    latency: bool = False,
    parity: bool = False,
    provider: str = "cpu",
    progress: Progress = silent,
) -> Measurements:
    """Run a graph for the ledger's measured columns; nothing is run that was not asked for.

    Args:
        target: what to run.
        settings: how it is exported, where it is no file; the weights are seeded unless it says otherwise.
        latency: time its modules and nodes in ONNX Runtime.
        parity: compare what every module hands on with PyTorch.
        provider: what ONNX Runtime runs it on.
        progress: told of what is going on.

    Raises:
        UsageError: the target or a setting cannot be used.
        GraphError: the file cannot be run, or has no PyTorch side.
    """
    from onnxlens.api.measure import measured_errors, measured_latency
    from onnxlens.specs.bench import BenchRequest
    from onnxlens.specs.measured import Measurements

    measured = Measurements()
    if parity:
        measured += measured_errors(check_layers(target, settings, LayerRequest(provider=provider), progress))
    if latency:
        measured += measured_latency(bench_graph(target, settings, BenchRequest(provider=provider), progress))
    return measured
