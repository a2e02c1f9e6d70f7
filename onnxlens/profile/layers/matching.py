"""Which value of the file is which tensor of PyTorch: by module, call and shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from onnxlens.profile.graph import Graph, GraphNode
from onnxlens.profile.hierarchy import Hierarchy
from onnxlens.profile.layers.observing import Kind, ObservedCall, Place, Side
from onnxlens.profile.node_view import ValueView

CallKey = tuple[str, int]
"""A module's path, and which of its calls."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module as the file and PyTorch both know it.

    Attributes:
        inputs: names in the file of what it reads from outside, matched or not.
        outputs: names of what it hands on that PyTorch shows as well.
        reason: why what it hands on cannot be compared; empty where it can.
    """

    path: str
    call: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class Matching:
    """The values that both sides know.

    Attributes:
        places: where PyTorch first shows each, by the value's name in the file; inputs of the graph are none.
        calls: every call of a module that has nodes in the file, in PyTorch's order.
    """

    places: dict[str, Place] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)


def match(
    graph: Graph, hierarchy: Hierarchy, kinds: Mapping[Place, Kind], observed: Sequence[ObservedCall]
) -> Matching:
    """Match what PyTorch showed with the file's values.

    A call's tensors are matched by element type and shape where both sides have exactly one of it: two of one
    shape could be taken for each other, and a swap be missed or imagined.
    """
    stretches = _calls_in_file(graph, hierarchy, observed)
    borders = _Borders(graph)
    found: dict[Place, str] = {}
    matching = Matching()
    for call in observed:
        if call.path and call.path not in hierarchy.paths:
            continue
        nodes = stretches.get((call.path, call.call))
        matching.calls.append(_matched_call(graph, call, nodes, borders, found))
    for place in kinds:
        if place in found:
            matching.places.setdefault(found[place], place)
    return matching


def _matched_call(
    graph: Graph,
    call: ObservedCall,
    nodes: Sequence[GraphNode] | None,
    borders: _Borders,
    found: dict[Place, str],
) -> Call:
    """The call with the names of its tensors; what was matched is entered in ``found``."""
    if not call.path:
        outputs = dict(enumerate(tensor.name for tensor in graph.outputs))
        found.update({Place("", call.call, "out", index): name for index, name in outputs.items()})
        return Call("", call.call, tuple(tensor.name for tensor in graph.inputs), tuple(outputs.values()))
    if not nodes:
        return Call(call.path, call.call, reason="its calls cannot be told apart in the file")
    read, made = borders.of(nodes)
    for index, name in _one_to_one(call.inputs, read):
        if name not in borders.given:
            found[_place(call, "in", index)] = name
    matched = dict(_one_to_one(call.outputs, made))
    found.update({_place(call, "out", index): name for index, name in matched.items()})
    inputs = tuple(value.name for value in read)
    reason = "" if matched else _why_not(call.outputs, made)
    return Call(call.path, call.call, inputs, tuple(matched.values()), reason)


def _place(call: ObservedCall, side: Side, index: int) -> Place:
    return Place(call.path, call.call, side, index)


def _one_to_one(kinds: Sequence[Kind], values: Sequence[ValueView]) -> Iterator[tuple[int, str]]:
    """Index and name of what is the only one of its kind on both sides."""
    indices, names = defaultdict(list), defaultdict(list)
    for index, kind in enumerate(kinds):
        indices[kind].append(index)
    for value in values:
        names[value.dtype, value.shape].append(value.name)
    for kind, (index, *others) in indices.items():
        if not others and len(names[kind]) == 1:
            yield index, names[kind][0]


def _why_not(kinds: Sequence[Kind], values: Sequence[ValueView]) -> str:
    seen = ", ".join(f"{dtype}{shape}" for dtype, shape in kinds) or "nothing"
    made = ", ".join(f"{value.dtype}{value.shape}" for value in values) or "nothing"
    return f"PyTorch hands on {seen}, the file {made}: not one to one by shape"


class _Borders:
    """What a set of nodes reads from outside, and what of theirs is read outside."""

    def __init__(self, graph: Graph) -> None:
        self.given = frozenset(tensor.name for tensor in graph.inputs)
        self._results = frozenset(tensor.name for tensor in graph.outputs)
        self._readers: defaultdict[str, set[int]] = defaultdict(set)
        for node in graph.nodes:
            if not node.offline:
                for value in node.reads:
                    self._readers[value.name].add(id(node))

    def of(self, nodes: Sequence[GraphNode]) -> tuple[Sequence[ValueView], Sequence[ValueView]]:
        inside = {id(node) for node in nodes}
        made = {value.name: value for node in nodes for value in node.view.outputs if value is not None}
        read = {value.name: value for node in nodes for value in node.reads if not value.is_weight}
        leaving = [
            value for name, value in made.items() if name in self._results or self._readers[name] - inside
        ]
        return [value for name, value in read.items() if name not in made], leaving


def _calls_in_file(
    graph: Graph, hierarchy: Hierarchy, observed: Iterable[ObservedCall]
) -> Mapping[CallKey, Sequence[GraphNode]]:
    """The nodes of each call; calls that cannot be told apart are left out.

    Nodes inside a branch or a loop are part of the node that runs them.
    """
    counts: defaultdict[str, int] = defaultdict(int)
    for call in observed:
        counts[call.path] += 1
    owned: defaultdict[str, list[GraphNode]] = defaultdict(list)
    for node in graph.nodes:
        if not node.offline and not node.within:
            for path in hierarchy.lineage(node.owner.path):
                owned[path].append(node)
    return {
        (path, index): nodes
        for path, all_nodes in owned.items()
        for index, nodes in enumerate(_split(all_nodes, counts[path]))
    }


def _split(nodes: Sequence[GraphNode], count: int) -> Sequence[Sequence[GraphNode]]:
    """The nodes of ``count`` calls that run the same PyTorch operators, one after the other.

    The exporter names each PyTorch operator's run (``conv2d``, ``conv2d_1``): a call is as many of them as
    the others, of the same operators in the same order. Empty where they are not.
    """
    if count == 1:
        return [nodes]
    runs: dict[str, tuple[str, list[GraphNode]]] = {}
    for node in nodes:
        if node.call is None:
            return []
        runs.setdefault(node.call.name, (node.call.target, []))[1].append(node)
    length, rest = divmod(len(runs), count) if count else (0, 1)
    listed = list(runs.values())
    targets = [target for target, _ in listed]
    if rest or targets != targets[:length] * count:
        return []
    return [
        [node for _, run in listed[start : start + length] for node in run]
        for start in range(0, len(listed), length)
    ]
