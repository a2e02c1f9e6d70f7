"""Write outputs into a temporary folder, and rename them when they are complete."""

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
