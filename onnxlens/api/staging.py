"""Write outputs into a temporary folder, rename them when they are complete; clear what killed runs left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from onnxlens.errors import UsageError

MANIFEST_LAST = (".onnx", ".json")
"""Weights are renamed into place first, then the graph that points at them, then its manifest."""

STAGE_PREFIX = ".onnxlens-"
"""The start of every temporary folder's name; the process id follows."""


@contextmanager
def staged(directory: Path, order: Sequence[str] = ()) -> Iterator[Path]:
    """A temporary folder inside ``directory``; at the end, its files are moved into ``directory``.

    Args:
        directory: created if it is missing, and removed again if nothing is written into it.
        order: suffixes of the files to move last, in this order: a manifest after what it describes.

    Raises:
        UsageError: ``directory`` cannot be created or written.
    """
    made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(directory)
        stage = Path(tempfile.mkdtemp(prefix=f"{STAGE_PREFIX}{os.getpid()}-", dir=directory))
    except OSError as error:
        raise UsageError(
            f"{directory}: cannot be written ({error.strerror or error}); choose another --out"
        ) from error
    try:
        yield stage
        ranks = {suffix: rank for rank, suffix in enumerate(order, start=1)}
        for path in sorted(stage.iterdir(), key=lambda path: ranks.get(path.suffix, 0)):
            os.replace(path, directory / path.name)
    except OSError as error:
        raise UsageError(
            f"{directory}: writing failed ({error.strerror or error}: {error.filename})"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        with suppress(OSError):  # ends at the first folder that is not empty
            for folder in made:
                folder.rmdir()


@contextmanager
def staged_folder(folder: Path, proof: str) -> Iterator[Path]:
    """A temporary folder that replaces ``folder`` as a whole at the end.

    ``folder`` is removed first, so that after an error no earlier result is mistaken for this run's.

    Args:
        folder: what to replace.
        proof: a file that every earlier result of ours contains; a folder without it is not replaced.

    Raises:
        UsageError: ``folder`` holds other files, or cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder}: is in the way, and no folder; choose another --out")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / proof).is_file():
        raise UsageError(f"{folder}: holds files that are not of an earlier run; choose another --out")
    with staged(folder.parent) as stage:
        shutil.rmtree(folder, ignore_errors=True)
        (stage / folder.name).mkdir()
        yield stage / folder.name


LOCK = "lock"
"""In a folder among the system's temporary ones: locked as long as the process lives that made the folder."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder among the system's temporary ones, removed at the end; those of killed processes go first.

    Containers may share that place, and process numbers mean nothing between them: a lock tells who lives.
    """
    _clear_unlocked(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=STAGE_PREFIX.lstrip("."), ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / "new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "new").rename(folder / LOCK)  # nobody finds it before it is locked
            (folder / "files").mkdir()
            yield folder / "files"


def _clear_unlocked(place: Path) -> None:
    for path in place.glob(f"{STAGE_PREFIX.lstrip('.')}*/{LOCK}"):
        with (
            suppress(OSError),
            path.open("a") as lock,
        ):  # another user's, or a living process's
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)


def _clear_leftovers(directory: Path) -> None:
    """Remove the temporary folders of processes that were killed: they can hold gigabytes."""
    for stage in directory.glob(f"{STAGE_PREFIX}*-*"):
        process = stage.name.removeprefix(STAGE_PREFIX).partition("-")[0]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(stage, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
