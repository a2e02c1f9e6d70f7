"""Which value of the file is which tensor of PyTorch: by module, call and shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.hierarchy import Hierarchy
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.parity.layers.observing import Kind, ObservedCall, Place, Side

NOT_IN_NUMPY = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2"})
"""Element types of PyTorch's that cannot be compared here."""


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
        if not call.path:
            matching.calls.append(_matched_model(graph, call, found))
        elif call.path in stretches:
            nodes = dict(enumerate(stretches[call.path])).get(call.call, ())
            matching.calls.append(_matched_call(call, nodes, borders, found))
    for place in kinds:
        if place in found:
            matching.places.setdefault(found[place], place)
    return matching


def _matched_model(graph: Graph, call: ObservedCall, found: dict[Place, str]) -> Call:
    """The model's own call: its tensors are the graph's, in their order."""
    inputs = tuple(tensor.name for tensor in graph.inputs)
    made = [ValueView(tensor.name, tensor.dtype, tensor.shape) for tensor in graph.outputs]
    if [(value.dtype, value.shape) for value in made] != list(call.outputs):
        return Call("", call.call, inputs, reason=_why_not(call.outputs, made))
    found.update({_place(call, "out", index): value.name for index, value in enumerate(made)})
    return Call("", call.call, inputs, tuple(value.name for value in made))


def _matched_call(
    call: ObservedCall, nodes: Sequence[GraphNode], borders: _Borders, found: dict[Place, str]
) -> Call:
    """The call with the names of its tensors; what was matched is entered in ``found``."""
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
    """Index and name of what is the only one of its kind on both sides, and of a kind that numpy has."""
    indices, names = defaultdict(list), defaultdict(list)
    for index, kind in enumerate(kinds):
        indices[kind].append(index)
    for value in values:
        names[value.dtype, value.shape].append(value.name)
    for kind, (index, *others) in indices.items():
        if not others and len(names[kind]) == 1 and kind[0] not in NOT_IN_NUMPY:
            yield index, names[kind][0]


def _why_not(kinds: Sequence[Kind], values: Sequence[ValueView]) -> str:
    seen = ", ".join(f"{dtype}{shape}" for dtype, shape in kinds) or "nothing"
    made = ", ".join(f"{value.dtype}{value.shape}" for value in values) or "nothing"
    doubt = "not one to one by shape" if NOT_IN_NUMPY.isdisjoint(dict(kinds)) else "of a type numpy has not"
    return f"PyTorch hands on {seen}, the file {made}: {doubt}"


class _Borders:
    """What a set of nodes reads from outside, and what of theirs is read outside.

    Values inside a branch or a loop are seen by nobody but the nodes there.
    """

    def __init__(self, graph: Graph) -> None:
        self.given = frozenset(tensor.name for tensor in graph.inputs)
        self._seen = self.given.union(*(_made(node) for node in graph.nodes))
        self._results = frozenset(tensor.name for tensor in graph.outputs)
        self._readers: defaultdict[str, set[int]] = defaultdict(set)
        for node in graph.nodes:
            if not node.constant_folded:
                for value in node.reads:
                    self._readers[value.name].add(id(node))

    def of(self, nodes: Sequence[GraphNode]) -> tuple[Sequence[ValueView], Sequence[ValueView]]:
        inside = {id(node) for node in nodes}
        made = {name: value for node in nodes for name, value in _made(node).items()}
        read = {value.name: value for node in nodes for value in node.reads if not value.is_weight}
        leaving = [
            value for name, value in made.items() if name in self._results or self._readers[name] - inside
        ]
        return [value for name, value in read.items() if name in self._seen and name not in made], leaving


def _made(node: GraphNode) -> Mapping[str, ValueView]:
    """What the node makes for all of the graph to see."""
    return {} if node.within else {value.name: value for value in node.view.outputs if value is not None}


def _calls_in_file(
    graph: Graph, hierarchy: Hierarchy, observed: Iterable[ObservedCall]
) -> Mapping[str, Sequence[Sequence[GraphNode]]]:
    """The nodes of each call, by the module's path; none where its calls cannot be told apart."""
    counts: defaultdict[str, int] = defaultdict(int)
    for call in observed:
        counts[call.path] += 1
    owned: defaultdict[str, list[GraphNode]] = defaultdict(list)
    for node in graph.nodes:
        if not node.constant_folded:
            for path in hierarchy.lineage(node.module.path):
                owned[path].append(node)
    return {path: split_calls(nodes, counts[path]) for path, nodes in owned.items()}


def split_calls(nodes: Sequence[GraphNode], count: int) -> Sequence[Sequence[GraphNode]]:
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
