"""Costs as formulas: exact polynomials in a graph's dimensions, and in whole parts and limits of these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import chain
from math import gcd, lcm
from typing import Literal

from onnxlens.errors import UsageError
from onnxlens.specs.ledger import COUNTS
from onnxlens.specs.record import record

Powers = tuple[tuple[str, int], ...]
"""A product of powers of names, sorted by name; () is 1."""


@record(frozen=True, slots=True)
class Polynomial:
    """A sum of products of names with fractions before them; no term is 0."""

    terms: Mapping[Powers, Fraction]

    @staticmethod
    def of(name: str) -> Polynomial:
        """The name itself."""
        return Polynomial({((name, 1),): Fraction(1)})

    @staticmethod
    def number(value: int | Fraction) -> Polynomial:
        """A constant."""
        return Polynomial({(): Fraction(value)} if value else {})

    @property
    def names(self) -> frozenset[str]:
        """The names in it."""
        return frozenset(name for powers in self.terms for name, _ in powers)

    def __add__(self, other: Polynomial) -> Polynomial:
        return total((self, other))

    def at(self, sizes: Mapping[str, int]) -> Fraction:
        """Its value where the names stand for these numbers."""
        found = Fraction(0)
        for powers, factor in self.terms.items():
            product = 1
            for name, power in powers:
                product *= sizes[name] ** power
            found += factor * product
        return found

    def __str__(self) -> str:
        """``262144*batch*sequence*(26624 + past + sequence)``: what all terms share stands before them."""
        if not self.terms:
            return "0"
        ordered = sorted(self.terms, key=_rank)
        shared = _shared(ordered) if len(ordered) > 1 else {}
        below = lcm(*(factor.denominator for factor in self.terms.values()))
        whole = {powers: int(factor * below) for powers, factor in self.terms.items()}
        content = gcd(*whole.values()) if len(ordered) > 1 else 1
        if content and all(number < 0 for number in whole.values()):
            content = -content
        inner = " + ".join(_term(whole[powers] // content, _without(powers, shared)) for powers in ordered)
        inner = inner.replace("+ -", "- ")
        if len(ordered) > 1 and (shared or content != 1):
            before = _term(content, tuple(shared.items()))
            inner = f"-({inner})" if before == "-1" else f"{before}*({inner})"
        if below == 1:
            return inner
        plain = len(ordered) == 1 or shared or content != 1
        return f"{inner}/{below}" if plain else f"({inner})/{below}"


def total(parts: Sequence[Polynomial]) -> Polynomial:
    """Their sum."""
    terms: dict[Powers, Fraction] = {}
    for part in parts:
        for powers, factor in part.terms.items():
            terms[powers] = terms.get(powers, Fraction(0)) + factor
    return Polynomial({powers: factor for powers, factor in terms.items() if factor})


def _rank(powers: Powers) -> tuple[int, list[tuple[str, int]]]:
    """The largest degree first."""
    return -sum(power for _, power in powers), [(name, -power) for name, power in powers]


def _shared(ordered: Sequence[Powers]) -> Mapping[str, int]:
    """The powers that all products have."""
    others = [dict(powers) for powers in ordered]
    least = {name: min(other.get(name, 0) for other in others) for name, _ in ordered[0]}
    return {name: power for name, power in least.items() if power}


def _without(powers: Powers, shared: Mapping[str, int]) -> Powers:
    left = ((name, power - shared.get(name, 0)) for name, power in powers)
    return tuple((name, power) for name, power in left if power)


def _term(factor: int, powers: Powers) -> str:
    product = "*".join(name if power == 1 else f"{name}^{power}" for name, power in powers)
    if not product:
        return str(factor)
    return {1: product, -1: f"-{product}"}.get(factor, f"{factor}*{product}")


FormulaRows = Literal["module", "op", "node"]
PartKind = Literal["floor", "min", "max"]


@record(frozen=True, slots=True)
class Part:
    """A whole number that is no polynomial of the dimensions, and has a name in formulas.

    Attributes:
        kind: ``floor(of / number)``, ``min(of, number)`` or ``max(of, number)``.
        of: a polynomial in dimensions and earlier parts.
    """

    name: str
    kind: PartKind
    of: Polynomial
    number: int

    def at(self, sizes: Mapping[str, int]) -> int:
        """Its value where the names stand for these numbers."""
        value = self.of.at(sizes)
        if self.kind == "floor":
            return int(value // self.number)
        return min(int(value), self.number) if self.kind == "min" else max(int(value), self.number)

    def __str__(self) -> str:
        inner = str(self.of)
        if self.kind != "floor":
            return f"{self.kind}({inner}, {self.number})"
        return f"floor({f'({inner})' if len(self.of.terms) > 1 else inner}/{self.number})"


@record(frozen=True, slots=True)
class Limit:
    """Formulas hold where a polynomial is at most a number, and why not beyond."""

    of: Polynomial
    most: int
    why: str

    def __str__(self) -> str:
        return f"they hold for {self.of} <= {self.most}: {self.why}"


@record(frozen=True, slots=True)
class Variable:
    """A dimension that formulas are in.

    Attributes:
        step: what its sizes leave when divided by this is one of ``rests``.
        least: and they are at least this,
        most: and at most this; None for any.
    """

    name: str
    step: int = 1
    rests: tuple[int, ...] = (0,)
    least: int = 1
    most: int | None = None

    def takes(self, size: int) -> bool:
        """Whether the graph can have the size."""
        if self.most is not None and size > self.most:
            return False
        return size % self.step in self.rests and size >= self.least

    def near(self, size: int) -> int:
        """The first size from this one on, or the last one before."""
        start = max(size, self.least)
        above = range(start, start + self.step + 1)
        below = range(min(start, self.most or start), self.least - 1, -1)
        return next(filter(self.takes, chain(above, below)))

    def __str__(self) -> str:
        start = f" from {self.least}" if self.least > 1 else ""
        end = f" up to {self.most}" if self.most is not None else ""
        if self.step == 1:
            return f"{self.name}{start}{end}"
        if self.rests == (0,):
            return f"{self.name} in multiples of {self.step}{start}{end}"
        return f"{self.name}{start}{end} ({', '.join(ranges(self.rests, '-'))} modulo {self.step})"


def ranges(numbers: Sequence[int], to: str) -> Sequence[str]:
    """Numbers and runs of them, with ``to`` between a run's ends: ``0`` and ``25-31``."""
    starts = [each for each in numbers if each - 1 not in numbers]
    ends = [each for each in numbers if each + 1 not in numbers]
    return [str(a) if a == b else f"{a}{to}{b}" for a, b in zip(starts, ends, strict=True)]


