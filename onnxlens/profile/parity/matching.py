"""Which value of the file is which tensor of PyTorch: by module, call, element type and shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.parity.module_calls import ModuleCall, Port, Side, unreadable
from onnxlens.specs.tensor import TensorSpec, spec_of

NOT_IN_NUMPY = frozenset({"bfloat16", "float8e4m3fn", "float8e5m2"})
"""Element types of PyTorch's that are not compared."""


@dataclass(frozen=True, slots=True)
class MatchedCall:
    """One call of a module that both the file and PyTorch make.

    Attributes:
        inputs: names in the file of the values that it reads from outside, matched or not.
        outputs: names of its matched outputs, in PyTorch's order.
        reason: why no output can be compared; empty if some can.
    """

    path: str
    call: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class Matching:
    """The first port that shows each value of the file, by its name, and every call of a module in the file.

    Graph inputs are left out; calls are in PyTorch's order.
    """

    ports: dict[str, Port] = field(default_factory=dict)
    calls: list[MatchedCall] = field(default_factory=list)


def match_modules(
    graph: Graph, observed: Mapping[Port, TensorSpec], layers: Mapping[str, bool] = MappingProxyType({})
) -> Matching:
    """Match the tensors of all module calls with the file's values.

    A tensor is matched if it is the only one of its element type and shape on both sides: two of one shape
    could be confused, and a swap be missed or invented.

    Args:
        graph: of the file.
        observed: the tensors of a run of PyTorch.
        layers: the modules whose result is what their weights make, and whether those take the input as it
            is: of modules that weights alone name, these are compared.
    """
    calls = _Call.grouped(observed)
    counts = Counter(call.path for call in calls)
    nodes = {
        path: split_calls([graph.nodes[index] for index in indices], counts[path])
        for path, indices in graph.by_module().items()
        if indices
    }
    found: dict[Port, str] = {}
    matching = Matching()
    for call in calls:
        if not call.path:
            matching.calls.append(_match_model(graph, call, found))
        elif call.path in nodes:
            own = dict(enumerate(nodes[call.path])).get(call.number, ())
            traced = _is_traced(graph, call.path)
            if traced or call.path in layers:
                matching.calls.append(
                    _match_call(graph, call, own, found, by_inputs=traced or layers[call.path])
                )
            else:
                matching.calls.append(MatchedCall(call.path, call.number, reason=BY_WEIGHTS))
    for port in observed:
        if port in found:
            matching.ports.setdefault(found[port], port)
    return matching


@dataclass(frozen=True, slots=True)
class _Call:
    """The tensors of one call, by index."""

    path: str
    number: int
    sides: Mapping[Side, Mapping[int, TensorSpec]]

    @classmethod
    def grouped(cls, observed: Mapping[Port, TensorSpec]) -> Sequence[_Call]:
        """The calls of a run, in the order of their first tensors."""
        calls: dict[tuple[str, int], dict[Side, dict[int, TensorSpec]]] = {}
        for port, spec in observed.items():
            sides = calls.setdefault((port.path, port.call), {"in": {}, "out": {}})
            sides[port.side][port.position] = spec
        return [cls(path, number, sides) for (path, number), sides in calls.items()]

    def matched(self, side: Side, values: Collection[TensorSpec]) -> Mapping[Port, str]:
        """The names of the values that are matched, by port in PyTorch's order."""
        fixed = [value for value in values if value.elements is not None]
        comparable = {
            index: spec for index, spec in self.sides[side].items() if spec.dtype not in NOT_IN_NUMPY
        }
        by_index = sorted((index, name) for name, index in one_to_one(fixed, comparable).items())
        return {Port(self.path, self.number, side, index): name for index, name in by_index}

    def why_not(self, values: Collection[TensorSpec]) -> str:
        """Why none of its outputs is matched."""
        outputs = self.sides["out"].values()
        unknown = any(spec.dtype in NOT_IN_NUMPY for spec in outputs)
        reason = "of a type that numpy lacks" if unknown else "not one to one by type and shape"
        return f"PyTorch returns {_kinds(outputs)}, the file {_kinds(values)}: {reason}"


def _match_model(graph: Graph, call: _Call, found: dict[Port, str]) -> MatchedCall:
    """The model's own call: its tensors are the graph's, in order."""
    inputs, outputs = (tuple(tensor.name for tensor in side) for side in (graph.inputs, graph.outputs))
    returned = [(spec.dtype, spec.shape) for spec in call.sides["out"].values()]
    if returned != [(tensor.dtype, tensor.shape) for tensor in graph.outputs]:
        return MatchedCall("", call.number, inputs, reason=call.why_not(graph.outputs))
    found.update({Port("", call.number, "out", index): name for index, name in enumerate(outputs)})
    return MatchedCall("", call.number, inputs, outputs)


BY_WEIGHTS = "the file names it by its weights alone, so it is not known what else runs in it"


def _is_traced(graph: Graph, path: str) -> bool:
    """Whether the exporter's record or nodes' names tell of it, and so which nodes it runs first and last."""
    return any(graph.nodes[index].evidence in ("metadata", "names") for index in graph.by_module()[path])


