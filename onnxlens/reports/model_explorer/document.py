"""A graph as Model Explorer's JSON: a collection of graphs, the modules as namespaces.

The format is Google's; ``graph_builder.py`` of ai-edge-model-explorer (Apache-2.0) defines what each field
means. It has no field for our "schema" key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from onnxlens.reports.numbers import bounded, shapes, short_bytes, short_count
from onnxlens.reports.tables.columns import ModuleColumn, present_columns
from onnxlens.specs.flow import FixedInput, GraphEnd, NodeFlow, OperatorGraph, OperatorNode, Wire
from onnxlens.specs.ledger import TRAFFIC, BodyCost, Ledger, ModuleCost, NodeCost, is_lower_bound
from onnxlens.specs.tensor import TensorSpec
from onnxlens.specs.text import around

Json = dict[str, Any]

HIDDEN_LABELS = ("Constant",)
"""Nodes that hold a constant: the viewer leaves them out of the picture, and its search finds them."""
BORDERS: Mapping[str, str] = {"end": "#3b6fb6", "free": "#b0b0b0", "unknown": "#d1495b"}
"""Colors of what is no counted node; borders alone, so that names can be read on a dark page too."""
FORMAL_NAME = "__tensor_tag"
"""Under this key the viewer expects what an input is called by its reader."""


def graph_document(flow: NodeFlow, ledger: Ledger, notes: Sequence[str] = ()) -> Json:
    """The collection for one graph: a graph for itself, and one for each branch or body inside it.

    The nodes of each are an iterator, to be written one by one: as JSON they take more room than all before.

    Args:
        flow: the nodes.
        ledger: the costs of the modules.
        notes: what a reader of the figures must know besides the ledger's notes.
    """
    namespaces = Namespaces(ledger)
    return {
        "label": flow.graph,
        "graphs": [_graph(graph, ledger, namespaces, notes) for graph in flow.graphs],
    }


def _graph(graph: OperatorGraph, ledger: Ledger, namespaces: Namespaces, notes: Sequence[str]) -> Json:
    columns = present_columns(ledger)
    shown = {path for node in graph.nodes for path in namespaces.lineage(node.cost.module_path)}
    levels = {
        namespaces.of(module.path): dict(level_texts(module, columns))
        for module in ledger.modules
        if module.path and module.path in shown
    }
    return {
        "id": graph.id,
        "groupNodeAttributes": {"": dict(graph_texts(ledger, columns, notes)), **levels},
        "nodeLabelsToHide": list(HIDDEN_LABELS),
        "nodes": chain(
            (_end(end, "graph input") for end in graph.inputs),
            (_node(node, namespaces) for node in graph.nodes),
            (_end(end, "graph output") for end in graph.outputs),
        ),
    }


def _node(node: OperatorNode, namespaces: Namespaces) -> Json:
    entry: Json = {
        "id": node.id,
        "label": node.cost.op_type,
        "namespace": namespaces.of(node.cost.module_path),
        "attrs": _pairs(node_texts(node)),
        "incomingEdges": [_edge(wire) for wire in node.wires],
        "outputsMetadata": [
            _tensor(index, tensor) for index, tensor in enumerate(node.outputs) if tensor is not None
        ],
        "inputsMetadata": [
            {"id": str(wire.input), "attrs": _pairs([(FORMAL_NAME, wire.formal)])}
            for wire in node.wires
            if wire.formal
        ],
    }
    if node.bodies:
        entry["subgraphIds"] = list(node.bodies)
    if node.cost.status in BORDERS:
        entry["style"] = {"borderColor": BORDERS[node.cost.status]}
    return _without_empty(entry)


def _end(end: GraphEnd, kind: str) -> Json:
    tensor = end.tensor
    fixed = kind == "graph output" and end.wire is None
    return _without_empty(
        {
            "id": end.id,
            "label": tensor.name,
            "namespace": "",
            "attrs": _pairs([("kind", f"{kind}: a constant of the file" if fixed else kind)]),
            "incomingEdges": [] if end.wire is None else [_edge(end.wire)],
            "outputsMetadata": [_tensor(0, tensor)],
            "style": {"borderColor": BORDERS["end"]},
        }
    )


def _edge(wire: Wire) -> Json:
    return {
        "sourceNodeId": wire.source,
        "sourceNodeOutputId": str(wire.output),
        "targetNodeInputId": str(wire.input),
    }


def _tensor(index: int, tensor: TensorSpec) -> Json:
    """An output; under ``tensor_name`` its name would take the node data of a node that is called so."""
    texts = [
        ("name", tensor.name),
        ("tensor_shape", "x".join(str(dim) for dim in tensor.shape) or "scalar"),
        ("dtype", tensor.dtype),
    ]
    return {"id": str(index), "attrs": _pairs(texts)}


def _pairs(texts: Iterable[Text]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in texts]


def _without_empty(entry: Json) -> Json:
    """Lists without an entry are what the format takes for granted."""
    return {key: value for key, value in entry.items() if value != []}


class Namespaces:
    """The namespace of every module: ``input_blocks.1 (EncoderBlock)/0 (ResBlock)``; "" is the model.

    A level is a module of the ledger, called by its path within the level above it, with its class.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Take the modules of ``ledger``."""
        self._modules: Mapping[str, ModuleCost] = {module.path: module for module in ledger.modules}
        self._known: dict[str, str] = {"": ""}

    def of(self, path: str) -> str:
        """The namespace of the module at ``path``."""
        if path not in self._known:
            outer = around(path, self._modules)
            level = _level(path.removeprefix(f"{outer}."), self._modules.get(path))
            above = self.of(outer)
            self._known[path] = f"{above}/{level}" if above else level
        return self._known[path]

    def lineage(self, path: str) -> Sequence[str]:
        """The paths of all modules that contain ``path``, the model first, itself last."""
        return (*self.lineage(around(path, self._modules)), path) if path else ("",)


def _level(name: str, module: ModuleCost | None) -> str:
    """One level's name; a slash would start another level, and a semicolon another namespace."""
    text = f"{name} ({module.class_name})" if module is not None and module.class_name else name
    return text.replace("/", "\\/").replace(";", ",")