FORMULAS = (*COUNTS, "params")
"""What rows have formulas of."""


@record(frozen=True, slots=True)
class FormulaRow:
    """The costs of one module, operator type or node.

    Attributes:
        key: the module's path, the operator type, or the node's name.
        formulas: by column.
        open_nodes: how many of its nodes are in no formula, so that it gives what the others cost.
    """

    key: str
    class_name: str
    depth: int
    formulas: Mapping[str, Polynomial]
    open_nodes: int


@record(frozen=True, slots=True)
class OpenNode:
    """A node whose cost is no formula, and why."""

    node: str
    op_type: str
    module_path: str
    reason: str


@record(frozen=True, slots=True)
class FormulaReport:
    """The costs of a graph as formulas.

    Attributes:
        variables: what formulas are in.
        parts: what else has a name in them, each after those that it is made of.
        rows: of modules (the graph itself first), operator types or nodes.
        open_nodes: those that are in no formula.
        fixed: the sizes of dimensions that were given.
        example: sizes at which the graph was counted.
        by: what a row is.
        checked_points: at how many points the formulas were compared with the count.
        limit: where formulas hold; None for wherever the graph runs.
    """

    graph: str
    source: str
    opset: int
    variables: tuple[Variable, ...]
    parts: tuple[Part, ...]
    rows: tuple[FormulaRow, ...]
    open_nodes: tuple[OpenNode, ...]
    fixed: Mapping[str, int]
    checked_points: int
    example: Mapping[str, int]
    by: FormulaRows = "module"
    limit: Limit | None = None
    notes: tuple[str, ...] = ()

    def sizes_at(self, dims: Mapping[str, int]) -> Mapping[str, int]:
        """The values of all names where the dimensions have these sizes.

        Raises:
            UsageError: a dimension is missing, is not one of theirs, or has a size that they do not hold for.
        """
        known = {variable.name: variable for variable in self.variables}
        unknown, missing = dims.keys() - known, known.keys() - dims
        if unknown or missing:
            said = f"no {min(unknown)!r}" if unknown else f"no size of {min(missing)!r}"
            raise UsageError(
                f"the formulas of {self.source} are in {', '.join(known) or 'no dimension'}; there is {said}"
            )
        for name, size in dims.items():
            variable = known[name]
            if not variable.takes(size) and size:
                raise UsageError(f"{name}={size} is no size of {self.source}: the formulas are in {variable}")
        sizes = {named(name): size for name, size in dims.items()}
        if self.limit is not None and self.limit.of.at(sizes) > self.limit.most:
            raise UsageError(f"the formulas of {self.source}: {self.limit}")
        for part in self.parts:
            sizes[part.name] = part.at(sizes)
        return sizes


def evaluated(formula: Polynomial, sizes: Mapping[str, int]) -> int:
    """What the formula gives.

    Raises:
        UsageError: no whole number: the graph has no such size.
    """
    value = formula.at(sizes)
    if value.denominator != 1:
        raise UsageError(f"the formula gives {value} there: the graph cannot have these sizes")
    return int(value)


NOT_NAMED = re.compile(r"\W")


def named(symbol: str) -> str:
    """A dimension's symbol as formulas write it: ``past + 1`` would read as two names."""
    return NOT_NAMED.sub("_", symbol)
