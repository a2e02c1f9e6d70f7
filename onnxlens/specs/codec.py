"""The specs as JSON and back: every field under its own name, None left out."""

from __future__ import annotations

import json
from functools import cache
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from onnxlens.errors import GraphError

if TYPE_CHECKING:
    from cattrs.preconf.json import JsonConverter

T = TypeVar("T")


@cache
def _converter() -> JsonConverter:
    from cattrs.preconf.json import make_converter

    return make_converter(forbid_extra_keys=True)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def to_plain(value: object) -> Any:
    """Dicts, lists, strings and numbers for a spec or a container of specs; None fields are left out."""
    return _without_none(_converter().unstructure(value))


def from_plain(plain: Any, kind: type[T], where: str) -> T:
    """The spec that ``to_plain`` gave ``plain`` for.

    Args:
        plain: the data.
        kind: the spec's class.
        where: what is being read, for the message.

    Raises:
        GraphError: ``plain`` has not the fields or types of ``kind``.
    """
    from cattrs import BaseValidationError, transform_error

    if not isinstance(plain, dict):
        raise GraphError(f"{where}: not a {kind.__name__}: a {type(plain).__name__}, expected an object")
    try:
        return _converter().structure(plain, kind)
    except BaseValidationError as error:
        raise GraphError(f"{where}: not a {kind.__name__}: {transform_error(error)[0]}") from error


def to_text(value: object) -> str:
    """A spec, or plain data, as an indented JSON document with a last newline; NaN and infinity are null."""
    return json.dumps(_finite(to_plain(value)), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """Null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def read_spec(path: Path, kind: type[T]) -> T:
    """A spec from the JSON file at ``path``.

    Raises:
        GraphError: the file cannot be read, is not JSON, or is not a ``kind``.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GraphError(f"{path}: cannot be read as JSON: {error}") from error
    return from_plain(plain, kind, str(path))