Text = tuple[str, str]
"""A name and its value."""

OPERATIONS = ("macs", "vector_ops", "special_ops")
SHOWN_BY_LEVEL = ("order", "depth", "inputs", "outputs", "operators", "kernel", "stride", "groups")
"""Columns of the ledger that a level shows already: by its position, otherwise, or at the node inside."""


def node_texts(node: OperatorNode) -> Iterator[Text]:
    """A node's module, attributes, weights and costs; of an unknown node the reason, and no operations."""
    cost = node.cost
    yield "module", _module_text(cost)
    if cost.domain:
        yield "domain", cost.domain
    yield from node.attributes.items()
    for fixed in node.fixed:
        yield f"input {fixed.input} {fixed.formal}".rstrip(), _fixed_text(fixed)
    if cost.status != "counted" or cost.repeats != 1:
        yield "status", _status_text(cost)
    if cost.status != "free":
        yield from _cost_texts(cost)
    yield from ((body.name, _body_text(body)) for body in cost.bodies)


def _cost_texts(cost: NodeCost) -> Iterator[Text]:
    if cost.status != "unknown":
        yield from ((name, _figure(getattr(cost, name), short_count)) for name in OPERATIONS)
    if cost.params:
        yield "params", _figure(cost.params, short_count)
    if not is_lower_bound("moved_bytes", cost.lower_bounds):
        yield from ((name, _figure(getattr(cost, name), short_bytes)) for name in TRAFFIC)


