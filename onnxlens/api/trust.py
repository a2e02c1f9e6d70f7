"""Which factories this user has called here: a proof in the manifest of what they exported.

A manifest from elsewhere may name any function. One that was written here, for a factory that the user had
named, holds a code that only this user's key makes: `check` of one's own export needs no second word.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress

from onnxlens.api.cache import cache_folder
from onnxlens.specs.manifest import Manifest

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
