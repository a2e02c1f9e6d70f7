"""Write files into a folder of their own and publish them when all are complete: at once, or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EISDIR, ENOTDIR
from pathlib import Path

from onnxlens.errors import GraphError, UsageError
from onnxlens.specs.manifest import data_path_of, manifest_path_of, read_manifest, values_path_of
from onnxlens.specs.temporary import owned_folder

STAGE_PREFIX = ".onnxlens-stage-"
"""How the names of the folders begin that results are written into."""

READY = ".onnxlens-ready"
"""A complete result, whose files are being moved into the folder around it. A kill leaves it for the next."""

STALE = ".stale"
"""In a result: the names of files of an earlier one which are removed with it, one a line."""

AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""Of Linux's renameat2: paths from the current folder; both names stay, with each other's content."""

LAST = (".onnx", ".json")
"""Weights are moved before the graph that points at them, and its manifest last."""


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Where to write a file that is published as ``path``, as ``staged`` does."""
    with staged(path.parent) as stage:
        yield stage / path.name


def staged_plot(out: Path | str, draw: Callable[[Path], None]) -> Path:
    """Publish what ``draw`` draws as ``out``, an svg or png.

    Raises:
        UsageError: another suffix, or ``out`` cannot be written.
    """
    from onnxlens.reports.plots.style import require_suffix

    path = Path(out)
    require_suffix(path)
    with staged_file(path) as file:
        draw(file)
    return path


@contextmanager
def staged(directory: Path, stale: Collection[str] = ()) -> Iterator[Path]:
    """A folder inside ``directory`` to write into; at the end its entries are published into ``directory``.

    After a kill at any moment ``directory`` has the earlier result or the new one, never a part; see
    ``settle``. Entries of other names stay.

    Args:
        directory: created if it is missing, and removed again if nothing is written into it.
        stale: names of an earlier result that are removed; read when the new one is published.

    Raises:
        UsageError: ``directory`` cannot be created or written.
    """
    made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    with ExitStack() as stack:
        stack.callback(_remove_empty, made)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with _locked(directory):
                stage = stack.enter_context(owned_folder(directory, STAGE_PREFIX))
        except OSError as error:
            raise UsageError(
                f"{directory}: cannot be written ({error.strerror or error}); choose another folder"
            ) from error
        try:
            yield stage
            with _locked(directory):
                _publish(stage, directory, stale)
        except OSError as error:
            where = f": {Path(error.filename).name}" if error.filename else ""
            raise UsageError(f"{directory}: writing failed ({error.strerror or error}{where})") from error


def _remove_empty(made: Collection[Path]) -> None:
    with suppress(OSError):  # ends at the first folder that is not empty
        for folder in made:
            folder.rmdir()


def require_replaceable(folder: Path, proof: str) -> None:
    """Refuse a folder that a result would replace, and that is none of ours.

    Args:
        folder: what is to be replaced as a whole.
        proof: a file that every earlier result of ours contains.

    Raises:
        UsageError: ``folder`` holds other files.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder}: is in the way, and no folder; choose another --out")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / proof).is_file():
        raise UsageError(f"{folder}: holds files that are not of an earlier run; choose another --out")


def settle(directory: Path) -> None:
    """Finish what a process that was killed has begun to publish into the folder, so that it can be read."""
    if (directory / READY).is_dir():
        with suppress(OSError), _locked(directory):  # where it cannot be written, digests tell
            _finish(directory)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let no other process publish into the folder, or begin to, meanwhile."""
    while True:
        lock = os.open(directory, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(lock), os.stat(directory)):
                yield
                return
        finally:
            os.close(lock)


def _publish(stage: Path, directory: Path, stale: Collection[str]) -> None:
    """Publish by one rename: of the only file, of the whole folder, or of the list of what is to be moved."""
    names = sorted(path.name for path in stage.iterdir())
    if not names and not stale:
        return
    for name in names:
        _require_same_kind(stage / name, directory / name)
    _finish(directory)
    old = {name for name in {*stale, *_stale_beside(stage, directory)} if (directory / name).exists()}
    if len(names) == 1 and not old and (stage / names[0]).is_file():
        os.replace(stage / names[0], directory / names[0])
        return
    known = {*names, *old, stage.parent.name}
    if not (_may_be_exchanged(directory, known) and _exchange(stage, directory)):
        if old:
            (stage / STALE).write_text("\n".join(old), encoding="utf-8")
        os.rename(stage, directory / READY)
        _finish(directory)


def _require_same_kind(source: Path, target: Path) -> None:
    if target.exists() and source.is_dir() != target.is_dir():
        code = EISDIR if target.is_dir() else ENOTDIR
        raise OSError(code, os.strerror(code), str(target))


def _stale_beside(stage: Path, directory: Path) -> Iterator[str]:
    """The files of an earlier result for the same graphs that the new one does not have."""
    for graph in stage.glob("*.onnx"):
        path = directory / graph.name
        beside = (manifest_path_of(path), *(values_path_of(path, kind) for kind in ("inputs", "expected")))
        for file in (data_path_of(path), *(beside if _is_ours(path) else ())):
            if not (stage / file.name).exists():
                yield file.name


def _is_ours(path: Path) -> bool:
    try:
        return read_manifest(path) is not None
    except GraphError:  # damaged
        return True


def _exchange(stage: Path, directory: Path) -> bool:
    """Let the stage take the folder's place; False if the system cannot."""
    whole = directory.resolve()
    with suppress(OSError), owned_folder(whole.parent, STAGE_PREFIX) as aside:
        shutil.copystat(whole, stage)
        os.rename(stage, aside)
        if _exchanged(aside, whole):
            return True
        os.rename(aside, stage)
    return False


def _finish(directory: Path) -> None:
    """Move what is ready into the folder. Whatever is done already is not done again."""
    ready = directory / READY
    if not ready.is_dir():
        return
    with owned_folder(directory, STAGE_PREFIX) as old, ExitStack() as held:
        listed = ready / STALE
        stale = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
        entries = [path for path in ready.iterdir() if path != listed]
        entries.sort(key=lambda path: LAST.index(path.suffix) + 1 if path.suffix in LAST else 0)
        for name in (*stale, *(path.name for path in entries)):
            with suppress(OSError):  # to free gigabytes takes long: not before all is moved
                held.callback(os.close, os.open(directory / name, os.O_RDONLY))
        for name in stale:
            if (directory / name).exists():
                os.rename(directory / name, old / name)
        for path in entries:
            if path.is_dir() and (directory / path.name).exists():
                os.rename(directory / path.name, old / path.name)
            os.replace(path, directory / path.name)
        listed.unlink(missing_ok=True)
        ready.rmdir()


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders of one file system; False if the system or the file system cannot."""
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    done: int = renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    return done == 0


def _may_be_exchanged(folder: Path, names: Collection[str]) -> bool:
    """Whether another folder can take its place unnoticed: it has only ``names``, and nobody works in it."""
    own = folder.stat()
    return (
        {path.name for path in folder.iterdir()} <= {*names}
        and (own.st_uid, own.st_gid) == (os.geteuid(), os.getegid())
        and not os.path.ismount(folder)
        and not _is_worked_in(own)
    )


def _is_worked_in(folder: os.stat_result) -> bool:
    """Whether it is the current folder of a process, such as a shell, which would be left in the old one."""
    for current in (Path(), *Path("/proc").glob("[0-9]*/cwd")):
        with suppress(OSError):  # it has ended, or is another user's
            if os.path.samestat(current.stat(), folder):
                return True
    return False
