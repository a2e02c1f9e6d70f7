"""The costs of a graph's nodes as formulas, found from its counts at many sizes.

Counting rules and shape inference are asked at sizes drawn at random, small ones and large ones. Every
dimension of a tensor becomes a polynomial (``formula_parts``), and every figure of a node one in what its own
dimensions are made of. A polynomial that is found from some of the points holds at all others, or it is none:
where nothing fits, the node is said to have no formula.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import exp, gcd, log
from operator import attrgetter

from onnxlens.errors import UsageError
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.count.formula_fit import Vector
from onnxlens.profile.count.formula_parts import Dimensions
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.specs.formula import Part, Polynomial, Variable
from onnxlens.specs.ledger import COUNTS, NodeCost
from onnxlens.specs.record import record
from onnxlens.specs.tensor import Dim

GraphAt = Callable[[Mapping[str, int]], Graph | None]
"""The graph at these sizes; None where it cannot have them."""

POINTS, LARGE_POINTS = 46, 6
LARGEST, VERY_LARGE = 2**12, 2**17
"""Of most points and of some: windows and tables end in between."""

LEAST_POINTS = 12
MOST_ROUNDS = 10
FIRST_SIZES = (64, 32, 16, 8, 1, 2, 3, 4, 96, 128, 224, 256, 320, 448, 512, 640, 768, 896, 1024)
SCANNED = 64

COUNTS_OF = attrgetter(*COUNTS)
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
        graph: at the first of these.
    """

    variables: tuple[Variable, ...]
    nodes: tuple[NodeFormula, ...]
    parts: tuple[Part, ...]
    points: int
    graph: Graph


@record(frozen=True, slots=True)
class _Seen:
    """A node at one point: the shapes of what it reads and makes, and its cost."""

    shapes: tuple[tuple[Dim, ...] | None, ...]
    counts: tuple[int, ...]
    status: str
    reason: str


class _Points:
    """The graph at many points: nodes that are alike at all of them are one."""

    def __init__(self, graph_at: GraphAt, variables: Sequence[Variable]) -> None:
        self._graph_at = graph_at
        self._variables = variables
        self.points: list[Mapping[str, int]] = []
        self._numbers: dict[object, int] = {}
        self._kinds: list[tuple[NodeView, _Seen]] = []
        self._seen: list[list[int]] = []
        self.graph: Graph | None = None

    def add(self, point: Mapping[str, int]) -> bool:
        """Count the graph there, once; False where it cannot have these sizes."""
        if point in self.points:
            return True
        graph = self._graph_at(point)
        if graph is None:
            return False
        self.graph = self.graph or graph
        self.points.append(point)
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
        self._seen.append(row)
        return True

    def ordered(self) -> Sequence[int]:
        """The points by their size, small ones first."""
        return sorted(
            range(len(self.points)), key=lambda index: sorted(self.points[index].values(), reverse=True)
        )

    def formulas(self) -> tuple[Dimensions, Sequence[NodeFormula]]:
        """Those of all nodes, and the dimensions that they are made of."""
        order = self.ordered()
        dimensions = Dimensions(self._variables, [self.points[index] for index in order])
        rows = [self._seen[index] for index in order]
        known: dict[tuple[int, ...], NodeFormula] = {}
        nodes = []
        for column in zip(*rows, strict=True):
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
        variables: the dimensions that formulas are in; a step that is not known is found.

    Raises:
        UsageError: the graph has no sizes at which it can be counted.
    """
    points, found = _Points(graph_at, variables), tuple(variables)
    drawn = list(_drawn(found))
    fitting = [points.add(point) for point in drawn]
    if fitting.count(False) > len(drawn) // 8:
        found = _lattice(graph_at, found)
        points = _Points(graph_at, found)
        for point in _drawn(found):
            points.add(point)
    if points.graph is None or len(points.points) < min(LEAST_POINTS, len(drawn)):
        raise UsageError(
            f"fewer than {LEAST_POINTS} of the sizes tried for {_listed(found)} fit the graph; fix some of them "
            "with --dim NAME=SIZE"
        )
    dimensions, nodes = points.formulas()
    for index in range(MOST_ROUNDS):
        before = len(points.points)
        for name, size in dict(dimensions.wanted).items():
            others = points.points[(7 * index + 3) % before]
            points.add({**others, name: size})
        if len(points.points) == before:
            break
        dimensions, nodes = points.formulas()
    used = _used(nodes, dimensions.parts)
    return NodeFormulas(found, tuple(nodes), used, len(points.points), points.graph)


def _listed(variables: Sequence[Variable]) -> str:
    return ", ".join(each.name for each in variables)


def _used(nodes: Iterable[NodeFormula], parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts that formulas name, and those that these are made of."""
    names = {name for node in nodes for formula in node.formulas.values() for name in formula.names}
    for part in reversed(parts):
        if part.name in names:
            names |= part.of.names
    return tuple(part for part in parts if part.name in names)


