"""Tables of what a compiler supports, in TOML: docs/support-map.md has their grammar.

An operator has either rules, one of which a node must satisfy, or cases: the results of runs of the tool on
single nodes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from onnxlens.errors import UsageError
from onnxlens.specs.record import record
from onnxlens.specs.support import SUPPORTS
from onnxlens.specs.tensor import DTYPE_BITS

TABLES = Path(__file__).parent / "tables"
"""Those that come with the package, a file for each tool."""

KEYS = ("title", "tool", "version", "date", "how", "tests", "types", "ranks", "opsets", "operators")
RULE_KEYS = ("opsets", "types", "ranks", "constant", "limits")
CASE_KEYS = ("types", "rank", "constant", "outputs", "attributes", "test", "reason", *SUPPORTS[:4])

SHORT = {
    "kernel": "kernel_shape",
    "stride": "strides",
    "dilation": "dilations",
    "pad": "pads",
    "groups": "group",
}
"""Names of attributes that limits may have too."""

LIMIT = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|<|>)\s*(\S.*?)\s*")


@record(frozen=True, slots=True)
class Limit:
    """``kernel_shape <= 11``: every element of the attribute must be so.

    Attributes:
        text: as it is written.
    """

    attribute: str
    sign: str
    bound: int | float | str
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What a node must be like.

    Attributes:
        opsets: the lowest and the highest opset; None for any.
        types: of all inputs that are tensors of numbers, by dtype; empty for any.
        ranks: of the first input; empty for any.
        constant: positions of inputs that must be weights or constants.
    """

    opsets: tuple[int, int] | None = None
    types: frozenset[str] = frozenset()
    ranks: frozenset[int] = frozenset()
    constant: tuple[int, ...] = ()
    limits: tuple[Limit, ...] = ()


