"""The ledger of a graph: nodes counted, rolled up to modules and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.count.liveness import live_bytes, live_unsized
from onnxlens.profile.count.parameters import QUANTIZED, parameter_sizes, quantized_bytes
from onnxlens.profile.count.repeats import control_notes
from onnxlens.profile.count.routing import expert_notes, routings_of
from onnxlens.profile.count.rules import registered_notes
from onnxlens.profile.count.rules.attention_reach import unmeasured
from onnxlens.profile.count.windows import windows_of
from onnxlens.profile.count.working_sets import fixed_values, resident_bytes
from onnxlens.profile.graph.graph import Graph, uncollected
from onnxlens.specs.ledger import (
    Evidence,
    Ledger,
    ModuleCost,
    NodeCost,
    Totals,
    added,
    lower_bounds,
    peer_of,
)
from onnxlens.specs.peers import Convention, PeerCost

CONVENTIONS: Mapping[str, str] = MappingProxyType(
    {
        "macs": "multiply-accumulates of convolutions, matrix products, attention (both products in full) "
        "and recurrent cells; exact, batch included, padded positions counted, no bias",
        "vector_ops": "all other element operations, one per primitive and element",
        "special_ops": "transcendental element operations (exp, erf, tanh, sigmoid, sqrt, pow, sin, ...)",
        "flops": "2 x MACs + vector_ops + special_ops",
        "params": "elements of the module's parameters, each once, used by the forward pass or not",
        "branches": "of an If the larger branch counts; a loop's body as often as it runs, once where that "
        "is not known before, and a note says so",
        "bytes": "what unfused nodes must move at the file's dtypes; views move nothing",
        "live_bytes": "activations alive at once in the file's order of execution; weights apart",
        "unknown": "an operator without a rule or a shape is listed; it is never silently 0",
    }
)  # fmt: skip
"""How the figures were counted, in short; docs/counting.md has the whole of it."""

TOLD_BY: Mapping[Evidence, str] = MappingProxyType(
    {
        "metadata": "the exporter's metadata",
        "names": "their own names",
        "weights": "the names of the weights that they read",
        "flow": "what they stand between",
        "none": "nothing",
    }
)
SUREST: tuple[Evidence, ...] = tuple(TOLD_BY)


def build_ledger(graph: Graph, convention: Convention = "matrix") -> Ledger:
    """Count every node of ``graph`` and roll the counts up.

    Raises:
        UsageError: the convention needs module metadata, and the file has none.
    """
    with uncollected():
        return _build(graph, convention)


def _build(graph: Graph, convention: Convention) -> Ledger:
    costs = _costs(graph, convention)
    rows = _Rows(graph, costs)
    routings = routings_of(graph)
    paths = sorted(graph.hierarchy.paths, key=rows.position)
    modules = tuple(rows.module(path) for path in paths)
    return Ledger(
        graph=graph.name,
        source=graph.path.name,
        opset=graph.opset,
        attribution=graph.attribution,
        weights=graph.manifest.weights if graph.manifest else "",
        totals=_totals(graph, costs, modules[0]),
        modules=modules,
        nodes=costs,
        notes=(
            *graph.notes,
            *_module_notes(graph),
            *control_notes(graph.nodes, costs),
            *registered_notes((cost.domain, cost.op_type) for cost in costs if cost.status == "counted"),
            *_param_notes(graph),
            *expert_notes(graph, routings, costs),
            *_buffer_notes(graph),
        ),
        conventions=_conventions(convention),
        convention=convention,
        windows=windows_of(graph.nodes),
        experts=routings,
    )


def _costs(graph: Graph, convention: Convention) -> tuple[NodeCost, ...]:
    costs = count_nodes(graph)
    if convention == "matrix":
        return costs
    from onnxlens.profile.count.conventions.peers import peer_costs

    peers = peer_costs(graph, costs, convention)
    return tuple(replace(cost, peer=peer) for cost, peer in zip(costs, peers, strict=True))


def _conventions(convention: Convention) -> Mapping[str, str]:
    if convention == "matrix":
        return CONVENTIONS
    from onnxlens.profile.count.conventions.peers import NOTES

    return {convention: NOTES[convention], **CONVENTIONS}


class _Rows:
    """Makes the row of each module from the nodes that run in it and in the modules it contains."""

    def __init__(self, graph: Graph, costs: Sequence[NodeCost]) -> None:
        self._graph = graph
        self._costs = costs
        idle = {index for index, cost in enumerate(costs) if not cost.repeats}
        self._live = live_bytes(graph, idle)
        self._unknown = frozenset(index for index, cost in enumerate(costs) if cost.status == "unknown")
        unsized = any(not costs[index].moved_bytes for index in self._unknown)
        self._unsized = live_unsized(graph, idle) if unsized else frozenset()
        self._params = _module_params(graph, costs)
        self._running = graph.by_module()
        self._peers = _peer_costs_inside(graph, costs)
        self._evidence = _evidence(graph)
        self._fixed = fixed_values(graph)
        self._does = [
            cost.macs + cost.weight_read_bytes + cost.read_bytes + cost.write_bytes for cost in costs
        ]

    def position(self, path: str) -> tuple[bool, int, int, str]:
        """Sorts modules by first node, a parent before its children; those that run nothing last."""
        order = self._order(path)
        return (bool(path) and order == 0, order, self._graph.hierarchy.depth(path), path)

    def _order(self, path: str) -> int:
        running = self._running[path]
        return running[0] + 1 if running else 0

    def module(self, path: str) -> ModuleCost:
        hierarchy, io = self._graph.hierarchy, self._graph.module_io(path)
        running = self._running[path]
        costs = [self._costs[index] for index in running]
        unknown = [self._costs[index] for index in running if index in self._unknown] if self._unknown else []
        return ModuleCost(
            path=path,
            class_name=hierarchy.class_name(path),
            depth=hierarchy.depth(path),
            order=self._order(path),
            inputs=tuple(io.inputs.values()),
            outputs=tuple(io.outputs.values()),
            operators=_operators(costs, [self._does[index] for index in running]),
            **added(costs),
            params=self._params[path],
            unknown_nodes=len(unknown),
            resident_weight_bytes=resident_bytes(running, self._fixed),
            live_bytes=max([self._live[index] for index in running], default=0),
            peer=peer_of(self._peers[path]) or PeerCost() if self._peers else None,
            evidence=self._evidence[path],
            timed_in=None,
            lower_bounds=lower_bounds(unknown, live=not self._unsized.isdisjoint(running)),
        )


def _evidence(graph: Graph) -> Mapping[str, Evidence]:
    """What told each module: the surest that put a node into it; our manifest, where it runs none."""
    pairs = {(node.module.path, node.evidence) for node in graph.nodes}
    if len({evidence for _, evidence in pairs}) == 1 and graph.manifest is None:
        return {**dict.fromkeys(graph.hierarchy.paths, graph.nodes[0].evidence), "": "none"}
    found: dict[str, Evidence] = dict.fromkeys(graph.hierarchy.paths, "manifest")
    for path, evidence in sorted(pairs, key=lambda pair: SUREST.index(pair[1]), reverse=True):
        found.update(dict.fromkeys(graph.hierarchy.lineage(path), evidence))
    return {**found, "": "none"}


def _module_notes(graph: Graph) -> tuple[str, ...]:
    """How many nodes each evidence put into modules, where the exporter's own record did not do."""
    told = Counter(node.evidence for node in graph.nodes if not node.constant_folded)
    if not told["weights"]:
        return ()
    shares = (f"{told[kind]} by {TOLD_BY[kind]}" for kind in SUREST if told[kind])
    return (f"the modules of {told.total()} nodes were told: {', '.join(shares)}",)