def _drawn(variables: Sequence[Variable]) -> Iterable[Mapping[str, int]]:
    """Points to count at: each size up to a large one as likely as one of another order of magnitude."""
    if not variables:
        return [{}]
    draw = random.Random(20)
    points: list[Mapping[str, int]] = [
        {each.name: _multiple(each, times) for each in variables} for times in (1, 2, 3)
    ]
    for index in range(POINTS + LARGE_POINTS):
        most = LARGEST if index < POINTS else VERY_LARGE
        points.append(
            {
                each.name: _multiple(each, round(exp(draw.random() * log(most / each.step))))
                for each in variables
            }
        )
    return points


def _multiple(variable: Variable, times: int) -> int:
    """So many steps, from the least size on."""
    return variable.least + variable.step * (max(times, 1) - 1)


def _lattice(graph_at: GraphAt, variables: Sequence[Variable]) -> tuple[Variable, ...]:
    """The variables with the steps that the graph asks for: it cuts some of them into parts of a fixed size.

    Raises:
        UsageError: nothing that was tried fits.
    """
    first = next(
        (size for size in FIRST_SIZES if graph_at({each.name: size for each in variables}) is not None), None
    )
    if first is None:
        raise UsageError(
            f"no size tried for {_listed(variables)} fits the graph; fix those that hang together with "
            "--dim NAME=SIZE"
        )
    base = {each.name: first for each in variables}
    found = []
    for each in variables:
        sizes = range(first, first + 2 * SCANNED + 1)
        fitting = [size for size in sizes if graph_at({**base, each.name: size}) is not None]
        if len(fitting) < 2:
            raise UsageError(f"{each.name} cannot be varied: fix it with --dim {each.name}={first}")
        step = gcd(*(size - first for size in fitting)) or 1
        below = range(first % step or step, first, step)
        least = next((size for size in below if graph_at({**base, each.name: size}) is not None), first)
        found.append(Variable(each.name, step, least))
    return tuple(found)


def _seen(view: NodeView, cost: NodeCost) -> _Seen:
    shapes = tuple(
        [value.shape for value in (*view.inputs, *view.outputs) if value is not None and not value.is_weight]
    )
    return _Seen(shapes, COUNTS_OF(cost), cost.status, cost.reason)


def _limits(view: NodeView) -> tuple[int, ...]:
    """The whole numbers among a node's attributes, of which one may be a window."""
    return tuple(value for value in view.attributes.values() if type(value) is int and value > 1)


def _formula(view: NodeView, seen: Sequence[_Seen], dimensions: Dimensions) -> NodeFormula:
    """The formulas of a node from what is seen of it, point by point."""
    statuses = {each.status for each in seen}
    if statuses == {"free"}:
        return NodeFormula(dict.fromkeys(COUNTS, Polynomial.number(0)))
    if len(statuses) > 1:
        return NodeFormula({}, NOT_ALWAYS)
    reason = seen[0].reason
    shapes = _columns(seen)
    reads = [each for each in shapes if len(set(each)) > 1]
    names = set[str]()
    for each in reads:
        expressed = dimensions.express(each, reads)
        if expressed is not None:
            names |= expressed.names
    formulas = {}
    for index, name in enumerate(COUNTS):
        values = tuple([each.counts[index] for each in seen])
        found = _fitted(values, sorted(names), reads, view, dimensions)
        if found is None:
            reason = reason or NO_FORMULA
        else:
            formulas[name] = found
    return NodeFormula(formulas, reason)


def _columns(seen: Sequence[_Seen]) -> Sequence[Vector]:
    """The dimensions of a node's tensors, each point by point; without those that are not always known."""
    columns: list[Vector] = []
    for shapes in zip(*(each.shapes for each in seen), strict=False):
        if any(shape is None or len(shape) != len(shapes[0] or ()) for shape in shapes):
            continue
        for dims in zip(*shapes, strict=True):
            if all(isinstance(dim, int) for dim in dims):
                columns.append(dims)
    return list(dict.fromkeys(columns))


def _fitted(
    values: Vector, names: Sequence[str], reads: Sequence[Vector], view: NodeView, dimensions: Dimensions
) -> Polynomial | None:
    """A figure of a node in what its dimensions are made of; else in all dimensions; else with windows."""
    fit = dimensions.fitter.fit
    variables = [
        name for name in dimensions.fitter.values if name not in {part.name for part in dimensions.parts}
    ]
    found = fit(names, values) or fit(variables, values)
    if found is not None:
        return found
    for name in dimensions.limited(reads, _limits(view)):
        found = fit([*names, name], values, 2)
        if found is not None:
            return found
    return None
