"""How much of a data flow goes on one page: what a person could not follow is collapsed, or split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from onnxlens.profile.flow.boxes import Scope
from onnxlens.profile.flow.building import build_flow
from onnxlens.profile.flow.levels import notes_on, with_levels
from onnxlens.profile.flow.width import widest
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.flow import FlowGraph, FlowPage, FlowRequest
from onnxlens.specs.ledger import Ledger

READABLE_BOXES = 40
"""About as many boxes as a person takes in at a glance; where no depth is asked for, it is chosen by that."""
PAGE_BOXES = 120
"""More boxes on one page nobody reads: about ten screens, one below the other."""
SMALL_PAGE = 3
"""Pages of no more boxes are not worth turning: equal blocks are folded first."""
PAGE_WIDTH = 20
"""More boxes side by side no screen shows at a size that can be read."""


def requested_flow(graph: Graph, ledger: Ledger, request: FlowRequest) -> FlowGraph:
    """What is asked for on one page, however large.

    Raises:
        UsageError: there is no such module, or it runs nothing.
    """
    return _Pages(graph, ledger, request).whole()


def flow_pages(graph: Graph, ledger: Ledger, request: FlowRequest) -> Sequence[FlowPage]:
    """What is asked for on pages that a person can follow: the whole, then every module opened on its own.

    A page of more than ``PAGE_BOXES`` boxes, or ``PAGE_WIDTH`` side by side, is collapsed to the shallowest
    depth from which all that was asked for fits on pages, one for each module that is collapsed; where none
    is, to the deepest that fits, and its pages are split again. Notes say so.

    Raises:
        UsageError: there is no such module, or it runs nothing.
    """
    return list(_Pages(graph, ledger, request).all())


def readable_depth(graph: Graph) -> int:
    """The deepest depth at which the data flow has no more than ``READABLE_BOXES`` boxes; at least 1."""
    tree = _Tree(graph)
    depths = range(tree.levels(""), 1, -1)
    return next((depth for depth in depths if tree.boxes("", depth) <= READABLE_BOXES), 1)


class _Tree:
    """Counts boxes, without making them."""

    def __init__(self, graph: Graph) -> None:
        self.hierarchy = graph.hierarchy
        self._owners = [node.module.path for node in graph.nodes if not node.constant_folded]

    def boxes(self, module: str, depth: int) -> int:
        """How many boxes ``build_flow`` makes."""
        scope = Scope(self.hierarchy, module, depth)
        count, before = 0, None
        for path in map(scope.owner, self._owners):
            count += path is not None and path != before
            before = path
        return count

    def levels(self, module: str) -> int:
        """How many levels there are below a module."""
        inside = (path for path in self.hierarchy.paths if self._is_in(path, module))
        return max(map(self.hierarchy.depth, inside)) - self.hierarchy.depth(module)

    def _is_in(self, path: str, module: str) -> bool:
        return not module or module in self.hierarchy.lineage(path)


class _Pages:
    """Makes the pages of one request."""

    def __init__(self, graph: Graph, ledger: Ledger, request: FlowRequest) -> None:
        self._graph = with_levels(graph, ledger, PAGE_BOXES, READABLE_BOXES)
        self._ledger, self._request = ledger, request
        self._tree = _Tree(self._graph)
        self._module = self._tree.hierarchy.require(request.module)

    def whole(self) -> FlowGraph:
        """One page."""
        if self._request.depth is not None:
            return self._flow(self._module, self._request.depth)
        for depth in range(self._tree.levels(self._module), 1, -1):
            if not self._request.fold and self._tree.boxes(self._module, depth) > READABLE_BOXES:
                continue
            flow = self._flow(self._module, depth)
            if _boxes(flow) <= READABLE_BOXES and _fits(flow):
                return flow
        return self._flow(self._module, 1)

    def all(self) -> Iterator[FlowPage]:
        """The first page, and those that it or another leads to."""
        depth, levels = self._request.depth, self._tree.levels(self._module)
        if depth is None:
            yield FlowPage(self._collapsed(self.whole(), levels), {})
        else:
            yield from self._split(self._module, min(depth, max(levels, 1)) if depth else 0)

    def _collapsed(self, flow: FlowGraph, levels: int) -> FlowGraph:
        """The page with a note of what one level more would take."""
        flow = self._foldable(flow)
        if flow.depth >= levels:
            return flow
        more = _boxes(self._flow(self._module, flow.depth + 1))
        return _noted(
            flow, f"collapsed to depth {flow.depth}; at depth {flow.depth + 1} there are {more} boxes"
        )

    def _flow(self, module: str, depth: int) -> FlowGraph:
        return self._built(module, depth, self._request.fold)

    def _built(self, module: str, depth: int, fold: bool) -> FlowGraph:
        flow = build_flow(self._graph, self._ledger, depth, module, fold)
        return _noted(flow, *notes_on(flow)) if self._graph.attribution == "none" else flow

    def _split(self, module: str, depth: int) -> Iterator[FlowPage]:
        flow = self._flow(module, depth)
        if _fits(flow) or depth <= 1:
            yield FlowPage(self._foldable(flow), {})
            return
        level = self._tree.hierarchy.depth(module) + depth
        overview, opens = self._overview(module, level)
        pages = dict.fromkeys(opens.values())
        if all(self._boxes_in(path, level) <= SMALL_PAGE for path in pages):
            folded = self._foldable(flow)
            if _fits(folded):
                yield FlowPage(folded, {})
                return
        yield FlowPage(
            _noted(
                overview,
                f"collapsed to depth {overview.depth}: at depth {depth} there are {_boxes(flow)} boxes, too "
                f"many for a page; {_opened_modules(len(pages))}",
            ),
            opens,
        )
        for path in pages:
            yield from self._split(path, level - self._tree.hierarchy.depth(path))

    def _overview(self, module: str, level: int) -> tuple[FlowGraph, Mapping[str, str]]:
        """The shallowest flow from which all fits on pages, or the deepest that fits; what it opens."""
        flow = self._flow(module, 1)
        opens = self._opened(flow, level)
        for depth in range(2, level - self._tree.hierarchy.depth(module)):
            if all(self._boxes_in(path, level) <= PAGE_BOXES for path in opens.values()):
                break
            deeper = self._flow(module, depth)
            if not _fits(deeper):
                break
            flow, opens = deeper, self._opened(deeper, level)
        return flow, opens

    def _opened(self, flow: FlowGraph, level: int) -> Mapping[str, str]:
        """The modules that are collapsed in ``flow`` and are several boxes at ``level``, by their boxes.

        In a folded flow that is the first of the equal modules.
        """
        unfolded = (
            build_flow(self._graph, self._ledger, flow.depth, flow.module) if self._request.fold else flow
        )
        shown = {node.id for node in flow.nodes}
        return {
            node.id: node.path
            for node in unfolded.nodes
            if node.id in shown and node.kind == "module" and self._is_worth_a_page(node.path, level)
        }

    def _is_worth_a_page(self, module: str, level: int) -> bool:
        return self._tree.levels(module) > 0 and self._boxes_in(module, level) > 1

    def _boxes_in(self, module: str, level: int) -> int:
        return self._tree.boxes(module, level - self._tree.hierarchy.depth(module))

    def _foldable(self, flow: FlowGraph) -> FlowGraph:
        """A page that is not to be collapsed, folded where it does not fit otherwise and that helps."""
        if _fits(flow) or self._request.fold:
            return flow
        folded = self._built(flow.module, flow.depth, fold=True)
        if _boxes(folded) == _boxes(flow):
            return flow
        return _noted(folded, f"equal blocks are folded: {_boxes(flow)} boxes are too many for a page")


def _noted(flow: FlowGraph, *notes: str) -> FlowGraph:
    return replace(flow, notes=(*flow.notes, *notes))


def _fits(flow: FlowGraph) -> bool:
    return _boxes(flow) <= PAGE_BOXES and widest(flow) <= PAGE_WIDTH


def _boxes(flow: FlowGraph) -> int:
    return sum(node.order > 0 for node in flow.nodes)


def _opened_modules(count: int) -> str:
    if count == 1:
        return "1 module is opened on a page of its own"
    return f"{count} modules are opened on pages of their own"
