"""The names in the name of a fused TFLite operation that are its own.

The converter keeps one constant for all that are equal, such as the 0 of ReLUs or the shape of a Reshape,
under the name of the first operation that needs it; every row that reads it then has that name too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.layers import LayerRecord

ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh")

PRODUCTS = ("MatMul", "Gemm")

NORMALIZATIONS = ("LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization")

IN_32_BITS = "_32bit"

READS_WEIGHTS = {"FullyConnected": True, "BatchMatMul": False}
"""Of the products that TFLite has, whether the right operand is a weight."""


def parts_of(name: str) -> list[str]:
    """The names in a name, without the numbers that count operations of one name."""
    return [part for part in name.split(";") if part and not part.isdecimal()]


def with_own_names(graph: Graph, records: Sequence[LayerRecord]) -> tuple[LayerRecord, ...]:
    """The rows with the names of their own operations as sources."""
    names = {node.view.name: at for at, node in enumerate(graph.nodes) if node.view.name}
    return tuple(replace(each, sources=_own_names(graph, names, each)) for each in records)


def _own_names(graph: Graph, names: Mapping[str, int], record: LayerRecord) -> tuple[str, ...]:
    """The names of a row's own operations.

    1. An activation is none of them if the row's others do not make what it reads.
    2. A product with a weight is in no row of one without, nor the other way round; the last of several is
       the row's own, and what comes before it is not computed with it.
    3. Of several others of one operator the earlier gave its name to a constant, unless one reads the other.
    4. Vela names what it does with an input in 32 bits after that: it is of the normalization that reads it.
    """
    parts = parts_of(record.name)
    found = {part: names.get(part, _main_node(graph, part)) for part in parts}
    nodes = {part: at for part, at in found.items() if at is not None}
    own = {at for at in nodes.values() if _fits(graph, at, nodes.values())}
    if record.op_type in READS_WEIGHTS:
        kinds = {at: _has_weight(graph, at) for at in own}
        mine = max((at for at, kind in kinds.items() if kind == READS_WEIGHTS[record.op_type]), default=-1)
        own = {at for at in own if at == mine or (at > mine and kinds[at] is None)}
    own = {at for at in own if not any(_repeats(graph, at, other) for other in own)}
    if own and parts[-1].startswith(IN_32_BITS):
        values = [value.name for value in graph.nodes[max(own)].view.outputs if value is not None]
        readers = [graph.nodes[at].view for value in values for at in graph.consumers(value)]
        if len(norms := [view.name for view in readers if view.op_type in NORMALIZATIONS]) == 1:
            return tuple(norms)
    left = [part for part in parts if part not in nodes or nodes[part] in own]
    return tuple(graph.nodes[nodes[part]].view.name if part in nodes else part for part in left or parts)


def _main_node(graph: Graph, part: str) -> int | None:
    """The only product or convolution that a module of that name runs, if it runs it itself."""
    inside = graph.by_module()[part] if part in graph.hierarchy.paths else ()
    main = [at for at in inside if graph.nodes[at].view.op_type in (*PRODUCTS, "Conv")]
    return main[0] if len(main) == 1 and graph.module_of(main[0]) == part else None


def _fits(graph: Graph, node: int, others: Collection[int]) -> bool:
    """Whether a node computes more than an activation, or activates what one of the others makes."""
    if graph.nodes[node].view.op_type not in ACTIVATIONS or len(others) == 1:
        return True
    before = next(_feeding(graph, node), None)
    if before is not None and graph.nodes[before].view.op_type == "BatchNormalization":
        before = next(_feeding(graph, before), None) if before not in others else before
    return before in others


def _repeats(graph: Graph, node: int, later: int) -> bool:
    """Whether a node has the operator of a later one that does not read it."""
    same = graph.nodes[node].view.op_type == graph.nodes[later].view.op_type
    return same and node < later and node not in _feeding(graph, later)


def _has_weight(graph: Graph, node: int) -> bool | None:
    """Whether a product, or that whose bias a node adds, is with a weight; None if there is none."""
    for at in (node, *_feeding(graph, node)):
        view = graph.nodes[at].view
        if view.op_type in PRODUCTS:
            return view.input(1).is_weight
        if view.op_type != "Add":
            return None
    return None


def _feeding(graph: Graph, node: int) -> Iterator[int]:
    """The nodes that make what a node reads."""
    for value in graph.nodes[node].view.inputs:
        made = graph.producer(value.name) if value is not None else None
        if made is not None:
            yield made
