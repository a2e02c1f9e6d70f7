"""Settings, and what a target names: a graph of the catalog, a factory or a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.errors import GraphError, OnnxlensError, UsageError
from onnxlens.specs.record import record

if TYPE_CHECKING:
    from torch import nn

    from onnxlens.specs.graph import GraphSpec
    from onnxlens.specs.manifest import Manifest

Target = str | Path


@record(frozen=True, slots=True)
class Settings:
    """How a graph of the catalog or a factory is built and exported, or at which sizes a file is read.

    Attributes:
        weights: ``none``, ``seeded``, or a checkpoint's path; None for seeded ones if something is to run.
        opset: 11 to 25; None for 18.
        batch: None for 2 if guidance doubles it, else 1.
        height, width: in pixels; None for 512.
        dtype: of floating-point weights, inputs and outputs: ``float32``, ``float16`` or ``bfloat16``; None
            for the graph's own.
        shapes: only for an ``.onnx`` file: the sizes of all dimensions of an input, by the input's name.
        dims: only for an ``.onnx`` file: sizes of dynamic dimensions, by their symbol.
        values: only for an ``.onnx`` file: values of inputs that decide shapes or branches, by name.
        inputs: an ``.npz`` file with arrays to run on, by input; others get sample values.
        run: count with the shapes, trip counts and branches of one run in ONNX Runtime.
        factory: only for an ``.onnx`` file: ``package.module:factory``, the function that made its network.
            The manifest names it too, but a file must not decide which code runs.
        strip_prefix: what stands before each of the network's keys in the checkpoint; None to find it.
        allow_extra: leave out a checkpoint's entries that are not the network's, instead of refusing it.
        cache: keep the exported graph of a catalog entry in the user's cache, and take it from there.
    """

    weights: str | Path | None = None
    opset: int | None = None
    batch: int | None = None
    height: int | None = None
    width: int | None = None
    dtype: str | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    inputs: Path | None = None
    run: bool = False
    factory: str | None = None
    cache: bool = True
    strip_prefix: str | None = None
    allow_extra: bool = False

    def require_for_file(self, target: Target) -> None:
        """Reject what a file has already decided: all but the sizes and values of its inputs."""
        if (
            replace(self, shapes={}, dims={}, values={}, inputs=None, run=False, factory=None, cache=True)
            != Settings()
        ):
            raise UsageError(
                f"{target}: opset, weights, dtype and sizes are those of the file; leave those options out, "
                "and fix what is dynamic with --shape, --dim and --value"
            )

    def require_for_graph(self, target: Target) -> None:
        """Reject what only a file has: shapes, symbols and values to be fixed."""
        if self.shapes or self.dims or self.values:
            raise UsageError(
                f"{target}: --shape, --dim and --value are for .onnx files; "
                "a graph takes --batch, --height and --width"
            )
        if self.factory is not None:
            raise UsageError(f"{target}: --factory is for .onnx files; leave it out")

    def source_of(self, path: Path, manifest: Manifest) -> tuple[str, Settings]:
        """What made a file's network: the catalog's graph that its manifest names, or the factory named here.

        Raises:
            UsageError: the manifest names a factory and the settings do not, or the other way round.
            GraphError: the manifest's sizes are not sizes.
        """
        if ":" not in manifest.origin and self.factory is not None:
            raise UsageError(
                f"{path}: was exported from the catalog's {manifest.origin!r}; leave --factory out"
            )
        from onnxlens.api.cache import is_proven  # most targets name no factory

        if ":" in manifest.origin and self.factory is None and not is_proven(manifest):
            raise UsageError(
                f"{path}: its manifest says that the function {manifest.origin!r} made its network; a file "
                "from elsewhere must not decide which code runs: if you trust it, name it with --factory"
            )
        sizes = manifest.settings
        if not sizes.keys() <= {"batch", "height", "width"}:
            raise GraphError(f"{path}: its manifest has the settings {', '.join(sizes)}; export it again")
        batch, height, width = sizes.get("batch"), sizes.get("height"), sizes.get("width")
        made = Settings(batch=batch, height=height, width=width, dtype=manifest.dtype)
        return self.factory or manifest.origin, made


@record(frozen=True, slots=True)
class Resolved:
    """A graph of the catalog or a factory.

    Attributes:
        origin: the target's name, which a manifest records so that it can be resolved again.
        sizes: batch, height and width of a graph of the catalog; empty for a factory.
    """

    spec: GraphSpec
    origin: str
    sizes: Mapping[str, int]


def is_file(target: Target) -> bool:
    """Whether the target is a file or a folder; a graph's name is the graph, whatever else has it."""
    if isinstance(target, Path) or target.endswith(".onnx") or "/" in target:
        return True
    if not Path(target).is_dir():
        return False
    from onnxlens.reference_model import catalog

    return target not in catalog.names()


