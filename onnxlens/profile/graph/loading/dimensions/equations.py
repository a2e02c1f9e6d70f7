"""Equations between dimensions, and what follows from some of them being known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from onnxlens.errors import UsageError
from onnxlens.profile.graph.loading.dimensions.expressions import evaluated, names_in
from onnxlens.profile.graph.loading.dimensions.polynomials import Poly, Size
from onnxlens.specs.record import record

Role = Literal["sequences", "tokens", "cached"]
"""What a dimension is a number of; ``cached`` tokens are those before."""


@record(frozen=True, slots=True)
class Equation:
    """What must come to 0.

    Attributes:
        said: by what, for messages.
        firm: whether nothing else is possible; else the file merely declares it, and may be wrong.
    """

    zero: Poly
    said: str
    firm: bool = True


@record(frozen=True, slots=True)
class Known:
    """A size and who says so.

    Attributes:
        given: what the user gave that leads to it; empty where the file alone decides.
        assumed: whether it may be another one, and is this one only as long as nobody says so.
    """

    size: int
    said: str
    given: frozenset[str] = frozenset()
    assumed: bool = False


@dataclass(slots=True)
class Equations:
    """What a file says of its dimensions, whatever their sizes.

    Attributes:
        inputs: the names of the inputs' dimensions, in the file's order.
        outputs: those that stand on outputs alone.
        texts: symbols that are no polynomials, such as ``floor(h/2)``: they follow from the names in them.
        equations: all of them, each once.
        least: the least that runs, and who says so, of names that are taken to be that where nothing else is
            given.
        caches: what attention operators return as their present, and a Concat of a cache.
        batch: the name of the sequences' number, where a cache has one.
        roles: what names stand for in a language model.
    """

    inputs: dict[str, None] = field(default_factory=dict)
    outputs: dict[str, None] = field(default_factory=dict)
    texts: dict[str, None] = field(default_factory=dict)
    equations: dict[tuple[Poly, bool], Equation] = field(default_factory=dict)
    least: dict[tuple[str, Size], str] = field(default_factory=dict)
    caches: set[str] = field(default_factory=set)
    batch: str | None = None
    roles: dict[str, Role] = field(default_factory=dict)

    @property
    def names(self) -> Collection[str]:
        """All that may be given a size: what stands in the file, and the names in what is computed there."""
        texts = (*self.inputs, *self.outputs)
        return {*texts, *(name for text in texts for name in names_in(text))}

    def add(self, first: Size, second: Size, said: str, *, firm: bool = True) -> None:
        """Require both to be equal."""
        zero = first - second
        if isinstance(zero, Poly):
            self.equations.setdefault((zero, firm), Equation(zero, said, firm))

    def require_least(self, name: str, least: Size, said: str) -> None:
        """Require a dimension to be no smaller."""
        self.least.setdefault((name, least), said)

    def solved(self, given: Mapping[str, Known]) -> Mapping[str, Known]:
        """The sizes that are given, and all that follow from them.

        Raises:
            UsageError: they contradict each other, or what the file decides.
        """
        chosen = given.keys() & self.outputs.keys()  # by the user: then the declaration binds
        pending = [
            each if each.firm or each.zero.names.isdisjoint(chosen) else replace(each, firm=True)
            for each in self.equations.values()
        ]
        known = dict(given)
        pending = self._settled(pending, known)
        for name, least in self._least(known).items():
            if known.setdefault(name, least).size < least.size:
                raise contradiction(name, known[name], replace(least, said=f"{least.said}, at the least"))
            pending = self._settled(pending, known)
        return known

    def _least(self, known: Mapping[str, Known]) -> Mapping[str, Known]:
        """The least of each name, as far as what it is computed from is known."""
        sizes, found = {name: each.size for name, each in known.items()}, dict[str, Known]()
        for (name, least), said in self.least.items():
            size = least if isinstance(least, int) else least.at(sizes)
            if isinstance(size, int) and (name not in found or found[name].size < size):
                names = () if isinstance(least, int) else least.names
                text, given = _origin((known[each] for each in names), said)
                found[name] = Known(size, text, given, assumed=True)
        return found

    def free(self, known: Mapping[str, Known]) -> Sequence[str]:
        """Names that decide, together with the known ones, all dimensions of inputs; sums come last."""
        sizes = {name: found.size for name, found in known.items()}
        rest = [each.zero.at(sizes) for each in self.equations.values() if each.firm]
        left = [zero.names for zero in rest if isinstance(zero, Poly)]
        sums = {name for each in self.equations.values() for name in _sums(each.zero)} | self.texts.keys()
        sums |= {name for name, _ in self.least}
        needed: list[str] = []
        decided = self._decided({*known}, left)
        for name in sorted(self.inputs, key=sums.__contains__):
            if name not in decided:
                needed.append(name)
                decided = self._decided({*decided, name}, left)
        return [name for name in self.inputs if name in needed]

    def samples(self, free: Sequence[str]) -> Mapping[str, int]:
        """Sizes to run a language model at: one token behind 128 cached ones, without a cache 64 tokens.

        A sliding window is full: a runtime leaves what it has not yet filled of its buffer as memory was.
        None of a file with other dimensions.
        """
        tokens = 1 if "cached" in self.roles.values() else 64
        cached = max(128, *(least for _, least in self.least if isinstance(least, int)), 0)
        sizes = {"sequences": 1, "tokens": tokens, "cached": cached}
        known = {name: sizes[role] for name, role in self.roles.items()}
        if self.batch is not None:
            known[self.batch] = 1
        return {name: known[name] for name in free} if known.keys() >= {*free} else {}

    def _decided(self, names: set[str], equations: Iterable[Collection[str]]) -> set[str]:
        """These, and what follows from them."""
        before = -1
        while before != len(names):
            before = len(names)
            for unknown in (set(found) - names for found in equations):
                if len(unknown) == 1:
                    names |= unknown
            names |= {name for name, least in self.least if isinstance(least, int) or least.names <= names}
            names |= {text for text in self.texts if names_in(text) <= names}
        return names

    def _settled(self, pending: Iterable[Equation], known: dict[str, Known]) -> list[Equation]:
        """Add to what is known; the equations that stay open."""
        before = -1
        while before != len(known):
            before = len(known)
            pending = [each for each in pending if not self._used(each, known)]
            sizes = {name: found.size for name, found in known.items()}
            for text in self.texts:
                size = evaluated(text, sizes)
                if size is not None:
                    self._learn(
                        text, Known(size, *_origin((known[name] for name in names_in(text)), "")), known
                    )
        return list(pending)

    def _used(self, equation: Equation, known: dict[str, Known]) -> bool:
        """Whether nothing more follows from it; what does is added."""
        sizes = {name: known[name].size for name in equation.zero.names if name in known}
        rest = equation.zero.at(sizes)
        if isinstance(rest, int):
            if rest and equation.firm:
                self._refuse(equation, known)
            return True
        (name, *others), factor = next((term, factor) for term, factor in rest.terms.items() if term)
        constant = rest.terms.get((), 0)
        if others or len(rest.terms) > 1 + bool(constant) or not (equation.firm or name in self.outputs):
            return False
        size, left = divmod(-constant, factor)
        said, given = _origin((known[each] for each in sizes), equation.said)
        if not left and size >= 0:
            known[name] = Known(size, said, given)
        elif given:
            raise UsageError(
                f"dimension {name!r} would be {-constant / factor:g} by {said}; change one of them"
            )
        return True

    def _learn(self, name: str, new: Known, known: dict[str, Known]) -> None:
        held = known.setdefault(name, new)
        if held.size != new.size and held.given | new.given:
            raise contradiction(name, held, new)

    def _refuse(self, equation: Equation, known: Mapping[str, Known]) -> None:
        """Raise where what the user gave does not fit; a file may contradict itself."""
        names = equation.zero.names
        for name in sorted(names, key=lambda name: (name not in _sums(equation.zero), name)):
            others = [known[other] for other in sorted(names - {name})]
            if not known[name].given:
                continue
            rest = equation.zero.at({other: known[other].size for other in names - {name}})
            terms = rest.terms if isinstance(rest, Poly) else {}
            factor = terms.get((name,), 0)
            said, given = _origin(others, equation.said)
            if len(terms) > 2 or not factor or terms.get((), 0) % factor or -terms.get((), 0) / factor < 0:
                continue
            raise contradiction(name, known[name], Known(-terms.get((), 0) // factor, said, given))
        if any(known[name].given for name in names):
            sizes = ", ".join(f"{name}={known[name].size}" for name in sorted(names))
            raise UsageError(
                f"{sizes} contradict {equation.said}: {equation.zero} is not 0; change one of them"
            )


def contradiction(name: str, held: Known, new: Known) -> UsageError:
    """What is wrong, of one dimension and the two who say so."""
    return UsageError(
        f"dimension {name!r} is {held.size} by {held.said} and {new.size} by {new.said}; give it one size"
    )


def _origin(others: Iterable[Known], said: str) -> tuple[str, frozenset[str]]:
    """Who says so: what the user gave, and by what it leads there."""
    given = frozenset[str]().union(*(other.given for other in others))
    text = " and ".join(sorted(given))
    return (f"{text} ({said})" if text and said else text or said), given


def _sums(zero: Poly) -> Iterator[str]:
    """Names that the equation says to be sums of others: ``total`` of past and new."""
    for term, factor in zero.terms.items():
        others = [other for key, other in zero.terms.items() if key not in (term, ())]
        if len(term) == 1 and len(others) > 1 and all(other * factor < 0 for other in others):
            yield term[0]
