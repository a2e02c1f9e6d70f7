"""Tasks that cut a graph into pieces."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.exporting import MANIFEST_LAST, loaded
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target, is_file, resolve
from onnxlens.errors import UsageError
from onnxlens.specs.manifest import data_path_of, manifest_path_of, values_path_of
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.specs.cutting import CutReport


def extract_module(
    target: Target,
    module: str,
    out: Path | str,
    settings: Settings | None = None,
    *,
    call: int | None = None,
    data: bool = False,
    progress: Progress = silent,
) -> CutReport:
    """Write one module of a graph as an ONNX file of its own, with its weights.

    Args:
        target: whose module; of a graph of the catalog or a factory the module's weights alone are made.
        module: its path, as the ledger lists it; "" is the whole graph.
        out: the ``.onnx`` file; weights that do not fit into it come beside it (``.onnx.data``), a manifest
            (``.json``) where the graph has one.
        settings: how it is exported, where it is no file; weights of ``none`` leave them out of a file too.
        call: of a module that runs several times, which time, from 1; None for the first.
        data: also write what PyTorch hands it and what it returns: ``.inputs.npz``, ``.expected.npz``.
        progress: told of what is going on.

    Raises:
        UsageError: the target, module, call, a setting or ``out`` cannot be used.
        GraphError: the file is no ONNX graph, the module cannot be cut out, or PyTorch's call of it is not to
            be found and its data is asked for.
        CheckpointError: the weights cannot be read.
    """
    from onnxlens.api.extract import Extraction, extract
    from onnxlens.reference_model.weights.choice import weight_source

    place, chosen = Path(out), settings or Settings()
    _require_place(place, target)
    weightless = chosen.weights == "none"
    if weightless and data:
        raise UsageError(f"{target}: its data needs its weights; leave --weights none out")
    source = None
    if is_file(target):
        chosen = replace(chosen, weights=None) if weightless else chosen
    else:
        spec = resolve(str(target), chosen).spec
        if not weightless:
            source = weight_source(spec, chosen.weights or "seeded", spec.build(device="meta"))
        chosen = replace(chosen, weights="none")
    with staged(place.parent, MANIFEST_LAST) as stage, loaded(target, chosen, progress) as graph:
        asked = Extraction(module, call, not weightless, source, data)
        report = extract(graph, asked, stage / place.name, progress)
        _remove_stale(place, {file.name for file in report.files})
    return replace(report, files=tuple(place.parent / file.name for file in report.files))


def _require_place(place: Path, target: Target) -> None:
    """Refuse a place that is no ``.onnx`` file, or where the file that is to be cut or its weights stand.

    Raises:
        UsageError: it is one of these.
    """
    if place.suffix != ".onnx" or place.is_dir():
        raise UsageError(f"{place}: is no .onnx file; give --out a name such as block.onnx")
    if is_file(target) and place.resolve() == Path(target).resolve():
        raise UsageError(f"{place}: is the file to be cut; choose another --out")
    data = data_path_of(place)
    if is_file(target) and data.is_file() and _holds_weights_of(data, Path(target)):
        raise UsageError(f"{place}: {data.name} beside it holds weights of {target}; choose another --out")


def _holds_weights_of(data: Path, path: Path) -> bool:
    from onnxlens.profile.graph.loading.model_file import read_model
    from onnxlens.profile.subgraph.weight_files import data_files

    return data.resolve() in ((path.parent / name).resolve() for name in data_files(read_model(path)))


def _remove_stale(place: Path, written: Collection[str]) -> None:
    """Take away what an earlier file of the name left beside it: it would be taken for this one's."""
    from onnxlens.profile.graph.loading.model_file import read_manifest

    data, manifest = data_path_of(place), manifest_path_of(place)
    values = (values_path_of(place, "inputs"), values_path_of(place, "expected"))
    ours = (manifest, *values) if read_manifest(place) is not None else ()
    for stale in (data, *ours):
        if stale.name not in written:
            stale.unlink(missing_ok=True)
