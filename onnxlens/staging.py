"""Outputs are written beside their place and renamed into it: nothing half-written bears a final name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from onnxlens.errors import UsageError


@contextmanager
def staged(directory: Path, order: Sequence[str] = ()) -> Iterator[Path]:
    """A fresh folder inside ``directory``; what stands in it at the end is renamed into ``directory``.

    Args:
        directory: made where it is missing.
        order: suffixes of the files to be renamed last, in this order: a manifest comes after what it
            describes.

    Raises:
        UsageError: ``directory`` cannot be made or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".onnxlens-", dir=directory))
    except OSError as error:
        raise UsageError(
            f"{directory}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    try:
        yield stage
        for path in sorted(stage.iterdir(), key=lambda path: _place(path, order)):
            os.replace(path, directory / path.name)
    except OSError as error:
        raise UsageError(f"{directory}: writing failed ({error.strerror}: {error.filename})") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _place(path: Path, order: Sequence[str]) -> int:
    return order.index(path.suffix) + 1 if path.suffix in order else 0
