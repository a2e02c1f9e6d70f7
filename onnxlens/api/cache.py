"""A cache of exported catalog graphs, without weights, in the user's cache directory.

An entry is one zip file, renamed into its folder when it is complete; its checksums reveal damage.

Beside it stands this user's key, for a proof in the manifest of what they exported. A manifest from elsewhere
may name any function; one that was written here, for a factory that the user had named, holds a code that
only this key makes: ``check`` of one's own export needs no second word.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from zlib import error as ZlibError

from onnxlens.specs.manifest import Manifest

WRITERS = ("torch", "onnx", "onnx-ir", "onnxscript")
"""The packages whose versions, like our own sources, decide what an exported graph looks like."""

MOST_BYTES = 256 * 2**20
"""Limit for all entries together; the least recently used ones are removed first."""


def cache_folder() -> Path:
    """The folder of all entries: ``ONNXLENS_CACHE``, else the platform's user cache directory."""
    if chosen := os.environ.get("ONNXLENS_CACHE"):
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("onnxlens")


def entry_key(settings: Mapping[str, object]) -> str:
    """The key of an entry: a hash of the settings, this package's sources and the writers' versions."""
    versions = {package: version(package) for package in WRITERS}
    parts = (sorted(settings.items()), sorted(versions.items()), sys.version_info[:2], _sources_digest())
    return sha256(repr(parts).encode()).hexdigest()[:32]


@cache
def _sources_digest() -> str:
    root = Path(__file__).parents[1]
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def fetch(key: str, folder: Path) -> bool:
    """Write the entry's files into ``folder``; False if there is no entry, or a damaged one."""
    path = _path_of(key)
    try:
        with zipfile.ZipFile(path) as entry:
            contents = {name: entry.read(name) for name in entry.namelist()}
        os.utime(path)  # the time of last use
    except FileNotFoundError:
        return False
    except (OSError, zipfile.BadZipFile, ZlibError, EOFError):
        with suppress(OSError):
            path.unlink()
        return False
    for name, content in contents.items():
        (folder / Path(name).name).write_bytes(content)
    return True


def store(key: str, *files: Path) -> None:
    """Store copies of the files under ``key``; if that fails, log a warning."""
    path = _path_of(key)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as entry:
                for file in files:
                    entry.write(file, file.name)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        _evict(path.parent)
    except OSError as error:
        import logging

        logging.getLogger(__name__).warning("onnxlens: the cache cannot be written: %s", error)


def _path_of(key: str) -> Path:
    return cache_folder() / "graphs" / f"{key}.zip"


def _evict(folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Remove the least recently used files, leftovers of killed processes included, until the rest fits."""
    entries = []
    for path in (*folder.glob("*.zip"), *folder.glob("*.part")):
        with suppress(FileNotFoundError):  # another process may evict too
            entries.append((path.stat().st_mtime, path.stat().st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= most_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size


KEY_BYTES = 32


def proof_of(origin: str) -> str | None:
    """The code for a factory that the user has named; None where the key can be neither read nor written."""
    key = _key()
    return None if key is None else hmac.digest(key, origin.encode(), "sha256").hex()


def is_proven(manifest: Manifest) -> bool:
    """Whether this user has named the factory here, when the file was exported."""
    expected = proof_of(manifest.origin) if manifest.origin_proof else None
    return expected is not None and hmac.compare_digest(expected, manifest.origin_proof or "")


def _key() -> bytes | None:
    """This user's key, made at first use; readable by them alone."""
    path = cache_folder() / "key"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
        return key if len(key) == KEY_BYTES else None
    return None
