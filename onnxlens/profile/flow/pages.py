"""How much of a data flow goes on one page: what a person cannot follow is collapsed, split or folded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from onnxlens.profile.flow.alone import alone, inside_alone, shown_alone
from onnxlens.profile.flow.collapse import box_count, collapsed_with_parts, has_more_boxes, has_more_levels
from onnxlens.profile.flow.deepest import DeepestFlow, Figures, build_flow, no_figures, ran
from onnxlens.profile.flow.fold import folded
from onnxlens.profile.flow.group import grouped
from onnxlens.profile.flow.levels import notes_on, with_levels
from onnxlens.profile.flow.parallelism import parallelism_of
from onnxlens.profile.flow.parts import with_parts
from onnxlens.profile.graph.graph import Graph, uncollected
from onnxlens.specs.flow import FlowGraph, FlowNode, FlowPage, FlowRequest
from onnxlens.specs.ledger import Ledger

READABLE_BOXES = 40
"""About as many boxes as a person takes in at a glance; it chooses the depth if none is requested."""
PAGE_BOXES = 120
"""Nobody reads more boxes on one page: about ten screens, one below the other."""
SMALL_PAGE = 3
"""Pages of no more boxes are not worth opening: equal blocks are folded first."""
PART_NOTE = "a part is a share of a long row of modules, cut by number alone"
PAGE_WIDTH = 20
"""No screen shows more boxes next to each other at a readable size."""
MOST_PAGES = 1 + PAGE_BOXES
"""Nobody turns more pages. An overview has no more boxes, so that there is room for all that it opens."""
MANY_CONSUMERS = 3
"""A tensor with more consumers is named at each of them instead of drawn, and does not push them down."""


@uncollected()
def requested_flow(graph: Graph, ledger: Ledger, request: FlowRequest) -> FlowGraph:
    """What is requested on one page, however large.

    Raises:
        UsageError: there is no such module, it runs nothing, or a group cannot be placed.
    """
    return _Pages(graph, ledger, request).whole()


@uncollected()
def flow_pages(
    graph: Graph, ledger: Ledger, request: FlowRequest, figures: Figures = no_figures
) -> Sequence[FlowPage]:
    """What is requested on pages that a person can follow: the whole, then every opened module or group.

    A page of more than ``PAGE_BOXES`` boxes, or ``PAGE_WIDTH`` next to each other, is collapsed to the
    shallowest depth from which all that was requested fits on pages, one for each module or group that is
    collapsed; if there is none, to the deepest that fits, and its pages are split again. Notes say so.

    Raises:
        UsageError: there is no such module, it runs nothing, or a group cannot be placed.
    """
    return list(_Pages(graph, ledger, request, figures).all())


def readable_depth(deepest: DeepestFlow) -> int:
    """The deepest depth at which the flow has no more than ``READABLE_BOXES`` boxes; at least 1."""
    depths = range(deepest.levels, 1, -1)
    return next((depth for depth in depths if not has_more_boxes(deepest, depth, READABLE_BOXES)), 1)


class _Plan(NamedTuple):
    """What is on the page of a level; the boxes that are opened on other pages, how deep each, and why."""

    flow: FlowGraph
    opened: Mapping[FlowNode, int] = {}
    note: str = ""


class _Pages:
    """Makes the pages of one request; modules and groups are known by their paths."""

    def __init__(
        self, graph: Graph, ledger: Ledger, request: FlowRequest, figures: Figures = no_figures
    ) -> None:
        self._request = request
        self._whole = build_flow(with_levels(graph, ledger, PAGE_BOXES, READABLE_BOXES), ledger, figures)
        if request.groups:
            self._whole = grouped(self._whole, request.groups)
        undivided = _levels(self._whole)
        self._whole = with_parts(self._whole, PAGE_BOXES, READABLE_BOXES)
        levels = _levels(self._whole)
        self._parts, self._openable = levels - undivided, levels - self._whole.closed
        requested = alone(self._whole, request.module)
        self._module = requested.shown
        self._deepest = {"": self._whole, requested.shown: requested}
        self._flows: dict[tuple[str, int, bool], FlowGraph] = {}
        self._collapsed: dict[tuple[str, int], tuple[FlowGraph, Mapping[str, Sequence[FlowNode]]]] = {}

    def whole(self) -> FlowGraph:
        """One page."""
        return replace(self._one_page(), parallelism=parallelism_of(self._shown(self._module)))

    def _one_page(self) -> FlowGraph:
        if self._request.depth is not None:
            return self._flow(self._module, self._request.depth)
        shown = self._shown(self._module)
        for depth in range(shown.levels, 1, -1):
            if not self._request.fold and has_more_boxes(shown, depth, READABLE_BOXES):
                continue
            flow = self._flow(self._module, depth)
            if _boxes(flow) <= READABLE_BOXES and _fits(flow):
                return flow
        return self._flow(self._module, 1)

    def all(self) -> Iterator[FlowPage]:
        """The first page, and those that it or another opens."""
        first, *others = self._pages()
        yield replace(first, flow=replace(first.flow, parallelism=parallelism_of(self._shown(self._module))))
        yield from others

    def _pages(self) -> Iterator[FlowPage]:
        depth, levels = self._request.depth, self._shown(self._module).levels
        if depth is None:
            flow = self._one_page()
            if self._shows_parts(flow):
                depth = flow.depth + 1
            else:
                yield FlowPage(self._with_more(flow, levels), {})
        if depth is not None:
            yield from self._split(self._module, min(depth, max(levels, 1)))

    def _with_more(self, flow: FlowGraph, levels: int) -> FlowGraph:
        """The page with a note on what one more level would take."""
        depth, flow = flow.depth, self._foldable(flow, self._module)
        if depth >= levels:
            return flow
        more = self._box_count(self._module, depth + 1)
        return _noted(flow, f"collapsed to depth {depth}; at depth {depth + 1} there are {more} boxes")

    def _shown(self, path: str) -> DeepestFlow:
        if path not in self._deepest:
            self._deepest[path] = shown_alone(self._whole, path)
        return self._deepest[path]

    def _flow(self, path: str, depth: int, fold: bool | None = None) -> FlowGraph:
        fold = self._request.fold if fold is None else fold
        if (path, depth, fold) not in self._flows:
            if (path, depth) not in self._collapsed:
                self._collapsed[path, depth] = collapsed_with_parts(self._shown(path), depth)
            flow, parts = self._collapsed[path, depth]
            if fold:
                flow = folded(self._shown(path), flow, parts)
            self._flows[path, depth, fold] = _noted(flow, *self._notes(flow))
        return self._flows[path, depth, fold]

    def _box_count(self, path: str, depth: int) -> int:
        """The boxes of ``_flow``, which is not made for that where nothing is folded."""
        return _boxes(self._flow(path, depth)) if self._request.fold else box_count(self._shown(path), depth)

    def _has_more(self, path: str, depth: int, than: int) -> bool:
        """As ``has_more_boxes`` of the module or group shown alone, which is not made where levels tell."""
        level = replace(self._whole, shown=path, closed=self._whole.closed - {path})
        levels = has_more_levels(level, inside_alone(self._whole, path), depth, than)
        return levels or box_count(self._shown(path), depth) > than

    def _notes(self, flow: FlowGraph) -> Sequence[str]:
        notes = [] if self._whole.names_modules else [*notes_on(flow)]
        return [*notes, PART_NOTE] if self._shows_parts(flow) else notes

    def _shows_parts(self, flow: FlowGraph) -> bool:
        return not self._parts.isdisjoint(path for box in flow.nodes for path in (box.path, *_around(box)))

    def _split(self, path: str, depth: int) -> Iterator[FlowPage]:
        """The page of a level and those that it opens, as many levels as ``MOST_PAGES`` has room for."""
        plans: dict[str, _Plan] = {}
        waiting = {path: depth}
        while waiting and len(plans) + len(waiting) <= MOST_PAGES:
            planned = {inner: self._plan(inner, below) for inner, below in waiting.items()}
            plans.update(planned)
            waiting = {box.path: below for plan in planned.values() for box, below in plan.opened.items()}
        yield from self._planned(path, plans)

    def _plan(self, path: str, depth: int) -> _Plan:
        boxes = self._box_count(path, depth)
        if depth <= 1 or (boxes <= PAGE_BOXES and _fits(self._flow(path, depth))):
            return _Plan(self._foldable(self._flow(path, depth), path))
        overview, opened = self._overview(path, depth)
        pages = {box.path: below for box, below in opened.items()}
        if not any(self._has_more(inner, below, SMALL_PAGE) for inner, below in pages.items()):
            small = self._foldable(self._flow(path, depth), path)
            if _fits(small):
                return _Plan(small)
        note = (
            f"collapsed to depth {overview.depth}: at depth {depth} there are {boxes} boxes, too many "
            "for a page"
        )
        return _Plan(overview, opened, note)

    def _planned(self, path: str, plans: Mapping[str, _Plan]) -> Iterator[FlowPage]:
        flow, opened, note = plans[path]
        inner = dict.fromkeys(box.path for box in opened)
        if not note:
            yield FlowPage(flow, {})
        elif not inner or plans.keys() >= inner.keys():
            names = self._whole.names()
            opens = {box.id: names.get(box.path, box.path) for box in opened}
            yield FlowPage(_noted(flow, f"{note}; {self._opened_on_pages(len(inner))}"), opens)
            for below in inner:
                yield from self._planned(below, plans)
        else:
            closed = f"{len(inner)} modules stay closed: all would be more than {MOST_PAGES} pages"
            yield FlowPage(_noted(flow, f"{note}; {closed}; --module PATH draws one"), {})

    def _overview(self, path: str, depth: int) -> tuple[FlowGraph, Mapping[FlowNode, int]]:
        """The shallowest flow from which all fits on pages, or the deepest that fits; what it opens.

        Equal blocks are folded if none fits otherwise.
        """
        flow, opened = self._flow(path, 1), self._opened(path, 1, depth)
        for deeper in range(2, depth):
            if not any(self._has_more(box.path, below, PAGE_BOXES) for box, below in opened.items()):
                break
            if not _fits(self._flow(path, deeper)):
                break
            flow, opened = self._flow(path, deeper), self._opened(path, deeper, depth)
        shown = self._foldable(flow, path)
        kept = {box.id for box in shown.nodes}
        return shown, {box: below for box, below in opened.items() if box.id in kept}

    def _opened(self, path: str, depth: int, wanted: int) -> Mapping[FlowNode, int]:
        """The boxes at ``depth`` that are several at the ``wanted`` depth, and how deep they are opened.

        Of folded boxes that is the first; a closed group stays closed.
        """
        shown = {node.id for node in self._flow(path, depth).nodes}
        opened = {}
        for box in self._flow(path, depth, fold=False).nodes:
            if box.id in shown and box.kind == "module" and box.path in self._openable:
                below = wanted - self._shown(path).depth_of(box)
                if self._has_more(box.path, below, 1):
                    opened[box] = below
        return opened

    def _foldable(self, flow: FlowGraph, path: str) -> FlowGraph:
        """A page that is not to be collapsed, folded where it does not fit otherwise and that helps."""
        if _fits(flow) or self._request.fold or self._request.groups:
            return flow
        smaller = self._flow(path, flow.depth, fold=True)
        note = f"equal blocks are folded: {_boxes(flow)} boxes are too many for a page"
        return flow if _boxes(smaller) == _boxes(flow) else _noted(smaller, note)

    def _opened_on_pages(self, count: int) -> str:
        groups = self._request.groups
        one, many = ("module or group", "modules and groups") if groups else ("module", "modules")
        if count == 1:
            return f"1 {one} is opened on a page of its own"
        return f"{count} {many} are opened on pages of their own"


def _around(box: FlowNode) -> Sequence[str]:
    return [path for path, _ in box.parents]


def _levels(deepest: DeepestFlow) -> set[str]:
    return {path for box in deepest.flow.nodes for path in _around(box)}


def _noted(flow: FlowGraph, *notes: str) -> FlowGraph:
    return replace(flow, notes=(*flow.notes, *notes))


def _fits(flow: FlowGraph) -> bool:
    return _boxes(flow) <= PAGE_BOXES and widest(flow) <= PAGE_WIDTH


def _boxes(flow: FlowGraph) -> int:
    return sum(node.order > 0 for node in flow.nodes)


def widest(flow: FlowGraph) -> int:
    """The boxes of the fullest rank, each rank as far down as the inputs of its boxes require.

    A box that nothing drawn leads to is just above the first that reads it.
    """
    producers, consumers = _drawn(flow)
    boxes = ran(flow)
    ranks: dict[str, int] = {}
    for box in boxes:
        ranks[box.id] = 1 + max((ranks.get(producer, 0) for producer in producers[box.id]), default=0)
    for box in reversed(boxes):
        if not producers[box.id] and consumers[box.id]:
            ranks[box.id] = min(ranks[consumer] for consumer in consumers[box.id]) - 1
    return max(Counter(ranks.values()).values(), default=0)


def _drawn(flow: FlowGraph) -> tuple[Mapping[str, set[str]], Mapping[str, set[str]]]:
    """The producers and the consumers of each box, by the tensors with few consumers."""
    of_tensor: dict[tuple[str, str], set[str]] = defaultdict(set)
    for edge in flow.edges:
        of_tensor[edge.source, edge.tensor.name].add(edge.target)
    boxes = {node.id for node in flow.nodes if node.order}
    producers: dict[str, set[str]] = defaultdict(set)
    consumers: dict[str, set[str]] = defaultdict(set)
    for (source, _), targets in of_tensor.items():
        if len(targets) <= MANY_CONSUMERS and source in boxes:
            for target in targets & boxes:
                producers[target].add(source)
                consumers[source].add(target)
    return producers, consumers