def _peer_costs_inside(graph: Graph, costs: Sequence[NodeCost]) -> Mapping[str, Sequence[NodeCost]]:
    """The costs of all nodes of each module, in a peer's convention; empty in our own.

    Peers count constant-folded nodes as well.
    """
    if costs[0].peer is None:
        return {}
    inside: dict[str, list[NodeCost]] = {path: [] for path in graph.hierarchy.paths}
    for cost in costs:
        for path in graph.hierarchy.lineage(cost.module_path):
            inside[path].append(cost)
    return inside


def _operators(costs: Sequence[NodeCost], does: Sequence[int]) -> Mapping[str, int]:
    """How many nodes there are of each operator type; those that do and move most first, by ``does``."""
    weight: dict[str, int] = {}
    times: dict[str, int] = {}
    for cost, each in zip(costs, does, strict=True):
        op_type = cost.op_type
        weight[op_type] = weight.get(op_type, 0) + each
        times[op_type] = times.get(op_type, 0) + 1
    return {op_type: times[op_type] for op_type in sorted(weight, key=weight.__getitem__, reverse=True)}


def _module_params(graph: Graph, costs: Sequence[NodeCost]) -> Mapping[str, int]:
    """Elements of each module's parameters: by the manifest's ``state_dict``, else by first use."""
    params = dict.fromkeys(graph.hierarchy.paths, 0)
    if graph.manifest is not None:
        held: Iterable[tuple[str, int]] = (
            (tensor.name.rpartition(".")[0], tensor.elements)
            for tensor in graph.manifest.tensors
            if tensor.kind == "parameter"
        )
    else:
        unused = sum(parameter_sizes(graph).values()) - sum(cost.params for cost in costs)
        held = (("", unused), *((cost.module_path, cost.params) for cost in costs if cost.params))
    for module, elements in held:
        for path in graph.hierarchy.lineage(module):
            params[path] += elements
    return params


