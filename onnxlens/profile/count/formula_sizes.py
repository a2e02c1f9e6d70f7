"""The sizes at which a graph is counted for formulas, and which of them it can have."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from math import exp, log

from onnxlens.errors import UsageError
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.formula import Limit, Polynomial, Variable, named

GraphAt = Callable[[Mapping[str, int]], Graph | None]
"""The graph at these sizes; None where it cannot have them."""

POINTS, LARGE_POINTS = 46, 6
LARGEST, VERY_LARGE = 2**12, 2**17
"""Of most points and of some: windows and tables end in between."""


FIRST_SIZES = (64, 32, 16, 8, 1, 2, 3, 4, 96, 128, 224, 256, 320, 448, 512, 640, 768, 896, 1024)
SCANNED = 64
"""So many sizes in a row tell which of them fit."""


def drawn(variables: Sequence[Variable], more: int = 1) -> Sequence[Mapping[str, int]]:
    """Points to count at: each size up to a large one as likely as one of another order of magnitude."""
    if not variables:
        return [{}]
    draw = random.Random(20)
    points = [{each.name: each.near(size) for each in variables} for size in (64, 2, 1, 3)]
    for index in range(more * (POINTS + LARGE_POINTS)):
        most = LARGEST if index < more * POINTS else VERY_LARGE
        spans = {each.name: min(most, each.most or most) / each.least for each in variables}
        sizes = {each.name: exp(draw.random() * log(spans[each.name])) * each.least for each in variables}
        points.append({each.name: each.near(round(sizes[each.name])) for each in variables})
    return points


def lattice(graph_at: GraphAt, variables: Sequence[Variable]) -> tuple[tuple[Variable, ...], Limit | None]:
    """The variables with the sizes that the graph asks for: it cuts some of them into parts of a fixed size.

    Two that end together share a table: its length limits their sum.

    Raises:
        UsageError: nothing that was tried fits.
    """
    first = next(
        (size for size in FIRST_SIZES if graph_at({each.name: size for each in variables}) is not None), None
    )
    if first is None:
        raise UsageError(
            f"no size tried for {listed(variables)} fits the graph; fix those that hang together with "
            "--dim NAME=SIZE"
        )
    base = {each.name: first for each in variables}

    def fits(name: str, size: int) -> bool:
        return graph_at({**base, name: size}) is not None

    found = []
    for each in variables:
        most = _most(partial(fits, each.name), first)
        start = first if most is None else max(1, min(first, most - SCANNED))
        end = start + SCANNED if most is None else min(most, start + SCANNED)
        scanned = [fits(each.name, size) for size in range(start, end + 1)]
        steps = range(1, len(scanned) // 2 + 1)
        step = next((s for s in steps if scanned[s:] == scanned[:-s]), 0)
        if not step or not any(scanned):
            raise UsageError(f"{each.name} cannot be varied: fix it with --dim {each.name}={first}")
        rests = tuple(sorted({(start + more) % step for more in range(step) if scanned[more]}))
        below = (size for size in range(1, first) if size % step in rests)
        least = next((size for size in below if fits(each.name, size)), first)
        found.append(Variable(each.name, step, rests, least, most))
    for one, other in combinations(found, 2):
        ends = {one.name: one.most or 0, other.name: other.most or 0}
        if one.most is not None and one.most == other.most and graph_at({**base, **ends}) is None:
            total = one.most + first
            wider = [replace(v, most=total - 1) if v in (one, other) else v for v in found]
            of = Polynomial.of(named(one.name)) + Polynomial.of(named(other.name))
            return tuple(wider), Limit(of, total, "a table ends there")
    return tuple(found), None


def _most(fits: Callable[[int], bool], first: int) -> int | None:
    """The largest size that fits, from one that does on; None if a very large multiple of that does."""
    low, high = first, 2 * first
    while fits(high):
        low, high = high, 2 * high
        if high > VERY_LARGE:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def listed(variables: Sequence[Variable]) -> str:
    """Their names, for messages."""
    return ", ".join(each.name for each in variables)
