"""Chip files, in TOML: docs/hardware.md has their grammar. A figure without source or grade is refused."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from itertools import combinations
from math import inf
from pathlib import Path
from typing import Any

from onnxlens.errors import GraphError, UsageError
from onnxlens.specs.array_fit import LAYERS, FitRule
from onnxlens.specs.chip import GRADES, HOLDS, RATES, Chip, Figure, Memory
from onnxlens.specs.tensor import DTYPE_BITS

CHIPS = Path(__file__).parent / "chips"
"""The chips that come with the package."""

KEYS = (
    "title", "cores", "clock_hz", "power_w", *RATES, "memory", "array", "not_published", "notes", "sources",
    "system", "systems", "chips",
)  # fmt: skip
FIGURE_KEYS = ("value", "source", "grade", "note")
MEMORY_KEYS = ("holds", "size_bytes", "bytes_per_s")
DTYPES = frozenset({*DTYPE_BITS, "tf32"})


def _is_count(given: Any, least: int = 1) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= least


def _are_operands(given: Any) -> bool:
    """Weights x activations."""
    dtypes = given.split("x") if isinstance(given, str) else []
    return len(dtypes) == 2 and DTYPES.issuperset(dtypes)


def _is_rate(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < inf


def _listed(is_one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda given: isinstance(given, list) and bool(given) and all(map(is_one, given))


_COUNT = (_is_count, "a whole number above 0")
_MORE = (lambda given: _is_count(given, 0), "a whole number, 0 or more")
RULE_KEYS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "layers": (_listed(lambda given: isinstance(given, str)), f"a list of some of {', '.join(LAYERS)}"),
    "operands": (_listed(_are_operands), 'a list such as ["int8xint8"], weights x activations'),
    "macs_per_cycle": _COUNT,
    "steps": (
        lambda given: isinstance(given, dict) and all(map(_is_count, given.values())),
        "a table such as { input_channels = 32 }, of whole numbers above 0",
    ),
    "cycles_per_step": _COUNT,
    "outputs_per_cycle": (_is_rate, "a number above 0; leave out what is not published"),
    "whole_outputs": (lambda given: isinstance(given, bool), "true or false"),
    "weight_cycles_per_step": _MORE,
    "fill_cycles": _MORE,
    "source": (lambda given: isinstance(given, str) and bool(given), "where it is published"),
    "grade": (GRADES.__contains__, f"one of {', '.join(GRADES)}"),
}
"""What a table of ``array.fit`` may have."""

RULE_NEEDS = ("layers", "operands", "macs_per_cycle", "steps", "source", "grade")

SYSTEM = "@"
"""Stands between the name of a chip and that of the system around it."""


def host_file() -> Path:
    """This machine's: ``ONNXLENS_HOST``, else ``host.toml`` in the user's folder of configurations."""
    if chosen := os.environ.get("ONNXLENS_HOST"):
        return Path(chosen)
    from platformdirs import user_config_path

    return user_config_path("onnxlens") / "host.toml"


def chip_names() -> Sequence[str]:
    """The chips that come with the package."""
    return sorted(_index())


def load_chip(name: str) -> Chip:
    """A chip by its name or the path of a file, with ``@SYSTEM`` behind it for one of its systems.

    ``PATH.toml:NAME`` is one of several chips in a file.

    Raises:
        UsageError: there is none, the file cannot be read, or it does not hold a chip.
    """
    plain, _, system = name.partition(SYSTEM)
    path, _, inner = plain.partition(".toml:")
    if inner or plain.endswith(".toml"):
        file = Path(path if plain.endswith(".toml") else f"{path}.toml")
        chips = read_chips(file)
        if inner not in chips and (inner or len(chips) > 1):
            raise UsageError(f"{file}: give {file}:NAME with one of {', '.join(chips)}")
        return _with_system(chips[inner or next(iter(chips))], system, file)
    home = _index().get(plain)
    if home is None:
        near = get_close_matches(plain, chip_names(), n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"there is no chip {plain!r}; {hint}'onnxlens hardware' lists them, or give a file, ./CHIP.toml"
        )
    return _with_system(read_chips(home)[plain], system, home)


@cache
def _index() -> Mapping[str, Path]:
    """The file of each chip that comes with the package, by heads of tables: a parser is slow."""
    found = {}
    for file in sorted(CHIPS.glob("*.toml")):
        names = re.findall(r"^\[chips\.([^].]+)\]", file.read_text(encoding="utf-8"), re.MULTILINE)
        found.update(dict.fromkeys(names or [file.stem], file))
    return found


_parsed = cache(tomllib.loads)


def _document(path: Path) -> Mapping[str, Any]:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{path}: cannot be read ({reason}); give a chip file in TOML") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: is not TOML: {error}") from error


def read_chips(path: Path) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """What a file says of each of its chips, by name: the table of a chip laid over what all have."""
    document = _document(path)
    _require_keys(document, KEYS, str(path))
    variants = _table(document.get("chips", {}), f"{path}: chips") or {path.stem: {}}
    base = {key: value for key, value in document.items() if key != "chips"}
    return {name: (name, _laid_over(base, own, f"{path}: chips.{name}")) for name, own in variants.items()}


def _with_system(found: tuple[str, Mapping[str, Any]], system: str, path: Path) -> Chip:
    name, table = found
    systems = _table(table.get("systems", {}), f"{path}: systems")
    chosen = system or table.get("system", "")
    if chosen not in systems and (chosen or systems):
        there = ", ".join(systems) or "none"
        raise UsageError(f"{name}: there is no system {chosen!r}; there is {there}")
    if chosen:
        table = _laid_over(table, systems[chosen], f"{path}: systems.{chosen}")
    return _Reader(path, table).chip(name + (f"{SYSTEM}{system}" if system else ""), chosen, tuple(systems))


def _laid_over(base: Mapping[str, Any], own: Any, where: str) -> Mapping[str, Any]:
    """The base with the tables of ``own`` in place of its own; notes and rules are added."""
    merged = dict(base)
    for key, value in _table(own, where).items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and "value" not in value:
            value = _laid_over(before, value, where)
        elif isinstance(before, list) and isinstance(value, list):
            value = [*before, *value]
        merged[key] = value
    return merged


class _Reader:
    """Reads the tables of one chip."""

    def __init__(self, path: Path, table: Mapping[str, Any]) -> None:
        self._path = path
        self._table = table
        self._sources = self._texts("sources", "a text in quotes: a document")

    def chip(self, name: str, system: str, systems: tuple[str, ...]) -> Chip:
        table = self._table
        _require_keys(table, KEYS, str(self._path))
        cores = table.get("cores", 1)
        if not _is_count(cores):
            raise self._error("cores", cores, "a whole number above 0")
        title = table.get("title")
        if not isinstance(title, str) or not title:
            raise self._error("title", title, "vendor and product")
        return Chip(
            name,
            title,
            cores,
            self._single("clock_hz"),
            **{key: self._rates(key) for key in RATES},
            memories=self._one_home_each(sorted(self._memories(), key=_outermost_first)),
            power_w=self._single("power_w"),
            array=tuple(self._rules()),
            not_published=self._texts("not_published"),
            notes=self._notes(),
            system=system,
            systems=systems,
        )

    def _error(self, key: str, found: Any, expected: str) -> UsageError:
        return UsageError(f"{self._path}: {key} is {found!r}; expected {expected}")

    def _notes(self) -> tuple[str, ...]:
        notes = self._table.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise self._error("notes", notes, 'a list of texts, such as ["dense peaks"]')
        return tuple(notes)

    def _single(self, key: str) -> Figure | None:
        return self.figure(key, self._table[key]) if key in self._table else None

    def figure(self, key: str, given: Any) -> Figure:
        """``{ value = 1, source = "..", grade = ".." }``; a source may be a name of ``[sources]``."""
        if not isinstance(given, dict):
            raise self._error(key, given, 'a figure, such as { value = 1, source = "..", grade = "vendor" }')
        _require_keys(given, FIGURE_KEYS, f"{self._path}: {key}")
        value, source, grade = given.get("value"), given.get("source"), given.get("grade")
        if not _is_rate(value):
            raise self._error(f"{key}.value", value, "a number above 0; leave out what is not published")
        if not isinstance(source, str) or not source:
            raise self._error(f"{key}.source", source, "where it is published")
        if grade not in GRADES:
            raise self._error(f"{key}.grade", grade, f"one of {', '.join(GRADES)}")
        note = given.get("note", "")
        if not isinstance(note, str):
            raise self._error(f"{key}.note", note, "a text in quotes")
        return Figure(value, self._sources.get(source, source), grade, note)  # type: ignore[arg-type]

    def _rates(self, key: str) -> Mapping[str, Figure]:
        """Figures by dtype, or by weights x activations."""
        found = {}
        for name, given in _table(self._table.get(key, {}), f"{self._path}: {key}").items():
            dtypes = name.split("x") if key.startswith("macs") else [name]
            if not DTYPES.issuperset(dtypes) or len(dtypes) != (2 if key.startswith("macs") else 1):
                expected = "int8xint8 (weights x activations)" if key.startswith("macs") else "float16"
                raise self._error(f"a key of {key}", name, f"dtypes such as {expected}")
            found[name] = self.figure(f"{key}.{name}", given)
        return found

    def _memories(self) -> Iterator[Memory]:
        for name, given in _table(self._table.get("memory", {}), f"{self._path}: memory").items():
            where = f"memory.{name}"
            entry = _table(given, f"{self._path}: {where}")
            _require_keys(entry, MEMORY_KEYS, f"{self._path}: {where}")
            if entry.get("holds") not in HOLDS:
                raise self._error(f"{where}.holds", entry.get("holds"), f"one of {', '.join(HOLDS)}")
            figures = {
                key: self.figure(f"{where}.{key}", entry[key]) for key in MEMORY_KEYS[1:] if key in entry
            }
            yield Memory(name, entry["holds"], **figures)

    def _one_home_each(self, memories: Sequence[Memory]) -> tuple[Memory, ...]:
        """Refuse two homes of the same tensors, as each byte would be said to pass both."""
        homes = [each for each in memories if each.holds != "nothing"]
        for one, other in combinations(homes, 2):
            if one.holds == other.holds or "all" in (one.holds, other.holds):
                raise UsageError(
                    f"{self._path}: memory.{one.name} holds {one.holds} and memory.{other.name} holds "
                    f"{other.holds}, and a tensor has one home; let one hold weights and the other "
                    "activations, or make a system of each"
                )
        return tuple(memories)

    def _rules(self) -> Iterator[FitRule]:
        array = _table(self._table.get("array", {}), f"{self._path}: array")
        _require_keys(array, ("fit",), f"{self._path}: array")
        rules = array.get("fit", [])
        if not isinstance(rules, list):
            raise self._error("array.fit", rules, "tables, each headed [[array.fit]]")
        for index, given in enumerate(rules):
            where = f"array.fit[{index}]"
            _require_keys(_table(given, f"{self._path}: {where}"), tuple(RULE_KEYS), f"{self._path}: {where}")
            for key, (is_right, expected) in RULE_KEYS.items():
                if (key in given or key in RULE_NEEDS) and not is_right(given.get(key)):
                    raise self._error(f"{where}.{key}", given.get(key), expected)
            values: dict[str, Any] = {
                key: tuple(each) if isinstance(each, list) else each for key, each in given.items()
            }
            values["source"] = self._sources.get(given["source"], given["source"])
            try:
                yield FitRule(**values)
            except GraphError as error:
                raise UsageError(f"{self._path}: {where}: {error}") from error

    def _texts(self, key: str, expected: str = "a text in quotes: the reason") -> Mapping[str, str]:
        texts = _table(self._table.get(key, {}), f"{self._path}: {key}")
        for name, text in texts.items():
            if not isinstance(text, str):
                raise self._error(f"{key}.{name}", text, expected)
        return texts


def _outermost_first(memory: Memory) -> tuple[bool, float]:
    """Homes before caches and buffers, the largest of these first; one without a size is taken as large."""
    size = inf if memory.size_bytes is None else memory.size_bytes.value
    return memory.holds == "nothing", -size


def _table(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UsageError(f"{where} is {given!r}; expected a table")
    return given


def _require_keys(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"{where}: there is no key {key!r}; {hint}there are {', '.join(known)}")