def _totals(graph: Graph, costs: Sequence[NodeCost], root: ModuleCost) -> Totals:
    tensors = graph.manifest.tensors if graph.manifest else ()
    unknown = [cost for cost in costs if cost.status == "unknown"]
    return Totals(
        nodes=len(costs),
        macs=root.macs,
        vector_ops=root.vector_ops,
        special_ops=root.special_ops,
        flops=root.flops,
        params=root.params,
        buffers=sum(tensor.elements for tensor in tensors if tensor.kind == "buffer"),
        weight_read_bytes=root.weight_read_bytes,
        read_bytes=root.read_bytes,
        write_bytes=root.write_bytes,
        resident_weight_bytes=root.resident_weight_bytes,
        peak_live_bytes=root.live_bytes,
        free_nodes=sum(cost.status == "free" for cost in costs),
        unknown_nodes=len(unknown),
        unknown_bytes=sum(cost.moved_bytes for cost in unknown),
        peer=root.peer,
        lower_bounds=root.lower_bounds,
    )


def _param_notes(graph: Graph) -> tuple[str, ...]:
    """Where the file holds fewer parameters than the module has, say how many."""
    if graph.manifest is None:
        folded = [name for name, kept in graph.declared.items() if kept and not _holds(graph, name)]
        note = "params were counted from the file's weights: it has no manifest of its PyTorch model"
        note += "".join(f"; {pair}" for pair in _transposed_tables(graph))
        if folded:
            note += f"; {len(folded)} were folded into other tensors (first: {folded[0]})"
        if quantized := quantized_bytes(graph):
            note += "; the file holds them in {:,} bytes, and scales and zero points in {:,}".format(
                *quantized
            )
        return (note,)
    held = sum(parameter_sizes(graph).values())
    owned = sum(tensor.elements for tensor in graph.manifest.tensors if tensor.kind == "parameter")
    if held == owned:
        return ()
    return (f"the forward pass uses {held:,} of the module's {owned:,} parameters; the file holds those",)


def _buffer_notes(graph: Graph) -> tuple[str, ...]:
    """Where a cache is a buffer of which the file does not say how much is in use."""
    wanted = [value.name for node in graph.nodes if (value := unmeasured(node.view)) is not None]
    if not wanted:
        return ()
    names = f"{wanted[0]!r}{f' and {len(wanted) - 1} more' if len(wanted) > 1 else ''}"
    return (
        "caches: all keys of a buffer count, as how many are in use is known at run time only, "
        f"from {names}; --value NAME=N fixes an input",
    )


def _transposed_tables(graph: Graph) -> Iterator[str]:
    """The tables of embeddings beside which the file has a weight of their shape, transposed."""
    sizes = parameter_sizes(graph)
    held = {name: graph.weights[name].shape for name in sizes if name in graph.weights}
    tables = {node.view.input(0).name for node in graph.nodes if node.view.op_type == "Gather"}
    for name in held.keys() & tables:
        shape = held[name] or ()
        alike = [other for other in held if len(shape) == 2 and held[other] == shape[::-1] != shape]
        if alike:
            yield f"{name} and {alike[0]} both count, and may be one table, written a second time transposed"


def _holds(graph: Graph, name: str) -> bool:
    names = (name, name + QUANTIZED)
    return any(each in held for each in names for held in (graph.weights, graph.constants))