def file_of(target: Target) -> Path:
    """The ``.onnx`` file that a target names: itself, or the only one in a folder, such as that of a run.

    Raises:
        UsageError: the folder holds none, or several.
    """
    path = Path(target)
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.onnx")) or sorted(path.glob("[!.]*/*.onnx"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"{target}: is a folder without an .onnx file in it; name a file or a run's folder")
    names = ", ".join(map(str, found))
    raise UsageError(f"{target}: is a folder with {len(found)} .onnx files; name one of {names}")


def resolve(target: str, settings: Settings, *, typed: bool = True) -> Resolved:
    """The graph that ``target`` names.

    Args:
        target: a graph of the catalog, or ``package.module:factory``.
        settings: its size and element type.
        typed: whether the user has named it just now: then a module in the current folder is found too.

    Raises:
        UsageError: there is no such graph, or the network does not accept the size.
    """
    from onnxlens.reference_model import catalog

    settings.require_for_graph(target)
    if ":" in target:
        if (settings.batch, settings.height, settings.width) != (None, None, None):
            raise UsageError(f"{target}: the factory decides on batch and size; leave those options out")
        return Resolved(_from_factory(target, typed).in_dtype(settings.dtype), target, {})
    height = catalog.PIXELS if settings.height is None else settings.height
    width = catalog.PIXELS if settings.width is None else settings.width
    spec = catalog.get(target, batch=settings.batch, height=height, width=width).in_dtype(settings.dtype)
    return Resolved(spec, target, {"batch": int(spec.inputs[0].shape[0]), "height": height, "width": width})


_IMPORTED = ("add --factory with this name if it is in this folder", "give package.module:factory")
"""The remedy where a factory cannot be imported: of a file's manifest, and of a name that was typed."""


def _from_factory(target: str, typed: bool) -> GraphSpec:
    """Call ``package.module:factory``; if it was typed, a module in the current folder is found too."""
    from onnxlens.specs.graph import GraphSpec

    module_name, _, attribute = target.partition(":")
    if module_name.endswith(".py"):
        raise UsageError(f"{target}: give {module_name.removesuffix('.py')}:{attribute}, not the file's name")
    if typed and "" not in sys.path:
        sys.path.insert(0, "")
    try:
        factory = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{target}: cannot be imported ({error}); {_IMPORTED[typed]}") from error
    if _is_module(factory):
        raise _lacks_spec(target, factory, f"lambda: {attribute}")
    if not callable(factory):
        raise UsageError(
            f"{target}: expected a function that returns a GraphSpec, found {type(factory).__name__}"
        )
    try:
        spec = factory()
    except OnnxlensError as error:
        raise UsageError(f"{target}: {error}") from error
    except Exception as error:  # the user's code, not ours
        raise UsageError(f"{target}: raised {type(error).__name__}: {error}") from error
    if _is_module(spec):
        raise _lacks_spec(target, spec, attribute)
    if not isinstance(spec, GraphSpec):
        raise UsageError(
            f"{target}: expected it to return an onnxlens.GraphSpec, it returned {type(spec).__name__}"
        )
    return spec


def _is_module(value: object) -> bool:
    """Whether it is an ``nn.Module``: if one was made, torch is loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _lacks_spec(target: str, module: nn.Module, factory: str) -> UsageError:
    """The refusal of a target that gives a module, with the lines that it lacks as a note."""
    from inspect import Parameter, signature

    place, _, attribute = target.partition(":")
    names = [
        name
        for name, parameter in signature(module.forward).parameters.items()
        if parameter.default is Parameter.empty
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    ] or ["x"]
    inputs = "".join(f'TensorSpec("{name}", "float32", (1, 3, 224, 224)), ' for name in names)
    ranges = ", ".join(f'"{name}": (0.0, 1.0)' for name in names)
    error = UsageError(
        f"{target}: expected it to return an onnxlens.GraphSpec, it returned a module, "
        f"{type(module).__name__}; put these lines below it, with the types, shapes and "
        f"ranges of its inputs, and name {place}:spec"
    )
    error.add_note(
        "from onnxlens import GraphSpec, TensorSpec\n"
        "def spec():\n"
        f'    return GraphSpec("{attribute}", "user", {factory}, ({inputs.strip()}), (), {{{ranges}}})'
    )
    return error
