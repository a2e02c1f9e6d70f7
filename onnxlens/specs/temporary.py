"""Folders that belong to a living process; those of one that was killed are cleared by the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "onnxlens-tmp-"
"""How the names of all such folders begin, among the system's temporary ones."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder among the system's temporary ones, removed at the end; those of killed processes go first.

    Raises:
        OSError: it cannot be written, such as where the disk is full.
    """
    place = Path(tempfile.gettempdir())
    try:
        with owned_folder(place, PREFIX) as folder:
            yield folder
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(place)) from error  # a write does not say where


@contextmanager
def owned_folder(place: Path, prefix: str) -> Iterator[Path]:
    """An empty folder inside one in ``place`` that is removed at the end; those of killed processes go first.

    Containers may share the place, and process numbers mean nothing between them: a lock tells who lives.

    Args:
        place: where it is made.
        prefix: how its name begins, and no other program's; any folder of such a name may be removed.
    """
    _clear_unowned(place, prefix)
    folder, lock = _owned(place, prefix)
    try:
        (folder / "files").mkdir()
        yield folder / "files"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _owned(place: Path, prefix: str) -> tuple[Path, int]:
    """A new folder, and the descriptor whose lock ends with this process."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        with suppress(FileNotFoundError):  # until it is locked, others clear it
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks, where nobody clears anything
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _clear_unowned(place: Path, prefix: str) -> None:
    for folder in place.glob(f"{prefix}*"):
        with suppress(OSError):  # a living process's, or another user's
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
