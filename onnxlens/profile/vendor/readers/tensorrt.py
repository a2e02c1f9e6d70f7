"""TensorRT: the times of ``trtexec --exportProfile`` and the layers of ``--exportLayerInfo``.

Sources: ``samples/common/sampleReporting.cpp`` and the examples of ``trt-engine-explorer``, in NVIDIA's
repository TensorRT. A profile is ``[{"count": RUNS}, {"name":.., "timeMs":.., "averageMs":..}, ..]``.

Built with ``--profilingVerbosity=detailed``, a layer of the other file is an object with its shapes and
``Metadata``: the ONNX nodes as ``[ONNX Layer: NAME]``, one after another behind the character 0x1F, groups of
them behind 0x1E. Without that verbosity it is a name; a fused one joins those of its nodes with `` + `` and
`` || ``. Layers of the engine, such as ``Reformatting CopyNode for Input Tensor 0 to ..``, lead to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import entry, known, listed, named, refuse, seconds
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "tensorrt"

METADATA = re.compile(r"\[ONNX Layer: ([^\x1e\x1f]*)\](?=[\x1e\x1f\[]|\Z)")

OWN = re.compile(
    r"Reformatting CopyNode|\[?trainStation\d|.* (input|output) reformatter \d+\Z|.* copy\Z"
    r"|.*\[DevicetoShapeHostCopy\]\Z"
)
"""Layers that the engine adds, of versions 7 to 10: they move data for others."""

OTHER = re.compile(r'"(?:computeMs|startComputeMs)" ?:|=== Profile \(\d+ iterations')
"""What ``--exportTimes`` and ``--dumpProfile`` write: times of whole runs, and a table to look at."""

ORIGINS = frozenset({"REFORMAT", "SHUFFLE_REFORMAT"})
"""What the origin of such a layer is, where the file says it."""


def _recognizes(given: Given) -> bool:
    return any(
        _is_profile(given, path) or _is_layers(given, path) or OTHER.search(given.head(path))
        for path in _files(given)
    )


def _files(given: Given) -> tuple[Path, ...]:
    return given.all_named(r"\.(json|profile)") if given.path.is_dir() else given.files


def _is_profile(given: Given, path: Path) -> bool:
    return '"averageMs"' in given.head(path)


def _is_layers(given: Given, path: Path) -> bool:
    head = given.head(path)
    return head.lstrip().startswith("{") and re.search(r'"Layers"\s*:\s*\[', head) is not None


def _read(given: Given) -> LayerReport:
    files = [*_files(given), *([given.names] if given.names else ())]
    for path in files:
        given.text(path)  # says what is wrong with a file that is no text
    profiles = [path for path in files if _is_profile(given, path)]
    engines = [path for path in files if _is_layers(given, path)]
    if len(profiles) != 1 or len(engines) > 1:
        refuse(
            given.path,
            f"{len(profiles)} profiles and {len(engines)} files of layers",
            "give the JSON of trtexec --exportProfile, and that of --exportLayerInfo",
        )
    layers = _layers(given, engines[0]) if engines else {}
    where = str(profiles[0])
    runs, *rows = listed(given.json(profiles[0]), where, "layers") or [None]
    entry(runs, f"{where}: entry 0", "count")
    records = tuple(_record(row, layers, f"{where}: layer {at}") for at, row in enumerate(rows, 1))
    lacking = sum(record.name not in layers for record in records) if engines else 0
    notes = (f"{lacking} layers of the profile are not in {engines[0].name}",) if lacking else ()
    return LayerReport(
        TOOL, records, notes=notes if engines else ("no file of layers: names alone tell the nodes",)
    )


def _layers(given: Given, path: Path) -> Mapping[str, Mapping[str, Any]]:
    """What the engine says of each layer, by its name; nothing of a layer that is only a name."""
    where = str(path)
    layers = listed(entry(given.json(path), where, "Layers")["Layers"], where, "layers")
    details: dict[str, Mapping[str, Any]] = {}
    for at, layer in enumerate(layers):
        if isinstance(layer, str):
            details[layer] = {}
        else:
            found = entry(layer, f"{where}: layer {at}", "Name")
            details[named(found["Name"], f"{where}: layer {at}")] = found
    return details


def _record(row: Any, layers: Mapping[str, Mapping[str, Any]], where: str) -> LayerRecord:
    found = entry(row, where, "name", "averageMs")
    name = named(found["name"], where)
    layer = layers.get(name, {})
    return LayerRecord(
        name,
        str(layer.get("ParameterType", layer.get("LayerType", ""))),
        _sources(name, layer),
        "dla" if layer.get("LayerType") == "DLA" else "gpu",
        known({"time_s": seconds(found["averageMs"], "ms", f"{where}: averageMs")}),
        _shapes(layer.get("Inputs")),
        _shapes(layer.get("Outputs")),
    )


def _sources(name: str, layer: Mapping[str, Any]) -> tuple[str, ...]:
    """The nodes of a layer: what its metadata says, else the parts of its name; none of the engine's own."""
    nodes = METADATA.findall(str(layer.get("Metadata", "")))
    if nodes:
        return tuple(dict.fromkeys(nodes))
    if OWN.match(name) or str(layer.get("Origin")) in ORIGINS:
        return ()
    return tuple(re.split(r" \+ | \|\| ", name))


def _shapes(tensors: Any) -> tuple[tuple[int, ...], ...]:
    """The shapes of a layer's tensors, where all of their sizes are known."""
    given = tensors if isinstance(tensors, list) else ()
    sizes: list[Any] = [each.get("Dimensions") for each in given if isinstance(each, dict)]
    if not all(isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape) for shape in sizes):
        return ()
    return tuple(tuple(shape) for shape in sizes)


READERS = (
    Reader(
        TOOL, "trtexec's --exportProfile JSON, with that of --exportLayerInfo beside it", _recognizes, _read
    ),
)
