"""JSON with an entry on each line: small, and fit to be compared by lines."""

from __future__ import annotations

import json
from typing import Any


def lined_text(document: Any, levels: int) -> str:
    """The document, its outer ``levels`` opened, an entry on each line; what is deeper stays on its line."""
    return _lined(document, levels) + "\n"


def _lined(value: Any, levels: int) -> str:
    if levels == 0 or not isinstance(value, dict | list) or not value:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    if isinstance(value, dict):
        entries = (f"{json.dumps(str(key))}:{_lined(item, levels - 1)}" for key, item in value.items())
        return "{\n" + ",\n".join(entries) + "\n}"
    return "[\n" + ",\n".join(_lined(item, levels - 1) for item in value) + "\n]"