def _match_call(
    graph: Graph, call: _Call, nodes: Sequence[GraphNode], found: dict[Port, str], *, by_inputs: bool
) -> MatchedCall:
    """The call with the names of its tensors; the matched ones are added to ``found``."""
    if not nodes:
        return MatchedCall(call.path, call.number, reason="the file does not separate its calls")
    read, made = _nodes_io(graph, nodes)
    inputs = tuple(value.name for value in read)
    given = {tensor.name for tensor in graph.inputs}
    if by_inputs:
        found.update({port: name for port, name in call.matched("in", read).items() if name not in given})
    outputs = call.matched("out", made)
    found.update(outputs)
    reason = "" if outputs else call.why_not(made)
    return MatchedCall(call.path, call.number, inputs, tuple(outputs.values()), reason)


def _nodes_io(graph: Graph, nodes: Sequence[GraphNode]) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """The activations that some nodes read from outside, and those they produce that are read outside.

    Values inside a branch or a loop are visible to the nodes there only.
    """
    visible = {tensor.name for tensor in (*graph.inputs, *graph.outputs)}
    inside = {id(node) for node in nodes}
    made = {
        value.name: value.spec
        for node in nodes
        if not node.within
        for value in node.view.outputs
        if value is not None
    }
    read = {value.name: value.spec for node in nodes for value in node.reads if not value.is_weight}

    def enters(name: str) -> bool:
        producer = graph.producer(name)
        return name in visible if producer is None else not graph.nodes[producer].within

    def leaves(name: str) -> bool:
        return name in visible or any(id(graph.nodes[user]) not in inside for user in graph.consumers(name))

    return (
        [spec for name, spec in read.items() if name not in made and enters(name)],
        [spec for name, spec in made.items() if leaves(name)],
    )


def split_calls(nodes: Sequence[GraphNode], count: int) -> Sequence[Sequence[GraphNode]]:
    """The nodes of each of ``count`` calls of a module; empty if they cannot be separated.

    The exporter names every run of a PyTorch operator (``conv2d``, ``conv2d_1``). The calls are separated if
    each runs the same operators in the same order, one call after the other.
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


@dataclass(frozen=True, slots=True)
class TensorMatch:
    """The indices among a call's inputs and outputs of a file's matched inputs and outputs, by name.

    ``unknown_reason`` says why the call cannot be compared with the file; empty if it can.
    """

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    unknown_reason: str = ""


def match_tensors(
    call: ModuleCall, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> TensorMatch:
    """Match a file's inputs and outputs with one call: graph inputs by name, others by type and shape.

    An input that the call returns unchanged is not computed, and not an output of the file.
    """
    taken = {index: spec_of("", tensor) for index, tensor in enumerate(call.inputs)}
    passed = {id(tensor) for tensor in call.inputs}
    made = {
        index: spec_of("", tensor) for index, tensor in enumerate(call.outputs) if id(tensor) not in passed
    }
    named = {call.graph_inputs.get(id(tensor)): index for index, tensor in enumerate(call.inputs)}
    found = {value.name: named[value.name] for value in inputs if value.name in named}
    found |= one_to_one(
        [value for value in inputs if value.name not in found],
        {index: spec for index, spec in taken.items() if index not in found.values()},
    )
    returned = one_to_one(outputs, made)
    for (verb, specs), values, (other_verb, matched) in (
        (("takes", taken), inputs, ("reads", found)),
        (("returns", made), outputs, ("makes", returned)),
    ):
        for value in values:
            if value.name not in matched:
                sides = f"PyTorch's call {verb} {_kinds(specs.values())}, the file {other_verb} {value}"
                return TensorMatch(found, returned, f"{sides}: ambiguous by type and shape")
    return TensorMatch(found, returned, _why_not_callable(call, set(found.values())))


def one_to_one(values: Sequence[TensorSpec], tensors: Mapping[int, TensorSpec]) -> dict[str, int]:
    """The index of the only tensor that fits each value, where that fits no other value; by value name."""
    fitting = {value.name: [index for index in tensors if _fits(value, tensors[index])] for value in values}
    uses = Counter(index for indices in fitting.values() for index in indices)
    return {name: indices[0] for name, indices in fitting.items() if len(indices) == 1 == uses[indices[0]]}


def _fits(value: TensorSpec, tensor: TensorSpec) -> bool:
    """Whether type and shape agree; a dynamic dimension agrees with any size."""
    return (value.dtype, len(value.shape)) == (tensor.dtype, len(tensor.shape)) and all(
        isinstance(dim, str) or dim == size for dim, size in zip(value.shape, tensor.shape, strict=True)
    )


def _kinds(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(f"{spec.dtype}{spec.shape_text()}" for spec in specs) or "no tensor"


def _why_not_callable(call: ModuleCall, read: set[int]) -> str:
    """Why the call cannot be made with the file's inputs alone; empty if it can.

    PyTorch must not read any other input either: one that depends on weights alone is not an input of the
    file, and its value is not at hand.
    """
    import torch

    for index, tensor in enumerate(call.inputs):
        if index in read:
            continue
        if id(tensor) in call.weights:
            return f"PyTorch passes it the weight {call.weights[id(tensor)]!r} of another module"
        try:
            with torch.no_grad(), torch.device("meta"):
                call.repeated({id(tensor): unreadable()})
        except Exception:  # the user's code, which may convert ours
            return (
                f"PyTorch's call reads {spec_of(call.parameters()[index] or 'a tensor', tensor)}, "
                "which the file holds as a constant or computes otherwise"
            )
    return ""
