"""What a format makes of a layer, its name in a file, and data as YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnxlens.specs.workload import WorkLayer

LONGEST = 120
"""Of a layer's name, which becomes that of a file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A layer in a file.

    Attributes:
        times: how often it runs, where the format cannot say so.
        macs_each: MACs of one time, from the figures that the file has.
        form: all that the file says of it but its name: layers of one form have equal figures.
    """

    layer: WorkLayer
    name: str
    file: str
    times: int
    macs_each: int
    form: str


@dataclass(frozen=True, slots=True)
class Files:
    """What a format is for a graph.

    Attributes:
        texts: by file name.
        refused: why a layer is in none, by the position of its node.
    """

    texts: Mapping[str, str]
    entries: Sequence[Entry]
    refused: Mapping[int, str]


def stem_of(name: str) -> str:
    """A name that any file can have."""
    return re.sub(r"[^\w.#-]", "_", name).lstrip(".")


def file_names(layers: Sequence[WorkLayer], fits: Callable[[str], bool]) -> Sequence[str]:
    """A name for each layer: its own where the tool takes it and no other is like it, else its number."""
    taken: set[str] = set()
    names = []
    for number, layer in enumerate(layers, 1):
        stem, name = stem_of(layer.name), layer.name
        if not stem or len(stem) > LONGEST or stem in taken or not fits(layer.name):
            name = stem = f"layer-{number}"
        taken.add(stem)
        names.append(name)
    return names


def yaml_text(value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """Mappings, and lists of them, as YAML; lists of scalars in one line, texts quoted as in JSON."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Sequence[str]:
    if isinstance(value, dict):
        return [line for key, item in value.items() for line in _entry(f"{key}:", item)]
    lines: list[str] = []
    for item in value:
        first, *others = _lines(item)
        lines += [f"- {first}", *(f"  {line}" for line in others)]
    return lines


def _entry(key: str, item: Any) -> Sequence[str]:
    of_maps = isinstance(item, list) and any(isinstance(each, dict) for each in item)
    if isinstance(item, dict) or of_maps:
        return [key, *(f"  {line}" for line in _lines(item))]
    return [f"{key} {json.dumps(item)}"]
