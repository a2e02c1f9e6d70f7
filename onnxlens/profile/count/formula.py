"""The costs of a graph's nodes as formulas, found from its counts at many sizes.

Counting rules and shape inference are asked at sizes drawn at random, small ones and large ones. Every
dimension of a tensor becomes a polynomial (``formula_parts``), and every figure of a node one in what its own
dimensions are made of. A polynomial that is found from some of the points holds at all others, or it is none:
where nothing fits, the node is said to have no formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from onnxlens.errors import UsageError
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.count.formula_fit import Vector
from onnxlens.profile.count.formula_parts import Dimensions
from onnxlens.profile.count.formula_sizes import GraphAt, drawn, lattice, listed
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.specs.formula import Limit, Part, Polynomial, Variable, named
from onnxlens.specs.ledger import COUNTS, COUNTS_OF, NodeCost
from onnxlens.specs.record import record
from onnxlens.specs.tensor import Dim

LEAST_POINTS = 12
MOST_ROUNDS = 10
SMALL_SIZES = (4, 16, 64)
"""Sizes below may be smaller than a kernel: the formulas of larger ones are sought where they spoil them."""

MOST_FAILING = 8
"""Where more than one in so many points does not fit, the sizes that do are looked for."""

NO_FORMULA = "its cost is no polynomial of its dimensions, or of whole parts and limits of them"
NOT_ALWAYS = "its cost is known at some sizes only"


@record(frozen=True, slots=True)
class NodeFormula:
    """What a node costs; ``reason`` says why a figure is not among them, "" where all are."""

    formulas: Mapping[str, Polynomial]
    reason: str = ""


@record(frozen=True, slots=True)
class NodeFormulas:
    """The formulas of all nodes.

    Attributes:
        nodes: in their order.
        parts: what has a name in them beside the variables.
        points: where the formulas were held to the counts.
        graph: at the first of these, ``example``.
        limit: up to which sizes together they hold; None for any that the variables take.
    """

    variables: tuple[Variable, ...]
    nodes: tuple[NodeFormula, ...]
    parts: tuple[Part, ...]
    points: int
    graph: Graph
    example: Mapping[str, int]
    limit: Limit | None = None


@record(frozen=True, slots=True)
class _Seen:
    """A node at one point: the shapes of what it reads and makes, and its cost."""

    shapes: tuple[tuple[Dim, ...] | None, ...]
    counts: tuple[int, ...]
    status: str
    reason: str


@record(frozen=True, slots=True)
class _Point:
    """The graph at one point: the sizes, the number of each node's kind, and the nodes that are unknown."""

    sizes: Mapping[str, int]
    kinds: Sequence[int]
    unknown: frozenset[int]


