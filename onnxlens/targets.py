"""What is asked for: settings, and what a target means: a graph of the catalog, a factory, or a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.errors import UsageError

if TYPE_CHECKING:
    from onnxlens.specs.graph import GraphSpec, WeightSource

Target = str | Path


@dataclass(frozen=True, slots=True)
class Settings:
    """How a graph of the catalog, or of a factory, is built and exported.

    Attributes:
        weights: ``none``, ``seeded``, or a checkpoint's path; None for the task's own choice.
        batch: None for the graph's own.
        height: in pixels.
        width: in pixels.
    """

    weights: str | Path | None = None
    opset: int = 18
    batch: int | None = None
    height: int = 512
    width: int = 512


@dataclass(frozen=True, slots=True)
class Job:
    """What the main job is to do.

    Attributes:
        out: the folder to write into: a folder in it for each graph, and the summary of all.
        graphs: names of the catalog; none means all of it.
        weights: ``seeded``, a checkpoint that fits every chosen graph, or a folder of published checkpoints.
        quick: at 128 x 128 pixels.
    """

    out: Path
    graphs: Sequence[str] = ()
    weights: str | Path = "seeded"
    quick: bool = False
    opset: int = 18


@dataclass(frozen=True, slots=True)
class Resolved:
    """A target that is no file.

    Attributes:
        origin: what a manifest calls it by, so that it can be resolved again.
        sizes: batch, height and width of a graph of the catalog.
    """

    spec: GraphSpec
    origin: str
    sizes: Mapping[str, int]


def is_file(target: Target) -> bool:
    """Whether the target means a file: a graph's name and a factory have neither suffix nor separator."""
    return isinstance(target, Path) or target.endswith(".onnx") or "/" in target or Path(target).is_file()


def resolve(target: str, settings: Settings) -> Resolved:
    """The graph that ``target`` names.

    Raises:
        UsageError: nothing has the name, or the network cannot take the size.
    """
    from onnxlens.reference_model import catalog

    if ":" in target:
        return Resolved(_from_factory(target), target, {})
    spec = catalog.get(target, batch=settings.batch, height=settings.height, width=settings.width)
    batch = int(spec.inputs[0].shape[0])
    return Resolved(spec, target, {"batch": batch, "height": settings.height, "width": settings.width})


def resolve_again(origin: str, sizes: Mapping[str, int]) -> GraphSpec:
    """The graph that a manifest says it was exported from.

    Raises:
        UsageError: it is not to be had any more.
    """
    given: dict[str, Any] = dict(sizes)
    return resolve(origin, Settings(**given)).spec


def weight_source(spec: GraphSpec, weights: str | Path) -> WeightSource:
    """The source that ``weights`` (``none``, ``seeded`` or a checkpoint's path) means for the graph.

    Raises:
        CheckpointError: the checkpoint is unreadable or not the network's.
    """
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


def _from_factory(target: str) -> GraphSpec:
    """Call ``package.module:factory``."""
    from onnxlens.specs.graph import GraphSpec

    module_name, _, attribute = target.partition(":")
    try:
        factory = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{target}: cannot be imported ({error}); give package.module:factory") from error
    if not callable(factory):
        raise UsageError(
            f"{target}: is a {type(factory).__name__}, expected a function that returns a GraphSpec"
        )
    spec = factory()
    if not isinstance(spec, GraphSpec):
        raise UsageError(f"{target}: returned a {type(spec).__name__}, expected an onnxlens.GraphSpec")
    return spec
