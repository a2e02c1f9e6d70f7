"""Dimensions of tensors as polynomials: in the named dimensions, and in whole parts and limits of these.

A strided convolution makes ``floor((height + 1)/2)`` of a height, a window ``min(past + sequence, 4096)`` of
a length. Such a number becomes a name of its own, a ``Part``, in which all that hangs on it is a polynomial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import permutations

from onnxlens.profile.count.formula_fit import Fitter, Vector
from onnxlens.specs.formula import Part, PartKind, Polynomial, Variable, named

MOST_SOURCES = 12
"""So many numbers are tried as what another is a part of."""

MOST_DIVISOR = 4096
WORDS: Mapping[PartKind, str] = {"floor": "part", "min": "limit", "max": "least"}


class Dimensions:
    """What each dimension is; parts are found as they are asked for.

    Attributes:
        variables: the names of the dimensions that formulas are in.
        parts: those that were found, in order.
        wanted: sizes of variables, by name, at which more would be known of a part.
    """

    def __init__(self, variables: Sequence[Variable], points: Sequence[Mapping[str, int]]) -> None:
        """With the points at which dimensions are known, those of small sizes first."""
        self._variables = {
            named(each.name): tuple(point[each.name] for point in points) for each in variables
        }
        self._given = {named(each.name): each for each in variables}
        self.variables = frozenset(self._variables)
        self.fitter = Fitter(self._variables)
        self.parts: list[Part] = []
        self.wanted: list[tuple[str, int]] = []
        self._found: dict[Vector, Polynomial | None] = {}

    def express(self, values: Vector, sources: Sequence[Vector] = ()) -> Polynomial | None:
        """A dimension as a polynomial; None where it is none.

        Args:
            values: at the points.
            sources: dimensions that it may be a part of: those that its node reads.
        """
        if values not in self._found:
            self._found[values] = self._express(values, sources)
        return self._found[values]

    def _express(self, values: Vector, sources: Sequence[Vector]) -> Polynomial | None:
        found = self.fitter.fit([self.variables], values, 2)
        if found is not None:
            return found
        known = [(each, self._found.get(each)) for each in dict.fromkeys(sources) if len(set(each)) > 1]
        near = {name for _, found in known if found is not None for name in found.names}
        if near and not near <= self._variables.keys():
            found = self.fitter.fit([frozenset(near)], values, 2)
            if found is not None:
                return found
        bases = [(each, Polynomial.of(name)) for name, each in self._variables.items()]
        bases += [(each, found) for each, found in known if found is not None][:MOST_SOURCES]
        bases += self._sums()
        for base, of in bases:
            part = self._part(values, base, of)
            if part is not None:
                return part
        return self.fitter.fit([frozenset(self.fitter.values)], values, 1)

    def _sums(self) -> Iterator[tuple[Vector, Polynomial]]:
        """Sums of two variables: past and new tokens."""
        names = list(self._variables)
        for index, first in enumerate(names):
            for second in names[index + 1 :]:
                pair = zip(self._variables[first], self._variables[second], strict=True)
                yield tuple(a + b for a, b in pair), Polynomial.of(first) + Polynomial.of(second)

    def _part(self, values: Vector, base: Vector, of: Polynomial) -> Polynomial | None:
        """The dimension as a new part of another; None where it is none."""
        if len(set(base)) < 2:
            return None
        if _is_limited(values, base, max(values), min):
            return self._named("min", of, max(values), values)
        if _is_limited(values, base, min(values), max):
            return self._named("max", of, min(values), values)
        shift, divisor = self._whole_part(values, base, of)
        if divisor:
            return self._named("floor", of + Polynomial.number(shift), divisor, values)
        return None

    def _whole_part(self, values: Vector, base: Vector, of: Polynomial) -> tuple[int, int]:
        """The shift and the divisor where the values are ``floor((base + shift)/divisor)``; else 0, 0."""
        low, high = base.index(min(base)), base.index(max(base))
        if values[high] <= values[low]:
            return 0, 0
        about = round((base[high] - base[low]) / (values[high] - values[low]))
        for divisor in (about, about - 1, about + 1):
            if not 2 <= divisor <= MOST_DIVISOR:
                continue
            pairs = list(zip(values, base, strict=True))
            least = max(divisor * value - each for value, each in pairs)
            most = min(divisor * value - each + divisor - 1 for value, each in pairs)
            if least <= most:
                if least < most:
                    self._ask(of, (least + most + 1) // 2, divisor)
                return least, divisor
        return 0, 0

    def _ask(self, of: Polynomial, shift: int, divisor: int) -> None:
        """Ask for a size that tells whether the shift is at least this one."""
        name = next(iter(of.names)) if len(of.names) == 1 else ""
        variable = self._given.get(name)
        if variable is None or of.terms.get(((name, 1),)) != 1 or len(of.terms) > 2:
            return
        start = int(of.terms.get((), 0))
        for times in range(8, 8 + 4 * variable.step):
            size = divisor * times - shift - start
            if variable.takes(size):
                self.wanted.append((variable.name, size))
                return

    def _named(self, kind: PartKind, of: Polynomial, number: int, values: Vector) -> Polynomial:
        """A new part, with a name that says most of it: ``height_2``, ``limit_4096``."""
        first = next(iter(of.names)) if kind == "floor" and len(of.names) == 1 else WORDS[kind]
        name = f"{first}_{number}"
        while name in self.fitter.values:
            name += "x"
        self.parts.append(Part(name, kind, of, number))
        self.fitter.values[name] = values
        return Polynomial.of(name)

    def with_limits(
        self, names: frozenset[str], values: Vector, bases: Sequence[Vector], limits: Sequence[int]
    ) -> Polynomial | None:
        """A figure that hangs on a limit of one of these dimensions, or of a sum of variables: a window.

        Args:
            names: what it hangs on besides.
            values: of the figure.
            bases: the dimensions of its node.
            limits: what they may be limited by.
        """
        for kind, of, number, limited in list(self._limited(bases, limits)):
            if len(set(limited)) < 2:
                continue
            name = next((name for name, each in self.fitter.values.items() if each == limited), None)
            is_new = name is None
            if name is None:
                (name,) = self._named(kind, of, number, limited).names
            found = self.fitter.fit([names | {name}], values, 2)
            if found is not None:
                return found
            if is_new:
                self.parts.pop()
                self.fitter.forget(name)
        return None

    def _limited(
        self, bases: Sequence[Vector], limits: Sequence[int]
    ) -> Iterator[tuple[PartKind, Polynomial, int, Vector]]:
        """What a figure may hang on: a length up to a window, and how much one number is above another."""
        known = [(each, found) for each in bases for found in [self._found.get(each)] if found is not None]
        alone = [(each, Polynomial.of(name)) for name, each in self._variables.items()]
        for base, of in [*known, *alone, *self._sums()]:
            for limit in limits:
                limited = tuple(min(each, limit) for each in base)
                if limited != base:
                    yield "min", of, limit, limited
        names = sorted(self.fitter.values, key=lambda name: name in self.variables)[:MOST_SOURCES]
        for first, second in permutations(names, 2):
            pairs = zip(self.fitter.values[first], self.fitter.values[second], strict=True)
            differences = tuple(max(a - b, 0) for a, b in pairs)
            less = Polynomial({((second, 1),): Fraction(-1)})
            yield "max", Polynomial.of(first) + less, 0, differences


def _is_limited(values: Vector, base: Vector, limit: int, cut: Callable[[int, int], int]) -> bool:
    """Whether the values are those of the base up to a limit (or from it on), which some of them pass."""
    if any(value != cut(each, limit) for value, each in zip(values, base, strict=True)):
        return False
    free = [each for value, each in zip(values, base, strict=True) if value == each]
    return len(set(free)) > 2 and len(set(base)) - len(set(free)) > 1
