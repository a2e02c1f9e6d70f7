"""The kind and the module of every node of the optimised graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from onnx import ModelProto

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.provenance.claims import Claims
from onnxlens.profile.runtime.provenance.records import Kind, Origin
from onnxlens.profile.runtime.provenance.runtime_graph import RuntimeNode, runtime_nodes
from onnxlens.specs.ledger import NodeCost

REORDERS = ("ReorderInput", "ReorderOutput")


def origins_of(optimised: ModelProto, graph: Graph) -> Mapping[str, Origin]:
    """The origin of every node that runs, by its key: its name, or what ``match_events`` puts for it.

    A node that computes source nodes of several modules belongs to the one whose source node does most: most
    MACs, else moves most bytes, else stands last. A Conv that took in a ReLU stays the Conv's.

    A node that was put in belongs to the node it serves: the one whose value it hands on under its source
    name, else the first that reads it, else the one it reads. A ReorderOutput serves the node it reads.

    Args:
        optimised: what a session saved of the graph it runs; its weights are not read.
        graph: the source, as loaded from the file that the session was opened on.
    """
    nodes = runtime_nodes(optimised)
    claims = Claims(graph, nodes)
    paths = _paths(graph, nodes, claims)
    return {
        node.key: Origin(
            node=node.key,
            op_type=node.op_type,
            domain=node.domain,
            kind=_kind(node, sources),
            sources=tuple(sorted(sources)),
            module_path=path,
        )
        for node, sources, path in zip(nodes, claims.sources, paths, strict=True)
    }


def _kind(node: RuntimeNode, sources: set[int]) -> Kind:
    if node.op_type in REORDERS or (node.op_type == "Transpose" and not sources and not node.is_piece):
        return "layout"
    if not sources or node.is_piece:
        return "inserted"
    return "node" if len(sources) == 1 else "fused"


def _paths(graph: Graph, nodes: Sequence[RuntimeNode], claims: Claims) -> Sequence[str | None]:
    costs = count_nodes(graph)
    paths = [_heaviest(graph, costs, sources) for sources in claims.sources]
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(index)
    for index in reversed(range(len(nodes))):
        served = _served(nodes[index], claims)
        readers_of = (reader for name in nodes[index].outputs for reader in readers.get(name, ()))
        _take(paths, index, (*served, *readers_of))
    for index, node in enumerate(nodes):
        _take(paths, index, (claims.makers[name] for name in node.inputs if name in claims.makers))
    return paths


def _served(node: RuntimeNode, claims: Claims) -> Iterator[int]:
    """Whom a node put in serves, if it is not the one that reads it."""
    if node.op_type == "ReorderOutput":
        yield from (claims.makers[name] for name in node.inputs if name in claims.makers)
    sources = (claims.maker_of(name) for name in node.outputs)
    yield from (claims.claimers[source] for source in sources if source in claims.claimers)


def _take(paths: list[str | None], index: int, neighbours: Iterable[int]) -> None:
    if paths[index] is None:
        known = (paths[neighbour] for neighbour in neighbours)
        paths[index] = next((path for path in known if path is not None), None)


def _heaviest(graph: Graph, costs: Sequence[NodeCost], sources: Iterable[int]) -> str | None:
    """The module of the source node with the most work."""
    weights = ((costs[source].macs, costs[source].moved_bytes, source) for source in sources)
    heaviest = max(weights, default=None)
    return None if heaviest is None else graph.nodes[heaviest[-1]].module.path
