"""The specs as JSON and back: every field under its own name, None left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from json.encoder import encode_basestring_ascii
from math import isfinite
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any, TypeVar

from onnxlens.errors import GraphError

if TYPE_CHECKING:
    from cattrs.preconf.json import JsonConverter

T = TypeVar("T")

INDENT = "  "


@cache
def _converter() -> JsonConverter:
    from cattrs.preconf.json import make_converter

    return make_converter(forbid_extra_keys=True)


_SCALARS: Mapping[type, Callable[[Any], str]] = {
    str: encode_basestring_ascii,
    int: repr,
    float: lambda value: repr(value) if isfinite(value) else "null",
    bool: lambda value: "true" if value else "false",
    NoneType: lambda value: "null",
}
"""How JSON writes each scalar."""


def to_plain(value: Any) -> Any:
    """Dicts, lists, strings and numbers for a spec or a container of specs; None fields are left out."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, list | tuple):
        return [item if type(item) in _SCALARS else to_plain(item) for item in value]
    if isinstance(value, dict | MappingProxyType):
        return _entries(value)
    kind: type = type(value)
    return _entries({name: getattr(value, name) for name in _field_names(kind)})


def _entries(entries: Mapping[Any, Any]) -> dict[Any, Any]:
    return {
        key: item if type(item) in _SCALARS else to_plain(item)
        for key, item in entries.items()
        if item is not None
    }


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def from_plain(plain: Any, kind: type[T], where: str) -> T:
    """The spec of class ``kind`` that ``to_plain`` gave ``plain`` for; ``where`` it is from, for the message.

    Raises:
        GraphError: the fields or types of ``plain`` are not those of ``kind``.
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
    return _indented(to_plain(value), "\n") + "\n"


def _indented(value: Any, line: str) -> str:
    """What ``json.dumps(value, indent=2)`` gives, in a third of its time; ``line`` starts a line."""
    if (scalar := _SCALARS.get(type(value))) is not None:
        return scalar(value)
    inner = line + INDENT
    if isinstance(value, dict):
        items = [
            f"{encode_basestring_ascii(str(key))}: {_indented(item, inner)}" for key, item in value.items()
        ]
        return f"{{{inner}{f',{inner}'.join(items)}{line}}}" if items else "{}"
    items = [_indented(item, inner) for item in value]
    return f"[{inner}{f',{inner}'.join(items)}{line}]" if items else "[]"


def read_spec(path: Path, kind: type[T]) -> T:
    """A spec from the JSON file at ``path``.

    Raises:
        GraphError: the file cannot be read, is not JSON, or is not a ``kind``.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise GraphError(f"{path}: cannot be read as JSON: {error}") from error
    return from_plain(plain, kind, str(path))
