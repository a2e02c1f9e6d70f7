"""One module or group of a flow shown alone, between ends that are named by its neighbors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from onnxlens.errors import UsageError
from onnxlens.profile.flow.deepest import DeepestFlow, end_id, reached
from onnxlens.profile.graph.graph import Hierarchy
from onnxlens.specs.flow import FlowEdge, FlowKind, FlowNode

NAMED_CONSUMERS = 2
"""An end names so many of the modules that read its tensor, and counts the others."""


def alone(deepest: DeepestFlow, name: str) -> DeepestFlow:
    """One group by its name, or the module at a path, without what surrounds it; opened if it is closed.

    "", or the graph's name, is the whole flow.

    Raises:
        UsageError: there is no such module or group, or it runs nothing.
    """
    path = deepest.groups.get(name) or _path(deepest, name)
    return shown_alone(deepest, path) if path else deepest


def shown_alone(deepest: DeepestFlow, path: str) -> DeepestFlow:
    """The module or group at ``path``, as ``alone``.

    Raises:
        UsageError: it runs nothing.
    """
    inside = deepest.inside.get(path)
    if not inside:
        raise UsageError(f"{deepest.flow.graph}: {path} runs nothing, so there is nothing to draw")
    outer = _around(inside[0])
    border = _Border(
        deepest,
        nodes=deepest.by_id,
        inside=frozenset(node.id for node in inside),
        around=outer[: outer.index(path)] if path in outer else outer,
    )
    ends, edges = _ends_by_neighbor(border) if deepest.groups else _ends_by_tensor(border)
    inputs, outputs = ([end for end in ends if end.kind == kind] for kind in ("input", "output"))
    shown = [_from(node, path) for node in inside]
    flow = replace(
        deepest.flow,
        nodes=(*inputs, *shown, *outputs),
        edges=tuple(dict.fromkeys(edges)),
        module=deepest.names().get(path, path),
    )
    detours = _detours(deepest, border.inside)
    return replace(deepest, flow=flow, shown=path, closed=deepest.closed - {path}, detours=detours)


def inside_alone(deepest: DeepestFlow, path: str) -> Iterator[FlowNode]:
    """The boxes in the module or group at ``path``, as they are in the flow that shows it alone."""
    return (_from(node, path) for node in deepest.inside.get(path, ()))


def _detours(deepest: DeepestFlow, inside: frozenset[str]) -> Sequence[tuple[str, str]]:
    """The edges outside on paths that lead from a box inside to another."""
    consumers, producers = deepest.neighbors
    between = _between(deepest, inside)
    here = inside.union(between)
    inner = [(source, target) for source in between for target in consumers[source] if target in here]
    return [
        *inner,
        *((source, target) for target in between for source in producers[target] if source in inside),
    ]


def _between(deepest: DeepestFlow, inside: frozenset[str]) -> Sequence[str]:
    """The boxes outside on paths from a box inside to another: where no edge leads back, they run between."""
    consumers, producers = deepest.neighbors
    orders = [deepest.by_id[box].order for box in inside]
    first, last = (min(orders), max(orders)) if deepest.leads_on else (0, inf)
    if last - first + 1 == len(inside):  # nothing else runs from the first to the last
        return ()

    def may_be(box: str) -> bool:
        return first <= deepest.by_id[box].order <= last

    return sorted((reached(inside, consumers, may_be) & reached(inside, producers, may_be)) - inside)


def _from(box: FlowNode, path: str) -> FlowNode:
    """The box, contained in nothing above the level at the path."""
    above = 0
    while above < len(box.parents) and box.parents[above][0] != path:
        above += 1
    return box.within(box.parents[above:]) if above else box


def _around(box: FlowNode) -> tuple[str, ...]:
    """The paths of the modules and groups that contain a box, outermost first."""
    return tuple(path for path, _ in box.parents)


def _path(deepest: DeepestFlow, name: str) -> str:
    flow = deepest.flow
    levels = {path for box in flow.nodes for path in _around(box)}
    if name in levels:
        return name
    modules = {*levels, *(box.path for box in flow.nodes if box.order), *deepest.rows}
    known = modules - set(deepest.groups.values()) | deepest.groups.keys()
    return Hierarchy(known, {}, flow.graph, flow.source).require(name)


@dataclass(frozen=True, slots=True)
class _Border:
    """The ids of the boxes that are shown of a flow, and the paths of what contains them, outermost first."""

    deepest: DeepestFlow
    nodes: Mapping[str, FlowNode]
    inside: frozenset[str]
    around: tuple[str, ...]

    def neighbor(self, box: FlowNode) -> str:
        """The outermost module or group around an outside box, or the box itself, that does not contain us.

        "" for operators of a module that does.
        """
        levels = [path for path in _around(box) if path not in self.around]
        if not levels and box.kind == "operators":
            return ""
        path = levels[0] if levels else box.path
        return self.deepest.names().get(path, path)


Ends = tuple[Sequence[FlowNode], Sequence[FlowEdge]]


def _ends_by_tensor(border: _Border) -> Ends:
    """An end for each tensor, called by what produces it or by all that read it.

    That is the graph's input or output, a module next to the shown one, or an operator of a module that
    contains both. If two ends have the same name, the tensor's name follows.
    """
    edges = []
    producers: dict[str, str] = {}
    consumers: dict[str, dict[str, None]] = {}
    outputs: dict[str, str] = {}
    for edge in border.deepest.edges_at(border.inside):
        tensor = edge.tensor.name
        source, target = border.nodes[edge.source], border.nodes[edge.target]
        enters, leaves = target.id in border.inside, source.id in border.inside
        if enters and leaves:
            edges.append(edge)
        elif enters:
            edges.append(FlowEdge(end_id("input", tensor), target.id, edge.tensor))
            if tensor not in producers:
                produced = f"from {border.neighbor(source) or _producing_operator(border, source, tensor)}"
                producers[tensor] = produced if source.order else source.title
        elif leaves:
            edges.append(FlowEdge(source.id, end_id("output", tensor), edge.tensor))
            names = consumers.setdefault(tensor, {})
            if not target.order:
                outputs[tensor] = target.title
            elif name := border.neighbor(target):
                names[name] = None
            else:
                names.update(dict.fromkeys(_consuming_operators(border, target, tensor)))
    titles = {
        tensor: outputs.get(tensor) or f"to {_listed(list(names))}" for tensor, names in consumers.items()
    }
    return [*_ends("input", producers), *_ends("output", titles)], edges


def _producing_operator(border: _Border, box: FlowNode, tensor: str) -> str:
    """The type of the operator in an outside box that produces a tensor."""
    nodes = border.deepest.run_by([box])
    produced = (node for node in nodes if any(value and value.name == tensor for value in node.view.outputs))
    return next((node.view.op_type for node in produced), box.title)


def _consuming_operators(border: _Border, box: FlowNode, tensor: str) -> Sequence[str]:
    """The types of the operators in an outside box that read a tensor."""
    nodes = border.deepest.run_by([box])
    found = [node.view.op_type for node in nodes if any(value.name == tensor for value in node.reads)]
    return found or [box.title]


def _listed(names: Sequence[str]) -> str:
    more = [f"+{len(names) - NAMED_CONSUMERS} more"] if len(names) > NAMED_CONSUMERS else []
    return ", ".join([*names[:NAMED_CONSUMERS], *more])


def _ends(kind: FlowKind, titles: Mapping[str, str]) -> Iterator[FlowNode]:
    times = Counter(titles.values())
    for tensor, title in titles.items():
        unique = f"{title} ({tensor})" if times[title] > 1 else title
        yield FlowNode(end_id(kind, tensor), kind, tensor, unique)


def _ends_by_neighbor(border: _Border) -> Ends:
    """An end for each neighbor, for all tensors from it or to it; the last to run comes first."""
    ends: dict[str, FlowNode] = {}

    def end(kind: FlowKind, word: str, box: FlowNode) -> str:
        title = f"{word} {border.neighbor(box) or box.title}" if box.order else box.title
        return ends.setdefault(end_id(kind, title), FlowNode(end_id(kind, title), kind, box.path, title)).id

    def recency(edge: FlowEdge) -> int:
        return 1 if edge.source in border.inside else -border.nodes[edge.source].order

    edges = []
    for edge in sorted(border.deepest.edges_at(border.inside), key=recency):
        source, target = border.nodes[edge.source], border.nodes[edge.target]
        enters, leaves = target.id in border.inside, source.id in border.inside
        if enters or leaves:
            begin = source.id if leaves else end("input", "from", source)
            finish = target.id if enters else end("output", "to", target)
            edges.append(FlowEdge(begin, finish, edge.tensor))
    return list(ends.values()), edges
