"""An ``.npz`` of inputs that no library opens is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.runtime.inputs import read_inputs


def encrypted(data: bytes) -> bytes:
    """With the flag of a password in both headers of the zip's entry."""
    flags = bytearray(data)
    flags[data.index(b"PK\3\4") + 6] |= 1
    flags[data.index(b"PK\1\2") + 8] |= 1
    return bytes(flags)


def garbled(data: bytes) -> bytes:
    """With a compressed stream that is none."""
    start = data.index(b".npy") + 24
    return data[:start] + b"\xff" * 32 + data[start + 32 :]


@pytest.mark.parametrize("spoiled", [encrypted, garbled])
def test_an_archive_that_does_not_open_is_refused(spoiled: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.arange(4096))
    assert read_inputs(path)["x"].shape == (4096,)
    path.write_bytes(spoiled(path.read_bytes()))
    with pytest.raises(UsageError, match=r"a\.npz: cannot be read as \.npz"):
        read_inputs(path)