def level_texts(module: ModuleCost, columns: Mapping[str, ModuleColumn]) -> Iterator[Text]:
    """Every cost of a module, everything below it included; what was not computed is absent."""
    yield "in", shapes(module.inputs)
    yield "out", shapes(module.outputs)
    yield "operators", ", ".join(f"{op_type} {times}" for op_type, times in module.operators.items())
    for name, column in columns.items():
        exact, short = column.exact(module), column.cell(module, exact=False)
        if exact is not None and name not in SHOWN_BY_LEVEL:
            yield name, f"{short} ({exact:,})" if isinstance(exact, int) and exact > 999 else str(short)


def graph_texts(ledger: Ledger, columns: Mapping[str, ModuleColumn], notes: Sequence[str]) -> Iterator[Text]:
    """What is known of the graph as a whole, and what a reader of its figures must know."""
    yield "file", f"{ledger.source} (opset {ledger.opset})"
    if ledger.weights:
        yield "weights", ledger.weights
    yield from level_texts(ledger.modules[0], columns)
    totals = ledger.totals
    yield "nodes", str(totals.nodes)
    yield "free_nodes", f"{totals.free_nodes}: they work on weights alone"
    for number, note in enumerate((*ledger.notes, *notes), start=1):
        yield f"note {number}", note


def _module_text(cost: NodeCost) -> str:
    path = cost.module_path or "the model itself"
    return f"{path} ({cost.class_name})" if cost.class_name else path


def _fixed_text(fixed: FixedInput) -> str:
    kind = "weight" if fixed.is_weight else "constant"
    text = f"{kind} {fixed.tensor.name} {fixed.tensor.dtype}{fixed.tensor.shape_text()}"
    return f"{text} = {fixed.values}" if fixed.values else text


def _status_text(cost: NodeCost) -> str:
    if cost.reason:
        return f"{cost.status}: {cost.reason}"
    if cost.repeats == 0:
        return "counts 0 times: its branch is not taken"
    if cost.status == "free":
        return "free: it works on weights alone, so before run time"
    return cost.status if cost.repeats == 1 else f"{cost.status}: {cost.repeats} runs together"


def _body_text(body: BodyCost) -> str:
    unknown = f", {body.unknown_nodes} of them unknown" if body.unknown_nodes else ""
    doubt = f", as {body.doubt}" if body.doubt else ""
    macs = bounded(_figure(body.macs, short_count), body.macs, lower=body.unknown_nodes > 0)
    if body.all_runs:
        return f"{macs} MACs in all runs of {body.nodes} nodes{unknown}{doubt}"
    return f"{macs} MACs in one run of {body.nodes} nodes{unknown}; counts {body.repeats} times{doubt}"


def _figure(count: int, short: Callable[[int], str]) -> str:
    """``943.72 M (943,718,400)``; a small number alone."""
    return f"{short(count)} ({count:,})" if count > 999 else short(count)


GRAPH_LEVELS, DATA_LEVELS = 4, 3
"""How deep documents are opened: a graph's down to its nodes and levels, figures' down to their nodes."""


def lined_text(document: Any, levels: int) -> Iterator[str]:
    """The document, its outer ``levels`` opened, an entry on each line; in pieces, as its nodes are made."""
    yield from _lined(document, levels)
    yield "\n"


def _lined(value: Any, levels: int) -> Iterator[str]:
    if levels == 0 or not isinstance(value, dict | list | Iterator) or not value:
        yield json.dumps(value, separators=(",", ":"), allow_nan=False)
        return
    entries: Iterable[tuple[str, Any]] = (("", entry) for entry in value)
    brackets = "[]"
    if isinstance(value, dict):
        entries = ((f"{json.dumps(str(key))}:", entry) for key, entry in value.items())
        brackets = "{}"
    before = f"{brackets[0]}\n"
    for key, entry in entries:
        yield before + key
        yield from _lined(entry, levels - 1)
        before = ",\n"
    yield f"\n{brackets[1]}"
