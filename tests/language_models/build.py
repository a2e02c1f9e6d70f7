"""Files of the recipes: ``python build.py FOLDER FAMILY:SIZE:FORM..``, in the environment of its own.

A form is PRECISION-PROVIDER of onnxruntime-genai's model builder, with ``-qdq`` for its other layout of int4
weights, or ``torchOPSET`` for torch's exporter.
"""

from __future__ import annotations

import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import networks
import onnx
import recipes
from onnx import TensorProto

MOST_DATA_BYTES = 64 << 20
PATHS = ("pkg.torch.onnx.stack_trace", "pkg.torch.onnx.fx_node")


def recipe_of(family: str, size: int) -> Any:
    """The recipe of a name."""
    if family == "whisper":
        return recipes.WHISPERS[size]
    if family == "clip":
        return recipes.CLIPS[size]
    return next(sizes for sizes in recipes.FAMILIES if sizes[0].family == family)[size]


def build(folder: Path, family: str, size: int, form: str) -> list[Path]:
    """The files of one, in the folder."""
    recipe = recipe_of(family, size)
    with TemporaryDirectory() as temporary:
        made = Path(temporary) / "made"
        if form.startswith("torch"):
            import torch_export

            torch_export.export(recipe, made, form)
        else:
            source = Path(temporary) / "source"
            networks.save(recipe, source)
            _by_builder(source, made, form, Path(temporary))
        name = f"{family}-{size}-{form}"
        return [_kept(path, folder, name) for path in sorted(made.glob("*.onnx"))]


def _by_builder(source: Path, made: Path, form: str, temporary: Path) -> None:
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    precision, provider, *more = form.split("-")
    where = (None, str(source), str(made), precision, provider, str(temporary / "cache"))
    options = parse_extra_options(*where, ["use_qdq=true"] if "qdq" in more else [])
    config = options["hf_details"]["hf_config"]
    if config.model_type == "gemma3_text":
        _as_before_version_5(config)
    create_model(*where, **options)


def _as_before_version_5(config: Any) -> None:
    """The builder asks a Gemma 3 for the attributes that transformers 4 had."""
    config.rope_local_base_freq = 10_000.0
    config.rope_parameters = {"rope_type": "default", "rope_theta": 1_000_000.0}


def _kept(path: Path, folder: Path, name: str) -> Path:
    """The file under its name, with its data beside it where they are small."""
    stem = name if path.stem == "model" else f"{name}-{path.stem}"
    model = onnx.load(path, load_external_data=False)
    locations = set()
    for tensor in _tensors(model.graph):
        for entry in tensor.external_data:
            if entry.key == "location":
                locations.add(entry.value)
                entry.value = f"{stem}.onnx.data"
    _forget_the_machine(model)
    kept = folder / f"{stem}.onnx"
    kept.write_bytes(model.SerializeToString())
    for location in locations:
        if (path.parent / location).stat().st_size <= MOST_DATA_BYTES:
            shutil.copy(path.parent / location, folder / f"{stem}.onnx.data")
    return kept


def _forget_the_machine(model: onnx.ModelProto) -> None:
    """Torch's exporter keeps paths of source files."""
    for node in model.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key not in PATHS]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from _tensors(attribute.g)


def main() -> int:
    """Make all that were asked for; the failures are named, and counted."""
    folder, *wanted = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    failed = 0
    for each in wanted:
        family, size, form = each.split(":")
        try:
            paths = build(Path(folder), family, int(size), form)
            print("MADE", each, *(path.name for path in paths), flush=True)
        except Exception as reason:
            traceback.print_exc()
            print("FAILED", each, type(reason).__name__, reason, flush=True)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
