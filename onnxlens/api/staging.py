"""Outputs are written into a temporary folder and renamed: nothing half-written has a final name."""

from __future__ import annotations

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
"""Before the process id, in the name of every stage."""


@contextmanager
def staged(directory: Path, order: Sequence[str] = ()) -> Iterator[Path]:
    """A fresh folder inside ``directory``; what stands in it at the end is renamed into ``directory``.

    Args:
        directory: made where it is missing; taken away again when nothing comes into it.
        order: suffixes of the files to be renamed last, in this order: a manifest comes after what it
            describes.

    Raises:
        UsageError: ``directory`` cannot be made or written.
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
        for path in sorted(stage.iterdir(), key=lambda path: _place(path, order)):
            os.replace(path, directory / path.name)
    except OSError as error:
        raise UsageError(
            f"{directory}: writing failed ({error.strerror or error}: {error.filename})"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        with suppress(OSError):  # from the first that is not empty on, they stay
            for folder in made:
                folder.rmdir()


@contextmanager
def staged_folder(folder: Path, proof: str) -> Iterator[Path]:
    """A fresh folder beside ``folder``; at the end it replaces that folder as a whole.

    Whatever happens, nothing of an earlier run is left in ``folder``: it would be taken for this run's.

    Args:
        folder: what to replace.
        proof: a file by which an earlier result of ours is known; a folder without it is somebody else's.

    Raises:
        UsageError: ``folder`` is somebody else's, or cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder}: is in the way, and no folder; choose another --out")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / proof).is_file():
        raise UsageError(f"{folder}: holds files that are not of an earlier run; choose another --out")
    with staged(folder.parent) as stage:
        shutil.rmtree(folder, ignore_errors=True)
        (stage / folder.name).mkdir()
        yield stage / folder.name


def _clear_leftovers(directory: Path) -> None:
    """Take away the stages of processes that were killed: they can hold gigabytes."""
    for stage in directory.glob(f"{STAGE_PREFIX}*-*"):
        process = stage.name.removeprefix(STAGE_PREFIX).partition("-")[0]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(stage, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _place(path: Path, order: Sequence[str]) -> int:
    return order.index(path.suffix) + 1 if path.suffix in order else 0
