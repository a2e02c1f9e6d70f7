"""Which dialects there are."""

from __future__ import annotations

from onnxlens.errors import UsageError
from onnxlens.export.dialects.dialect import Dialect
from onnxlens.export.dialects.k230 import K230

DIALECTS = {dialect.name: dialect for dialect in (K230,)}


def dialect_named(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in DIALECTS:
        raise UsageError(f"there is no dialect {name!r}; there is {', '.join(DIALECTS)}")
    return DIALECTS[name]