@record(frozen=True, slots=True)
class Case:
    """Runs of the tool on nodes that are alike.

    Attributes:
        types: of the inputs; "" for one that is left out.
        rank: of the first input; -1 for none.
        constant: the positions of those that are constants.
        outputs: how many are asked for.
        attributes: what is known of them, see ``traits``.
        results: how many runs came to what.
        reason: of the first that was not accepted.
    """

    types: tuple[str, ...]
    rank: int
    constant: tuple[int, ...]
    outputs: int
    attributes: Mapping[str, Any] = field(hash=False)
    results: Mapping[str, int] = field(hash=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SupportTable:
    """What a compiler supports.

    Attributes:
        operators: by name, with the domain before a dot if it is not ONNX's own.
        how: how it was found out.
    """

    title: str
    version: str
    date: str
    how: str
    rules: Mapping[str, tuple[Rule, ...]]
    cases: Mapping[str, tuple[Case, ...]]


def tables() -> Sequence[str]:
    """The tools that have a table in the package."""
    return sorted(path.stem for path in TABLES.glob("*.toml"))


def load_table(name: str | Path) -> SupportTable:
    """A table by the name of its tool, or the path of a file.

    Raises:
        UsageError: there is none, or it cannot be read; the message says which key.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = TABLES / f"{name}.toml"
        if str(name) not in tables():
            raise UsageError(
                f"there is no table of what {str(name)!r} supports; there are {', '.join(tables())}: "
                "give one of them, or a file of your own, ./TABLE.toml"
            )
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from error
    return _Reading(path).table(given)


def _schemas(name: str) -> Sequence[Any]:
    """The versions of an operator of ONNX's own; none of another domain's, whose attributes are not known."""
    return [schema for schema in _all_schemas() if schema.name == name and not schema.domain]


@cache
def _all_schemas() -> Sequence[Any]:
    import onnx

    return onnx.defs.get_all_schemas_with_history()


class _Reading:
    """Reads one file; a fault names the file and the key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def table(self, given: Mapping[str, Any]) -> SupportTable:
        self._known(given, KEYS, "the file")
        operators = self._is(given.get("operators", {}), dict, "operators", "a table of operators")
        if not operators:
            self._refuse("operators", "lists none; add [operators.Conv], and one for every other")
        every = {key: given[key] for key in ("types", "ranks", "opsets") if key in given}
        rules: dict[str, tuple[Rule, ...]] = {}
        cases: dict[str, tuple[Case, ...]] = {}
        for name, content in operators.items():
            self._operator(name)
            if isinstance(content, dict) and "cases" in content:
                self._known(content, ("cases",), name)
                cases[name] = tuple(self._case(each, name) for each in content["cases"])
            else:
                several = content if isinstance(content, list) else [content]
                rules[name] = tuple(self._rule(each, every, name) for each in several)
        text = {key: str(given.get(key, "")) for key in ("title", "tool", "version", "how", "tests")}
        when = given.get("date", "")
        return SupportTable(
            text["title"] or text["tool"] or self._path.stem,
            text["version"],
            when.isoformat() if isinstance(when, date) else str(when),
            "; ".join(filter(None, (text["tests"], text["how"]))),
            rules,
            cases,
        )

    def _rule(self, given: Any, every: Mapping[str, Any], name: str) -> Rule:
        self._known(self._is(given, dict, name, "a table such as { ranks = [4] }"), RULE_KEYS, name)
        asked = {**every, **given}
        opsets = self._numbers(asked, "opsets", name)
        if opsets and (len(opsets) != 2 or opsets[0] > opsets[1]):
            self._refuse(f"{name}.opsets", f"{list(opsets)}; expected the lowest and the highest, [1, 18]")
        types = self._list(asked, "types", name)
        for each in types:
            if each not in DTYPE_BITS:
                self._refuse(f"{name}.types", f"{each!r} is no type; they are {', '.join(DTYPE_BITS)}")
        limits = tuple(self._limit(each, name) for each in self._list(asked, "limits", name))
        constant = self._numbers(asked, "constant", name)
        if schemas := _schemas(name):
            known = {attribute for schema in schemas for attribute in schema.attributes}
            for limit in limits:
                if SHORT.get(limit.attribute, limit.attribute) not in known:
                    near = ", ".join(sorted(known)) or "none"
                    self._refuse(f"{name}.limits", f"{limit.text!r}: its attributes are {near}")
            most = max(schema.max_input for schema in schemas)
            if not all(0 <= at < most for at in constant):
                self._refuse(f"{name}.constant", f"{list(constant)}; its inputs are 0 to {most - 1}")
        return Rule(
            (opsets[0], opsets[1]) if opsets else None,
            frozenset(types),
            frozenset(self._numbers(asked, "ranks", name)),
            constant,
            limits,
        )

    def _operator(self, name: str) -> None:
        """Refuse a name without a domain that no operator of ONNX has: no node would ever be of it."""
        if "." not in name and not _schemas(name):
            near = get_close_matches(name, {schema.name for schema in _all_schemas()}, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "with its domain before it if that is another's"
            self._refuse("operators", f"ONNX has no {name!r}; {hint}")

    def _limit(self, text: Any, name: str) -> Limit:
        match = LIMIT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            self._refuse(
                f"{name}.limits", f"{text!r}; expected an attribute, a sign and a value: 'group == 1'"
            )
        bound: int | float | str = match[3].strip("'\"")
        if re.fullmatch(r"-?\d+", match[3]):
            bound = int(match[3])
        elif re.fullmatch(r"-?\d*\.\d+", match[3]):
            bound = float(match[3])
        elif match[2] not in ("==", "!="):
            self._refuse(f"{name}.limits", f"{text!r}: only numbers are more or less than others")
        return Limit(match[1], match[2], bound, text)

    def _case(self, given: Any, name: str) -> Case:
        self._known(self._is(given, dict, name, "a table of a case"), CASE_KEYS, name)
        results: dict[str, int] = {key: given[key] for key in SUPPORTS if key in given}
        if not results or not all(isinstance(each, int) and each > 0 for each in results.values()):
            self._refuse(f"{name}.cases", f"{given}; expected how many runs were {', '.join(SUPPORTS[:4])}")
        return Case(
            tuple(self._list(given, "types", name)),
            self._is(given.get("rank", -1), int, f"{name}.rank", "a whole number"),
            self._numbers(given, "constant", name),
            self._is(given.get("outputs", 1), int, f"{name}.outputs", "a whole number"),
            self._is(given.get("attributes", {}), dict, f"{name}.attributes", "a table"),
            results,
            str(given.get("reason", "")),
        )

    def _list(self, given: Mapping[str, Any], key: str, name: str) -> Sequence[Any]:
        found: Sequence[Any] = self._is(given.get(key, []), list, f"{name}.{key}", "a list")
        return found

    def _numbers(self, given: Mapping[str, Any], key: str, name: str) -> tuple[int, ...]:
        found = self._list(given, key, name)
        if not all(type(each) is int for each in found):
            self._refuse(f"{name}.{key}", f"{found}; expected whole numbers")
        return tuple(found)

    def _is(self, given: Any, kind: type, where: str, expected: str) -> Any:
        if not isinstance(given, kind):
            self._refuse(where, f"{given!r}; expected {expected}")
        return given

    def _known(self, given: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
        for key in given:
            if key not in keys:
                near = get_close_matches(key, keys, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"they are {', '.join(keys)}"
                self._refuse(where, f"has the key {key!r}, which is none; {hint}")

    def _refuse(self, where: str, what: str) -> NoReturn:
        raise UsageError(f"{self._path}: {where}: {what}")