class _Points:
    """The graph at many points: nodes that are alike at all of them are one."""

    def __init__(self, graph_at: GraphAt) -> None:
        self._graph_at = graph_at
        self._numbers: dict[object, int] = {}
        self._kinds: list[tuple[NodeView, _Seen]] = []
        self._tried: list[Mapping[str, int]] = []
        self.points: list[_Point] = []
        self.graph: Graph | None = None
        self._empty: frozenset[int] = frozenset()
        self.example: Mapping[str, int] = {}

    def add(self, sizes: Mapping[str, int], *, again: bool = False) -> bool:
        """Count the graph there, once unless it is asked again; False where it cannot have these sizes."""
        if sizes in self._tried and not again:
            return True
        self._tried.append(sizes)
        graph = self._graph_at(sizes)
        if graph is None:
            return False
        empty = frozenset(index for index, node in enumerate(graph.nodes) if _is_empty(node.view))
        if self.graph is None:
            self.graph, self.example, self._empty = graph, sizes, empty
        if not empty <= self._empty:  # a table that ends before these sizes
            return False
        numbers, kinds = self._numbers, self._kinds
        row = []
        for node, cost in zip(graph.nodes, count_nodes(graph), strict=True):
            seen = _seen(node.view, cost)
            key = (seen.shapes, seen.counts, seen.status, _limits(node.view))
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(kinds)
                kinds.append((node.view, seen))
            row.append(number)
        unknown = (index for index, number in enumerate(row) if kinds[number][1].status == "unknown")
        self.points.append(_Point(sizes, row, frozenset(unknown)))
        return True

    def drop_too_small(self) -> int:
        """Drop points at which more is unknown than at others, and no other is nowhere larger: how many.

        What is unknown at larger sizes alone hangs on data: such nodes are then said to have no formula.
        """
        least = min((point.unknown for point in self.points), key=len, default=frozenset())
        good = [point for point in self.points if point.unknown <= least]

        def is_larger(point: _Point) -> bool:
            return any(all(point.sizes[n] >= size for n, size in each.sizes.items()) for each in good)

        kept = [point for point in self.points if point.unknown <= least or is_larger(point)]
        dropped = len(self.points) - len(kept)
        self.points = kept
        return dropped

    def with_least(self, variables: Sequence[Variable]) -> tuple[Variable, ...]:
        """The variables with the least size of each at which as much is known as at large ones."""
        least = min((point.unknown for point in self.points), key=len)
        base = max(self.points, key=lambda point: min(point.sizes.values())).sizes

        def fits(name: str, size: int) -> bool:
            return self.add({**base, name: size}, again=True) and self.points.pop().unknown <= least

        found = []
        for each in variables:
            low, high = 0, base[each.name]  # the first does not fit, the second does
            while high - low > 1:
                middle = each.near((low + high) // 2)
                if middle >= high:
                    break
                low, high = (low, middle) if fits(each.name, middle) else (middle, high)
            found.append(replace(each, least=high))
        return tuple(found)

    def with_agreeing(
        self,
        variables: Sequence[Variable],
        larger: Sequence[Variable],
        parts: Sequence[Part],
        nodes: Sequence[NodeFormula],
    ) -> tuple[Variable, ...]:
        """The variables with the least sizes down to which the formulas of larger ones are the counts."""
        base = max(self.points, key=lambda point: min(point.sizes.values())).sizes

        def agrees(name: str, size: int) -> bool:
            return self.agree({**base, name: size}, parts, nodes)

        found = []
        for each, start in zip(variables, larger, strict=True):
            least = start.least
            while least > each.least and agrees(each.name, least - 1):
                least -= 1
            found.append(replace(each, least=least))
        return tuple(found)

    def agree(self, point: Mapping[str, int], parts: Sequence[Part], nodes: Sequence[NodeFormula]) -> bool:
        """Whether the graph can have these sizes, and its counts there are those of the formulas."""
        graph = self._graph_at(point)
        if graph is None:
            return False
        sizes = {named(each): value for each, value in point.items()}
        for part in parts:
            sizes[part.name] = part.at(sizes)
        return all(
            formula.at(sizes) == getattr(cost, column)
            for node, cost in zip(nodes, count_nodes(graph), strict=True)
            for column, formula in node.formulas.items()
        )

    def formulas(self, variables: Sequence[Variable]) -> tuple[Dimensions, Sequence[NodeFormula]]:
        """Those of all nodes, and the dimensions that they are made of."""
        ordered = sorted(self.points, key=lambda point: sorted(point.sizes.values(), reverse=True))
        dimensions = Dimensions(variables, [point.sizes for point in ordered])
        known: dict[tuple[int, ...], NodeFormula] = {}
        nodes = []
        for column in zip(*(point.kinds for point in ordered), strict=True):
            found = known.get(column)
            if found is None:
                kinds = [self._kinds[number] for number in column]
                found = known[column] = _formula(kinds[0][0], [seen for _, seen in kinds], dimensions)
            nodes.append(found)
        return dimensions, nodes


def node_formulas(graph_at: GraphAt, variables: Sequence[Variable]) -> NodeFormulas:
    """Find the formulas of all nodes.

    Args:
        graph_at: gives the graph at sizes of the variables.
        variables: the dimensions that formulas are in; the step and the least size that the graph asks for
            are found.

    Raises:
        UsageError: the graph has too few sizes at which it can be counted.
    """
    found, limit = tuple(variables), None
    first = drawn(found)
    points = _Points(graph_at)
    failed = [points.add(sizes) for sizes in first].count(False) + points.drop_too_small()
    if failed > len(first) // MOST_FAILING:
        found, limit = lattice(graph_at, found)
        points = _Points(graph_at)
        for sizes in drawn(found, more=2):
            points.add(sizes)
        points.drop_too_small()
    if points.graph is None or len(points.points) < min(LEAST_POINTS, len(first)):
        raise UsageError(
            f"fewer than {LEAST_POINTS} of the sizes tried for {listed(found)} fit the graph; fix some "
            "with --dim NAME=SIZE"
        )
    if failed:
        found = points.with_least(found)
    dimensions, nodes = _solved(points, found)
    for start in SMALL_SIZES if any(node.reason == NO_FORMULA for node in nodes) else ():
        larger = tuple(replace(each, least=each.near(start)) for each in found)
        others = _Points(graph_at)
        for sizes in drawn(larger):
            others.add(sizes)
        if len(others.points) < LEAST_POINTS:
            break
        also, better = _solved(others, larger)
        if _open(better) < _open(nodes):
            down = others.with_agreeing(found, larger, also.parts, better)
            inside = [
                point.sizes
                for point in points.points
                if all(point.sizes[each.name] >= each.least for each in down)
            ]
            if all(others.agree(sizes, also.parts, better) for sizes in inside):  # small ones together, too
                found, points, dimensions, nodes = down, others, also, better
                break
    used = _used(nodes, dimensions.parts)
    assert points.graph is not None
    return NodeFormulas(found, tuple(nodes), used, len(points.points), points.graph, points.example, limit)


def _open(nodes: Sequence[NodeFormula]) -> int:
    return sum(bool(node.reason) for node in nodes)


def _solved(points: _Points, variables: Sequence[Variable]) -> tuple[Dimensions, Sequence[NodeFormula]]:
    """The formulas from these points, and from more of them as long as those leave something open."""
    dimensions, nodes = points.formulas(variables)
    for index in range(MOST_ROUNDS):
        before = len(points.points)
        for name, size in dict(dimensions.wanted).items():
            points.add({**points.points[(7 * index + 3) % before].sizes, name: size})
        if len(points.points) == before:
            break
        points.drop_too_small()
        dimensions, nodes = points.formulas(variables)
    return dimensions, nodes


def _used(nodes: Iterable[NodeFormula], parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts that formulas name, and those that these are made of."""
    names = {name for node in nodes for formula in node.formulas.values() for name in formula.names}
    for part in reversed(parts):
        if part.name in names:
            names |= part.of.names
    return tuple(part for part in parts if part.name in names)


def _seen(view: NodeView, cost: NodeCost) -> _Seen:
    shapes = tuple(
        [value.shape for value in (*view.inputs, *view.outputs) if value is not None and not value.is_weight]
    )
    return _Seen(shapes, COUNTS_OF(cost), cost.status, cost.reason)


def _is_empty(view: NodeView) -> bool:
    """Whether the node makes a tensor of no element."""
    return any(value is not None and value.shape is not None and 0 in value.shape for value in view.outputs)


def _limits(view: NodeView) -> tuple[int, ...]:
    """The whole numbers among a node's attributes, of which one may be a window, and those before them."""
    numbers = {value for value in view.attributes.values() if type(value) is int and value > 2}
    return tuple(sorted(numbers | {number - 1 for number in numbers}, reverse=True))


def _formula(view: NodeView, seen: Sequence[_Seen], dimensions: Dimensions) -> NodeFormula:
    """The formulas of a node from what is seen of it, point by point."""
    statuses = {each.status for each in seen}
    if statuses == {"free"}:
        return NodeFormula(dict.fromkeys(COUNTS, Polynomial.number(0)))
    if len(statuses) > 1:
        return NodeFormula({}, NOT_ALWAYS)
    reason = seen[0].reason
    tensors = _tensors(seen)
    reads = list(dict.fromkeys(each for tensor in tensors for each in tensor))
    names = [
        frozenset(
            name
            for each in tensor
            for expressed in [dimensions.express(each, reads)]
            if expressed is not None
            for name in expressed.names
        )
        for tensor in tensors
    ]
    formulas = {}
    for index, name in enumerate(COUNTS):
        values = tuple([each.counts[index] for each in seen])
        found = _fitted(values, names, reads, _limits(view), dimensions)
        if found is None:
            reason = reason or NO_FORMULA
        else:
            formulas[name] = found
    return NodeFormula(formulas, reason)


def _tensors(seen: Sequence[_Seen]) -> Sequence[Sequence[Vector]]:
    """The dimensions of a node's tensors that vary, point by point, as far as they are always known."""
    tensors: list[Sequence[Vector]] = []
    for shapes in zip(*(each.shapes for each in seen), strict=False):
        if any(shape is None or len(shape) != len(shapes[0] or ()) for shape in shapes):
            continue
        columns = [dims for dims in zip(*shapes, strict=True) if len(set(dims)) > 1]
        tensors.append([dims for dims in columns if all(isinstance(dim, int) for dim in dims)])
    return tensors


def _fitted(
    values: Vector,
    names: Sequence[frozenset[str]],
    reads: Sequence[Vector],
    limits: Sequence[int],
    dimensions: Dimensions,
) -> Polynomial | None:
    """A figure of a node in what each of its tensors is made of, or all together; else with a window."""
    fit = dimensions.fitter.fit
    every = frozenset().union(*names)
    for groups in (names, [every], [dimensions.variables]):
        found = fit(groups, values)
        if found is not None:
            return found
    return dimensions.with_limits(every, values, reads, limits)
