"""The polynomial with given values at given points: solved modulo a prime, and checked at every point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import lcm, prod

from onnxlens.specs.formula import Polynomial, Powers

PRIME = 2**127 - 1
MOST_BELOW = 2**20
"""The largest denominator of a factor; numerators may be as large as the prime then allows."""

MOST_TERMS, MOST_TRIED = 45, 1024
SPARE = 6
"""So many points more than there are factors: what fits them by chance does not fit these."""

Vector = tuple[int, ...]
"""The values of one figure, point by point."""


class Fitter:
    """Finds polynomials in names whose values at some points are known."""

    def __init__(self, values: Mapping[str, Vector], spare: int = SPARE) -> None:
        """With the values of the names at the points, those at small sizes first, ``spare`` to check with."""
        self.values = dict(values)
        self._spare = spare
        self._bases: dict[tuple[frozenset[frozenset[str]], int], _Basis | None] = {}
        self._found: dict[tuple[frozenset[frozenset[str]], Vector, int], Polynomial | None] = {}

    def forget(self, name: str) -> None:
        """Take a name back, and what was tried with it."""
        del self.values[name]
        self._bases = {
            key: found for key, found in self._bases.items() if name not in frozenset().union(*key[0])
        }
        self._found = {
            key: found for key, found in self._found.items() if name not in frozenset().union(*key[0])
        }

    def fit(self, groups: Iterable[frozenset[str]], values: Vector, most: int = 3) -> Polynomial | None:
        """The polynomial of the least degree with these values, at most ``most`` in each name.

        Args:
            groups: each of its products is one of names of the same group.
            values: at the points.
            most: of a name's powers.

        Returns:
            None where there is none with few enough terms.
        """
        if len(set(values)) == 1:
            return Polynomial.number(values[0])
        key = (frozenset(groups), values, most)
        if key not in self._found:
            self._found[key] = self._fit(*key)
        return self._found[key]

    def _fit(self, groups: frozenset[frozenset[str]], values: Vector, most: int) -> Polynomial | None:
        for degree in range(1, most + 1):
            key = (groups, degree)
            if key not in self._bases:
                products = {each for names in groups for each in _powers(sorted(names), degree)} | {()}
                usable = len(products) <= min(MOST_TERMS, len(values) - self._spare)
                ordered = sorted(products, key=lambda powers: (sum(power for _, power in powers), powers))
                self._bases[key] = _Basis(ordered, self.values) if usable else None
            basis = self._bases[key]
            if basis is None:
                return None
            found = basis.solved(values)
            if found is not None:
                return found
        return None


def _powers(names: Sequence[str], degree: int) -> Iterator[Powers]:
    """All products of the names with each power up to the degree."""
    most = max(degree + 1, len(names) if degree == 1 else 4)
    if (degree + 1) ** len(names) > MOST_TRIED:
        names = ()
    for each in product(range(degree + 1), repeat=len(names)):
        if sum(each) <= most:
            yield tuple((name, power) for name, power in zip(names, each, strict=True) if power)


class _Basis:
    """Products of names, and how the factors before them follow from values at some of the points."""

    def __init__(self, powers: Sequence[Powers], values: Mapping[str, Vector]) -> None:
        count = len(next(iter(values.values())))
        columns = [
            [prod(values[name][point] ** power for name, power in each) for point in range(count)]
            for each in powers
        ]
        kept = _independent(list(zip(*columns, strict=True)))
        self._powers = [powers[index] for index in kept]
        self._columns = [columns[index] for index in kept]
        rows = list(zip(*self._columns, strict=True))
        self._rows = _independent(self._columns)  # points, of which none follows from the others
        self._inverse = _inverted([rows[point] for point in self._rows])

    def solved(self, values: Vector) -> Polynomial | None:
        """The polynomial in these products that has the values at all points; None where there is none."""
        given = [values[point] for point in self._rows]
        factors = [_fraction(sum(map(int.__mul__, row, given)) % PRIME) for row in self._inverse]
        if any(factor is None for factor in factors):
            return None
        terms = {powers: factor for powers, factor in zip(self._powers, factors, strict=True) if factor}
        below = lcm(*(factor.denominator for factor in terms.values()))
        sums = [0] * len(values)
        for factor, column in zip(factors, self._columns, strict=True):
            if factor:
                whole = int(factor * below)
                sums = [total + whole * each for total, each in zip(sums, column, strict=True)]
        return Polynomial(terms) if all(s == below * v for s, v in zip(sums, values, strict=True)) else None


def _independent(rows: Sequence[Sequence[int]]) -> Sequence[int]:
    """The columns of a matrix that do not follow from those before them, by elimination."""
    columns = len(rows[0])
    left = [list(row) for row in rows]
    found = []
    for column in range(columns):
        pivot = next((row for row in left if row[column] % PRIME), None)
        if pivot is None:
            continue
        left.remove(pivot)
        found.append(column)
        inverse = pow(pivot[column], -1, PRIME)
        for row in left:
            if factor := row[column] * inverse % PRIME:
                row[column:] = [
                    (a - factor * b) % PRIME for a, b in zip(row[column:], pivot[column:], strict=True)
                ]
    return found


def _inverted(matrix: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    """The inverse of a square matrix, modulo the prime."""
    size = len(matrix)
    rows = [[*row, *(int(index == at) for at in range(size))] for index, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(index for index in range(column, size) if rows[index][column] % PRIME)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        inverse = pow(rows[column][column], -1, PRIME)
        rows[column] = [each * inverse % PRIME for each in rows[column]]
        for index in range(size):
            if index != column and (factor := rows[index][column]):
                rows[index] = [
                    (a - factor * b) % PRIME for a, b in zip(rows[index], rows[column], strict=True)
                ]
    return [row[size:] for row in rows]


def _fraction(residue: int) -> Fraction | None:
    """The fraction with a small denominator that is this number modulo the prime (Wang's reconstruction)."""
    most = PRIME // (2 * MOST_BELOW)
    above, below = (PRIME, residue), (0, 1)
    while above[1] > most:
        quotient = above[0] // above[1]
        above = above[1], above[0] - quotient * above[1]
        below = below[1], below[0] - quotient * below[1]
    if abs(below[1]) > MOST_BELOW:
        return None
    return Fraction(above[1], below[1])
