"""Which tensors are edges from box to box, and which are port labels at the boxes that make or read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from onnxlens.reports.drawing.colors import SKIPS
from onnxlens.reports.drawing.ranks import Pair, ranks_of
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode
from onnxlens.specs.tensor import TensorSpec

FAN_OUT_LIMIT = 3
"""A tensor that goes to more boxes than this is named at those that are not near."""
FAN_IN_LIMIT = 8
"""A box that reads from more boxes than this names them."""
MANY_LABELS = 24
"""A side of a box with more port labels than this has one for all inputs or outputs, one for all boxes."""
NEAR, FEW = 4, 6
"""A tensor with no more consumers than the second still has lines to those in the same cluster, no more boxes
further on than the first: query, key, value and what is added to them."""
SKIP_RANKS = 6
"""A line over more ranks of boxes than this is a skip connection: it has a number and a color."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Tensors that go far from a box, all to the same boxes.

    Attributes:
        number: in the picture, from 1.
        word: "skip" passes many boxes by, "link" leads to a parallel module, "loop" leads back.
    """

    number: int
    word: str = "skip"

    @property
    def color(self) -> str:
        """Of its line and its port labels; colors come back, numbers do not."""
        return SKIPS[(self.number - 1) % len(SKIPS)]


@dataclass(frozen=True, slots=True)
class Line:
    """An arrow for all tensors that go from one box to another."""

    source: str
    target: str
    tensors: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class PortLabel:
    """A label at a box that names the far end of tensors.

    Attributes:
        far: the box or end of the graph there; "" for several.
        words: what a consumer calls it.
        skip: the skip connection that this is an end of.
        lined: a line leads there.
    """

    far: str
    words: str
    tensors: tuple[TensorSpec, ...]
    skip: Skip | None = None
    lined: bool = False

    @property
    def back(self) -> bool:
        """Whether it leads to a box that runs before, so that its line goes up."""
        return self.skip is not None and self.skip.word == "loop"


@dataclass(frozen=True, slots=True)
class Links:
    """All that connects the boxes.

    Attributes:
        lines: between boxes, and between a box and an end of the graph that has a position of its own.
        before: by box, the port labels for what it reads.
        behind: by box, the port labels for the consumers of its outputs.
        ends: the inputs and outputs that have a position of their own.
        parallel: the outermost modules that are drawn in parallel though the second reads the first.
    """

    lines: Sequence[Line]
    before: Mapping[str, Sequence[PortLabel]]
    behind: Mapping[str, Sequence[PortLabel]]
    ends: frozenset[str]
    parallel: frozenset[Pair] = frozenset()

    @property
    def skips(self) -> Sequence[tuple[str, PortLabel]]:
        """Every skip connection that has a line: the box it goes to, and the port there."""
        return [(box, port) for box, ports in self.before.items() for port in ports if port.lined]


_Route = tuple[str, int, bool]
"""From a box to all who read the same of it, by a number for those, and whether back."""


def links_of(flow: FlowGraph) -> Links:
    """The lines and ports of ``flow``, each tensor between two boxes once."""
    return _Linking(flow).links()


class _Linking:
    """Sorts the edges of one flow."""

    def __init__(self, flow: FlowGraph) -> None:
        self._nodes = {node.id: node for node in flow.nodes}
        self._edges = tuple(dict.fromkeys(flow.edges))
        self._ranks = ranks_of(flow)
        self._parallel = parallel_modules(flow)
        self._consumers: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._producers: dict[str, set[str]] = defaultdict(set)
        for edge in self._edges:
            self._consumers[edge.source, edge.tensor.name][edge.target] = None
            if self._nodes[edge.source].order:
                self._producers[edge.target].add(edge.source)
        self._skips: dict[_Route, Skip] = {}
        self._positioned = self._with_positions("input") | self._with_positions("output")

    def links(self) -> Links:
        by_kind: dict[str, list[FlowEdge]] = defaultdict(list)
        for edge in sorted(self._edges, key=lambda edge: self._nodes[edge.source].order):
            by_kind[self._kind(edge)].append(edge)
        lined: dict[Pair, list[TensorSpec]] = defaultdict(list)
        for edge in by_kind["line"]:
            lined[edge.source, edge.target].append(edge.tensor)
        lines = [Line(*ends, tuple(tensors)) for ends, tensors in lined.items()]
        self._number(by_kind["skip"])
        named = [*by_kind["end"], *by_kind["skip"], *by_kind["many"]]
        before, behind = self._before(named), self._behind(named)
        used = {end for line in lines for end in (line.source, line.target)}
        ends = frozenset(used - {box for box in used if self._nodes[box].order})
        return Links(lines, before, behind, ends, self._parallel)

    def _kind(self, edge: FlowEdge) -> str:
        source, target = self._nodes[edge.source], self._nodes[edge.target]
        if not source.order or not target.order:
            lined = all(node.order or node.id in self._positioned for node in (source, target))
            return "line" if lined else "end"
        if self._leads_back(edge):
            return "skip"
        if self._is_one_of_many(edge, source, target):
            return "many"
        far = self._ranks[target.id] - self._ranks[source.id] > SKIP_RANKS
        return "skip" if far or self._are_apart(source, target) else "line"

    def _leads_back(self, edge: FlowEdge) -> bool:
        """Whether what reads the tensor runs before what makes it, as only a loop does."""
        source, target = self._nodes[edge.source].order, self._nodes[edge.target].order
        return 0 < target <= source

    def _are_apart(self, source: FlowNode, target: FlowNode) -> bool:
        """Whether they are in parallel clusters."""
        ends = [node.parents[0][0] for node in (source, target) if node.parents]
        return len(ends) == 2 and (ends[0], ends[1]) in self._parallel

    def _have_line(self, source: str, target: str) -> bool:
        """Whether a line is drawn between the port labels at two boxes: not between parallel modules."""
        return source != target and not self._are_apart(self._nodes[source], self._nodes[target])

    def _with_positions(self, kind: FlowKind) -> frozenset[str]:
        """The inputs that stand at the top of the picture, or the outputs at its bottom; of many, none does.

        An input does whose one consumer reads no box, an output whose producers are in the deepest rank.
        """
        near: dict[str, set[str]] = {node.id: set() for node in self._nodes.values() if node.kind == kind}
        for edge in self._edges:
            end, box = (edge.source, edge.target) if kind == "input" else (edge.target, edge.source)
            if end in near:
                near[end].add(box)
        deepest = max(self._ranks.values(), default=0)

        def has_one(boxes: set[str]) -> bool:
            if kind == "output":
                return all(self._ranks.get(box, deepest) == deepest for box in boxes)
            return len(boxes) == 1 and not any(self._producers[box] for box in boxes)

        found = frozenset(end for end, boxes in near.items() if has_one(boxes))
        return found if len(found) <= MANY_LABELS else frozenset()

    def _is_one_of_many(self, edge: FlowEdge, source: FlowNode, target: FlowNode) -> bool:
        if target.order == source.order + 1:
            return False
        if len(self._producers[target.id]) > FAN_IN_LIMIT:
            return True
        consumers = len(self._consumers[edge.source, edge.tensor.name])
        near = source.parents == target.parents != () and target.order - source.order <= NEAR
        return consumers > FAN_OUT_LIMIT and not (near and consumers <= FEW)

    def _number(self, edges: Iterable[FlowEdge]) -> None:
        """One skip connection for all tensors of a box that go to the same boxes."""
        for edge in edges:
            source, target = self._nodes[edge.source], self._nodes[edge.target]
            word = "link" if self._are_apart(source, target) else "skip"
            skip = Skip(len(self._skips) + 1, "loop" if self._leads_back(edge) else word)
            self._skips.setdefault(self._route(edge), skip)

    def _route(self, edge: FlowEdge) -> _Route:
        number = self._route_numbers[edge.source, edge.tensor.name]
        return edge.source, number, self._leads_back(edge)

    @cached_property
    def _route_numbers(self) -> Mapping[tuple[str, str], int]:
        """By a box and a tensor of it, the same number for the same consumers."""
        numbers: dict[tuple[str, ...], int] = {}
        return {
            made: numbers.setdefault(tuple(read_by), len(numbers))
            for made, read_by in self._consumers.items()
        }

    def _before(self, edges: Iterable[FlowEdge]) -> Mapping[str, Sequence[PortLabel]]:
        """One port for all that a box reads from one box, by one skip connection."""
        ports: dict[str, list[PortLabel]] = defaultdict(list)
        groups: dict[tuple[str, str, Skip | None], list[TensorSpec]] = defaultdict(list)
        for edge in edges:
            if self._nodes[edge.target].order:
                groups[edge.target, edge.source, self._skips.get(self._route(edge))].append(edge.tensor)
        for (target, source, skip), tensors in groups.items():
            lined = bool(skip) and self._have_line(source, target)
            ports[target].append(PortLabel(source, self._from(source, skip), tuple(tensors), skip, lined))
        return {box: self._joined(found, "from") for box, found in ports.items()}

    def _from(self, source: str, skip: Skip | None) -> str:
        node = self._nodes[source]
        words = f"from {node.order}" if node.order else node.title
        return f"{skip.word} {skip.number} {words}" if skip else words

    def _behind(self, edges: Iterable[FlowEdge]) -> Mapping[str, Sequence[PortLabel]]:
        """One port for all tensors of a box that go to the same outputs or far boxes."""
        ports: dict[str, list[PortLabel]] = defaultdict(list)
        targets: dict[tuple[str, TensorSpec, Skip | None], list[str]] = defaultdict(list)
        for edge in edges:
            if self._nodes[edge.source].order:
                targets[edge.source, edge.tensor, self._skips.get(self._route(edge))].append(edge.target)
        groups: dict[tuple[str, tuple[str, ...], Skip | None], list[TensorSpec]] = defaultdict(list)
        for (source, tensor, skip), far_ends in targets.items():
            groups[source, tuple(far_ends), skip].append(tensor)
        for (source, far_boxes, skip), tensors in groups.items():
            far = far_boxes[0] if len(far_boxes) == 1 else ""
            boxes = [end for end in far_boxes if self._nodes[end].order]
            lined = bool(skip) and any(self._have_line(source, box) for box in boxes)
            ports[source].append(PortLabel(far, self._to(far_boxes, skip), tuple(tensors), skip, lined))
        return {box: self._joined(found, "to") for box, found in ports.items()}

    def _joined(self, ports: Sequence[PortLabel], word: str) -> Sequence[PortLabel]:
        """The port labels of a side of a box; of many, those without a line are one by kind of far end."""
        if len(ports) <= MANY_LABELS:
            return ports
        kinds: dict[str, list[PortLabel]] = {"line": [], "input": [], "output": [], "box": []}
        for port in ports:
            far = self._nodes.get(port.far)
            kinds["line" if port.lined else far.kind if far and not far.order else "box"].append(port)
        joined = kinds.pop("line")
        for kind, some in kinds.items():
            words = f"{word} {len(some):,} boxes"
            if kind != "box" and some:
                words = f"{len(some):,} {kind}s, {some[0].words} to {some[-1].words}"
            tensors = tuple(tensor for port in some for tensor in port.tensors)
            joined += some if len(some) == 1 else [PortLabel("", words, tensors)] if some else []
        return joined

    def _to(self, targets: Sequence[str], skip: Skip | None) -> str:
        nodes = [self._nodes[target] for target in targets]
        ends = [node.title for node in nodes if not node.order]
        orders = [str(node.order) for node in nodes if node.order]
        words = ", ".join(ends)
        if orders:
            boxes = ", ".join(orders) if len(orders) <= FAN_OUT_LIMIT else f"{len(orders)} boxes"
            words += f"{', ' if ends else ''}to {boxes}"
        return f"{skip.word} {skip.number} {words}" if skip else words


PART = 4
"""Two modules are drawn in parallel if the second does this part (a quarter) of each one's work before it
reads the first, and the first is no less than this part of that: a detector's head is below what it reads."""


