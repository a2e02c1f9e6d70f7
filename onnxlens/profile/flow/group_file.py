"""A file of groups, in TOML; docs/grouping.md has its grammar."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.specs.flow import Group

FILE_KEYS = ("group", "include")
GROUP_KEYS = ("name", "modules", "closed", "group")
INCLUDE_KEYS = ("file", "within")


def read_groups(file: Path | str) -> tuple[Group, ...]:
    """The groups of a TOML file, those of the files that it includes first; for a ``FlowRequest``.

    Raises:
        UsageError: it cannot be read, is not TOML, holds something other than groups, or names two alike.
    """
    path = Path(file)
    document = _document(path)
    _require_keys(document, FILE_KEYS, path.name)
    groups = (*_included(document.get("include", []), path), *_groups(document.get("group", []), path.name))
    if not groups:
        raise UsageError(f"{path.name}: holds no group; start one with [[group]]")
    names = [name for group in groups for name in _names(group)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path.name}: two groups are named {name!r}; give each its own name")
    return groups


def _document(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{path}: cannot be read ({reason}); give a TOML file of groups") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: is not TOML: {error}") from error


def _included(given: Any, path: Path) -> Iterator[Group]:
    """The groups of other files, with the modules below the one that ``within`` names."""
    for entry in _tables(given, "include", path.name):
        _require_keys(entry, INCLUDE_KEYS, f"{path.name}: include")
        file, within = entry.get("file"), entry.get("within", "")
        if not isinstance(file, str) or not isinstance(within, str):
            raise UsageError(f'{path.name}: include takes a text: file = "other.toml", and within = "a.b"')
        document = _document(path.parent / file)
        _require_keys(document, ("group",), file)
        for group in _groups(document.get("group", []), file):
            yield _moved(group, within)


def _moved(group: Group, within: str) -> Group:
    prefix = f"{within}." if within else ""
    return replace(
        group,
        modules=tuple(prefix + module for module in group.modules),
        groups=tuple(_moved(inner, within) for inner in group.groups),
    )


def _tables(given: Any, key: str, where: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise UsageError(f"{where}: {key!r} is not a list of tables; start each with [[{key}]]")
    return given


def _groups(given: Any, source: str) -> tuple[Group, ...]:
    return tuple(_group(entry, source) for entry in _tables(given, "group", source))


def _group(entry: Mapping[str, Any], source: str) -> Group:
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f'{source}: a group\'s name is {name!r}; expected a text: name = "Encoder"')
    where = f"{source}: group {name!r}"
    _require_keys(entry, GROUP_KEYS, where)
    modules, closed = entry.get("modules", []), entry.get("closed", False)
    if not isinstance(modules, list) or not all(isinstance(module, str) for module in modules):
        raise UsageError(f"{where}: modules is {modules!r}; expected a list of paths and ranges")
    if not isinstance(closed, bool):
        raise UsageError(f"{where}: closed is {closed!r}; expected true or false")
    inner = _groups(entry.get("group", []), where)
    if not modules and not inner:
        raise UsageError(f"{where}: holds nothing; give it modules, or groups of its own")
    return Group(name, tuple(modules), inner, closed)


def _require_keys(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"{where}: unknown key {key!r}: {hint}the keys are {', '.join(known)}")


def _names(group: Group) -> list[str]:
    return [group.name, *(name for inner in group.groups for name in _names(inner))]
