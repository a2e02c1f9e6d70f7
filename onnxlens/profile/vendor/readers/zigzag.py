"""ZigZag's cost model: ``NAME_complete.json`` (or ``_simple``) of each layer in its dump folder.

Source: ``zigzag/stages/results/save.py`` and ``cost_model/cost_model.py`` of zigzag-dse 3.9.1. A layer's name
is that of its ONNX node. Energy is in picojoules, latency in cycles: loading, computation and offloading one
after another. MACs are the product of the layer's loop sizes. ``overall_*.json`` is the sum of all, and is
not a layer. The simple files have no name but the file's, in which ``/`` has become ``_``.
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Any

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import entry, known, named, number, whole
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "zigzag"


def _layer_files(given: Given) -> tuple[Path, ...]:
    """One file of each layer: the complete ones where there are any."""
    found = [
        path for path in given.all_named(r"_(complete|simple)\.json") if not path.name.startswith("overall_")
    ]
    complete = [path for path in found if path.name.endswith("_complete.json")]
    return tuple(sorted(complete or found, key=_order))


def _order(path: Path) -> tuple[object, ...]:
    """Names in the order of their numbers."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name))


def _recognizes(given: Given) -> bool:
    if given.path.is_dir():
        return bool(_layer_files(given))
    head = given.head()
    return '"outputs"' in head and '"word_accesses"' in head


def _read(given: Given) -> LayerReport:
    files = _layer_files(given) or given.files
    return LayerReport(
        TOOL,
        tuple(_record(given, path) for path in files),
        notes=("figures of ZigZag's cost model; a layer loads, computes and offloads one after another",),
    )


def _record(given: Given, path: Path) -> LayerRecord:
    where = str(path)
    document = entry(given.json(path), where)
    if "outputs" in document:
        return _complete(document, where)
    found = entry(document, where, "energy", "latency")
    figures = {"energy_pj": number(found["energy"], where), "cycles": number(found["latency"], where)}
    name = path.name.removesuffix("_simple.json")
    return LayerRecord(name, "", (name,), "", known(figures))


def _complete(document: Any, where: str) -> LayerRecord:
    outputs = entry(document["outputs"], f"{where}: outputs", "energy", "latency")
    layer = entry(
        entry(document.get("inputs"), f"{where}: inputs", "layer")["layer"], f"{where}: layer", "name"
    )
    latency = entry(
        outputs["latency"], f"{where}: latency", "data_onloading", "computation", "data_offloading"
    )
    cycles = {name: number(value, f"{where}: {name}") for name, value in latency.items()}
    compute = cycles["computation"]
    energy = entry(outputs["energy"], f"{where}: energy", "energy_total")["energy_total"]
    loops = layer.get("loop_dimensions")
    sizes = (
        [whole(size, f"{where}: loop_dimensions") for size in loops.values()]
        if isinstance(loops, dict)
        else []
    )
    figures = {
        "cycles": _whole(sum(cycles.values())),
        "compute_cycles": _whole(compute),
        "memory_cycles": _whole(cycles["data_onloading"] + cycles["data_offloading"]),
        "energy_pj": number(energy, f"{where}: energy_total"),
        "macs": prod(sizes) if sizes else 0,
    }
    name = named(layer["name"], where)
    return LayerRecord(name, str(layer.get("type", "")), (name,), "", known(figures))


def _whole(cycles: int | float) -> int | float:
    """Cycles, which ZigZag writes as floats, as the whole number that they are."""
    return int(cycles) if cycles == int(cycles) else cycles


READERS = (Reader(TOOL, "ZigZag's dump folder with a *_complete.json of each layer", _recognizes, _read),)