def parallel_modules(flow: FlowGraph) -> frozenset[Pair]:
    """The paths of outermost clusters: the second reads the first, but does much before it has to.

    Lines between them would put one below the other; port labels do not.
    """
    clusters: dict[str, list[FlowNode]] = defaultdict(list)
    for node in flow.nodes:
        if node.order and node.parents:
            clusters[node.parents[0][0]].append(node)
    consumers: dict[str, list[str]] = defaultdict(list)
    for edge in flow.edges:
        consumers[edge.source].append(edge.target)
    found: set[Pair] = set()
    starts = {path: min(node.order for node in nodes) for path, nodes in clusters.items()}
    for upper, first in clusters.items():
        last = max(node.order for node in first)
        after = [path for path, start in starts.items() if last < start]
        dependent = reached([node.id for node in first], consumers) if after else ()
        found |= {(upper, lower) for lower in after if _does_much_before(clusters[lower], first, dependent)}
    return frozenset(found)


def _does_much_before(
    second: Sequence[FlowNode], first: Sequence[FlowNode], dependent: Collection[str]
) -> bool:
    """Whether the second needs the first, and does much that does not, and that the first can run beside."""
    independent = [node for node in second if node.id not in dependent]
    if len(independent) == len(second):
        return False
    weigh = _macs if _macs(second) else len
    overlap = weigh(independent)
    return PART * overlap >= max(weigh(first), weigh(second)) and PART * weigh(first) >= overlap


def _macs(nodes: Sequence[FlowNode]) -> int:
    return sum(node.macs * node.repeats for node in nodes)


def reached(boxes: Iterable[str], following: Mapping[str, Collection[str]]) -> set[str]:
    """All that follows the boxes directly, or follows what does, and so on."""
    found: set[str] = set()
    ahead = list(boxes)
    while ahead:
        new = set(following.get(ahead.pop(), ())) - found
        found |= new
        ahead += new
    return found
