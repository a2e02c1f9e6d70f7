"""The files of records: packed, and told apart by what they were made of."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from onnx.external_data_helper import ExternalDataInfo, set_external_data, uses_external_data

PACKED = ".gz"

SMALL = 1024
"""Bytes of constants that stay in a file without weights: shapes and scales."""


def digest_of(path: Path) -> str:
    """Of an ONNX file and its weights, wherever they are."""
    model = onnx.load(path, load_external_data=False)
    digest = sha256(model.SerializeToString(deterministic=True))
    outside = (ExternalDataInfo(each) for each in model.graph.initializer if uses_external_data(each))
    for name in dict.fromkeys(info.location for info in outside):
        with (path.parent / name).open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


def weightless(path: Path) -> bytes:
    """An ONNX file without the values of its weights."""
    model = onnx.load(path, load_external_data=False)
    for weight in model.graph.initializer:
        if not uses_external_data(weight) and weight.ByteSize() > SMALL:
            set_external_data(weight, "weights", 0, len(weight.raw_data))
            weight.ClearField("raw_data")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def text_of(document: Mapping[str, Any]) -> str:
    """A record as JSON: a line for its head and one for each layer, without what is empty."""
    report = dict(document["report"])
    records = ",\n".join(_line(record) for record in report.pop("records"))
    head = _line({**document, "report": _filled(report)})[:-2]
    return f'{head}, "records": [\n{records}\n]}}}}\n'


def _line(entries: Mapping[str, Any]) -> str:
    return json.dumps(_filled(entries), separators=(",", ":"))


def _filled(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if value not in ("", [], {})}


def write_packed(path: Path, content: bytes) -> None:
    """A packed file of the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0))


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file, or what is packed in it, for a while."""
    if path.suffix != PACKED:
        yield path
        return
    with TemporaryDirectory(prefix="onnxlens-") as made:
        out = Path(made) / path.stem
        out.write_bytes(gzip.decompress(path.read_bytes()))
        yield out
