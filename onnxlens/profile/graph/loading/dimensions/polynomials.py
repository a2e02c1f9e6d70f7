"""Sizes that are computed from named dimensions: integer polynomials in their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

Term = tuple[str, ...]
"""The names that are multiplied, sorted, each as often as it occurs; empty for the constant."""


class Poly:
    """A polynomial that is no plain number: ``of`` makes one, or the number that it comes to."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Term, int]) -> None:
        """With no coefficient of 0, and a name in at least one term."""
        self.terms = terms
        self._hash = hash(frozenset(terms.items()))

    def __hash__(self) -> int:
        """Of its terms."""
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Whether it is the same for all sizes."""
        return isinstance(other, Poly) and self._hash == other._hash and self.terms == other.terms

    def __add__(self, other: Size) -> Size:
        """The sum."""
        terms = dict(self.terms)
        for term, factor in _terms(other):
            terms[term] = terms.get(term, 0) + factor
        return of(terms)

    def __mul__(self, other: Size) -> Size:
        """The product."""
        terms: dict[Term, int] = {}
        for term, factor in self.terms.items():
            for second, times in _terms(other):
                both = tuple(sorted((*term, *second)))
                terms[both] = terms.get(both, 0) + factor * times
        return of(terms)

    def __sub__(self, other: Size) -> Size:
        """The difference."""
        return self + other * -1

    def __rsub__(self, other: int) -> Size:
        """The difference to a number."""
        return self * -1 + other

    __radd__ = __add__
    __rmul__ = __mul__

    @property
    def names(self) -> frozenset[str]:
        """Those in it."""
        return frozenset(name for term in self.terms for name in term)

    def at(self, sizes: Mapping[str, int]) -> Size:
        """With these sizes in the place of their names; others stay."""
        terms: dict[Term, int] = {}
        for term, factor in self.terms.items():
            rest = tuple(name for name in term if name not in sizes)
            known = factor * prod(sizes[name] for name in term if name in sizes)
            terms[rest] = terms.get(rest, 0) + known
        return of(terms)

    def __str__(self) -> str:
        """As people write it: ``2*past + sequence - 1``."""
        parts = (_text(term, factor) for term, factor in self.terms.items())
        return " + ".join(parts).replace("+ -", "- ")


Size = int | Poly


def of(terms: Mapping[Term, int]) -> Size:
    """The polynomial with these coefficients, or the number where no name is left."""
    kept = {term: factor for term, factor in terms.items() if factor}
    return kept.get((), 0) if not kept.keys() - {()} else Poly(kept)


def named(name: str) -> Poly:
    """A dimension of that name."""
    return Poly({(name,): 1})


def quotient(whole: Size, part: Size) -> Size | None:
    """The quotient where it is exact whatever the names stand for; else None."""
    if whole == part:
        return 1
    divisor = list(_terms(part))
    if len(divisor) != 1 or part == 0:
        return None
    (factors, number), terms = divisor[0], {}
    for term, factor in _terms(whole):
        rest = list(term)
        for name in factors:
            if name not in rest:
                return None
            rest.remove(name)
        if factor % number:
            return None
        terms[tuple(rest)] = factor // number
    return of(terms)


def _terms(size: Size) -> Iterable[tuple[Term, int]]:
    return (((), size),) if isinstance(size, int) else size.terms.items()


def _text(term: Term, factor: int) -> str:
    if not term:
        return str(factor)
    sign = "-" if factor == -1 else "" if factor == 1 else f"{factor}*"
    return sign + "*".join(term)
