"""The provenance of the nodes that ONNX Runtime really runs: their source nodes, kind and module.

``runtime_graph`` reads the graph that a session saves, ``source_match`` finds the source nodes of each of its
nodes, and ``profile_events`` relates both to the runtime's profile.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from onnx import ModelProto

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.profile.runtime.runtime_graph import RuntimeNode, core, runtime_nodes
from onnxlens.profile.runtime.source_match import SourceMatch
from onnxlens.specs.ledger import NodeCost

Kind = Literal["node", "fused", "layout", "inserted"]
"""One source node; several in one; a reorder or transpose between layouts; inserted by the runtime."""

REORDERS = ("ReorderInput", "ReorderOutput")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a node of the optimized graph comes from.

    Attributes:
        node: its key: its name in the runtime's profile; ``match_events`` says which for an unnamed node.
        kind: ``inserted`` are a Cast, a Memcpy, the Reshape around a Gemm, and the nodes that an operator is
            decomposed into; the last of those has that operator as its source.
        sources: indices into ``nodes`` of the source graph; empty for inserted nodes.
        module_path: of its module; None if unknown.
        repeated: those of the sources that are the same as another one, and are computed once for both.
    """

    node: str
    op_type: str
    domain: str
    kind: Kind
    sources: tuple[int, ...]
    module_path: str | None
    repeated: tuple[int, ...] = ()

    @property
    def computed(self) -> tuple[int, ...]:
        """The sources, of those that are the same one."""
        return tuple(source for source in self.sources if source not in self.repeated)


def provenance_of(optimized: ModelProto, graph: Graph, costs: Sequence[NodeCost]) -> Mapping[str, Provenance]:
    """The provenance of every node that runs, by its key, which ``match_events`` finds for an event.

    A node that computes source nodes of several modules belongs to the module of the costliest: most MACs,
    then most memory traffic, then the last. A Conv that took in a ReLU stays the Conv's.

    An inserted node belongs to the module of the node that it serves: the one whose value it returns under
    its source name, else its first consumer, else its producer. A ReorderOutput serves its producer.

    ``optimized`` is the graph that a session saved, ``graph`` its source, and ``costs`` those of its nodes.
    """
    nodes = runtime_nodes(optimized)
    match = SourceMatch(graph, nodes)
    paths = _module_paths(graph, costs, nodes, match)
    return {
        node.key: Provenance(
            node=node.key,
            op_type=node.op_type,
            domain=node.domain,
            kind=_kind(graph, node, sources),
            sources=tuple(sorted(sources)),
            module_path=path,
            repeated=tuple(sorted(sources & match.repeated)),
        )
        for node, sources, path in zip(nodes, match.sources, paths, strict=True)
    }


def interchangeable(graph: Graph, provenances: Mapping[str, Provenance]) -> Callable[[str, str], bool]:
    """Whether two nodes, by their keys, do the same work in the same module, whichever of them runs."""

    def form(key: str) -> Hashable:
        found = provenances[key]
        views = [graph.nodes[source].view for source in found.sources]
        return found.module_path, found.kind, tuple(map(_work, views))

    return lambda one, other: form(one) == form(other)


def _work(view: NodeView) -> Hashable:
    """What an operator's costs depend on."""
    values = ((value.dtype, value.shape) if value else None for value in (*view.inputs, *view.outputs))
    attributes = sorted((name, repr(value)) for name, value in view.attributes.items())
    return view.domain, view.op_type, tuple(attributes), tuple(values)


def _kind(graph: Graph, node: RuntimeNode, sources: set[int]) -> Kind:
    if node.op_type in REORDERS or (node.op_type == "Transpose" and not sources and not node.is_decomposed):
        return "layout"
    operators = {core(graph.nodes[source].view.op_type) for source in sources}
    if not sources or (node.is_decomposed and core(node.op_type) not in operators):
        return "inserted"
    return "node" if len(sources) == 1 else "fused"


def _module_paths(
    graph: Graph, costs: Sequence[NodeCost], nodes: Sequence[RuntimeNode], match: SourceMatch
) -> Sequence[str | None]:
    paths = [_costliest_module(graph, costs, sources) for sources in match.sources]
    consumers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in node.inputs:
            consumers.setdefault(name, []).append(index)
    for index in reversed(range(len(nodes))):
        served = _served(nodes[index], match)
        reading = (reader for name in nodes[index].outputs for reader in consumers.get(name, ()))
        _take(paths, index, (*served, *reading))
    for index, node in enumerate(nodes):
        _take(paths, index, (match.producers[name] for name in node.inputs if name in match.producers))
    return paths


def _served(node: RuntimeNode, match: SourceMatch) -> Iterator[int]:
    """The nodes that an inserted node serves, other than its consumers."""
    if node.op_type == "ReorderOutput":
        yield from (match.producers[name] for name in node.inputs if name in match.producers)
    sources = (match.source_producer(name) for name in node.outputs)
    yield from (match.computed_by[source] for source in sources if source in match.computed_by)


def _take(paths: list[str | None], index: int, neighbors: Iterable[int]) -> None:
    """Give a node without a module that of the first neighbor with one."""
    if paths[index] is None:
        known = (paths[neighbor] for neighbor in neighbors)
        paths[index] = next((path for path in known if path is not None), None)


def _costliest_module(graph: Graph, costs: Sequence[NodeCost], sources: Iterable[int]) -> str | None:
    """The module of the source node with the most work."""
    weights = ((costs[source].macs, costs[source].moved_bytes, source) for source in sources)
    costliest = max(weights, default=None)
    return None if costliest is None else graph.module_of(costliest[-1])
