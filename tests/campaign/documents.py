"""Changes of JSON, TOML, checkpoints and other files that are not models."""

from __future__ import annotations

import io
import json
import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator, MutableMapping, MutableSequence
from contextlib import suppress
from random import Random
from typing import Any

import torch

from tests.campaign.mutations import TEXTS, bytes_changed

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**31, 2**62, 10**30, float("inf"), float("nan")),
    *([], {}, [[]], [-1, 2], {"": {}}, *TEXTS),
)

Holder = MutableMapping[Any, Any] | MutableSequence[Any]


def _places(document: Any) -> Iterator[tuple[Holder, Any]]:
    """Every value in a document: what holds it, and its key or index there."""
    if isinstance(document, MutableMapping):
        keys: list[Any] = [*document]
    elif isinstance(document, MutableSequence):
        keys = [*range(len(document))]
    else:
        return
    for key in keys:
        yield document, key
        yield from _places(document[key])


def json_changed(rng: Random, data: bytes) -> bytes:
    """A JSON document with some values changed, taken out, exchanged or doubled, or with its text damaged."""
    if rng.random() < 0.1:
        return rng.choice(
            (bytes_changed(rng, data), b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"1" * 5000)
        )
    document = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = [*_places(document)]
        holder, key = rng.choice(places)
        match rng.choice(("value", "value", "take", "swap", "double", "add")):
            case "value":
                holder[key] = rng.choice(VALUES)
            case "take":
                del holder[key]
            case "swap":
                other, at = rng.choice(places)
                holder[key] = json.loads(json.dumps(other[at]))
            case "double" if isinstance(holder, MutableSequence):
                holder.append(json.loads(json.dumps(holder[key])))
            case "add" if isinstance(holder, MutableMapping):
                holder[rng.choice(TEXTS)] = rng.choice(VALUES)
        if not [*_places(document)]:
            break
    return json.dumps(document).encode("utf-8", "replace")


def toml_changed(rng: Random, data: bytes) -> bytes:
    """A TOML file with words of it exchanged for others."""
    if rng.random() < 0.2:
        return rng.choice((bytes_changed(rng, data), b"group = " + b"[" * 20_000))
    lines = data.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2))):
        line = rng.randrange(len(lines))
        name, equals, _ = lines[line].partition(" = ")
        match rng.choice(("value", "value", "take", "double", "name")):
            case "value" if equals:
                value = rng.choice([one for one in VALUES if one is not None])
                lines[line] = f"{name} = {json.dumps(value)}"
            case "take":
                lines[line] = ""
            case "double":
                lines.append(lines[line])
            case "name" if equals:
                lines[line] = f"{rng.choice(('name', 'modules', 'file', 'within', 'odd'))} = {_}"
    return "\n".join(lines).encode()


class Marker:
    """Makes a file in the current folder when it is unpickled by a reader that runs code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("marker", "w")


def checkpoint_changed(rng: Random, name: str, data: bytes) -> bytes:
    """A checkpoint with other content or damaged bytes, as its format allows."""
    if name.endswith(".json"):
        return json_changed(rng, data)
    if rng.random() < 0.4:
        return bytes_changed(rng, data)
    if name.endswith(".safetensors"):
        (length,) = struct.unpack("<Q", data[:8])
        header = json_changed(rng, data[8 : 8 + length])
        size = rng.choice((len(header), len(header), len(header), 0, 2**40, 2**63))
        return struct.pack("<Q", size) + header + data[8 + length :]
    if name.endswith(".pth") and rng.random() < 0.4:
        return _archive_changed(rng, data)
    return _pickle_of(rng, torch.load(io.BytesIO(data), weights_only=True), zipped=name.endswith(".pth"))


def _archive_changed(rng: Random, data: bytes) -> bytes:
    """The zip archive of a checkpoint with one member changed or missing."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as held, zipfile.ZipFile(file, "w") as written:
        names = held.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = held.read(name)
            if name == chosen and rng.random() < 0.3:
                continue
            written.writestr(name, bytes_changed(rng, content) if name == chosen else content)
    return file.getvalue()


def _pickle_of(rng: Random, state: dict[str, Any], *, zipped: bool) -> bytes:
    """A file of the same entries, some of which are something else."""
    held = state.get("state_dict", state)
    for key in rng.sample([*held], rng.choice((1, 2))):  # each once: odd tensors cannot be made odder
        held[key] = rng.choice(_odd_tensors(held[key]))
    if rng.random() < 0.2:
        del held[rng.choice([*held])]
    if rng.random() < 0.1:
        return pickle.dumps(Marker(), protocol=2)
    file = io.BytesIO()
    with suppress(RuntimeError, pickle.PicklingError):
        torch.save(state, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def _odd_tensors(value: Any) -> list[Any]:
    tensor = value if isinstance(value, torch.Tensor) else torch.ones(2)
    floating = tensor.float()
    odd = [
        tensor[None],
        tensor.to(torch.complex64),
        tensor.to(torch.int8),
        tensor.bool(),
        floating.to(torch.float8_e4m3fn),
        floating.bfloat16(),
        floating.double(),
        floating * float("nan"),
        floating * float("inf"),
        floating.to_sparse(),
        torch.empty_like(floating, device="meta"),
        _quantized(floating),
        floating.new_zeros(()),
        floating.new_zeros(0),
        floating.reshape(-1)[:1].expand(2**20, 2**20),
        {"deeper": {"still": {"more": tensor}}},
    ]
    return [*odd, *VALUES]


def _quantized(tensor: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but files hold it
        return torch.quantize_per_tensor(tensor, 0.1, 0, torch.quint8)
