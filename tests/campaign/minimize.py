"""Makes a failing file smaller, as long as it fails alike."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from google.protobuf.message import DecodeError

from tests.campaign.mutations import sites

TRIES = 80

Fails = Callable[[bytes], bool]


def smaller(name: str, data: bytes, fails: Fails) -> bytes:
    """The file with everything taken out that its failing does not need, in a limited number of tries."""
    if not fails(data):  # it does not fail each time
        return data
    try:
        model = onnx.ModelProto.FromString(data) if name.endswith(".onnx") else None
    except DecodeError:
        model = None
    return _smaller_text(data, fails) if model is None else _smaller_model(data, fails)


def _smaller_model(data: bytes, fails: Fails) -> bytes:
    """Fields taken out one by one, the outermost first."""
    place = 0
    for _ in range(TRIES):
        model = onnx.ModelProto.FromString(data)
        found = [*sites(model)]
        if place >= len(found):
            break
        found[place].remove()
        less = model.SerializeToString()
        if fails(less):
            data = less
        else:
            place += 1
    return data


def _smaller_text(data: bytes, fails: Fails) -> bytes:
    """Pieces cut out, large ones first."""
    size, tries = max(len(data) // 2, 1), 0
    while size and tries < TRIES:
        place = 0
        while place < len(data) and tries < TRIES:
            less = data[:place] + data[place + size :]
            tries += 1
            if fails(less):
                data = less
            else:
                place += size
        size //= 2
    return data
