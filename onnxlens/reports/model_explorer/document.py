"""A graph as Model Explorer's JSON: a collection of graphs, the modules as namespaces.

The format is Google's; ``graph_builder.py`` of ai-edge-model-explorer (Apache-2.0) says what each field
means. It has no place for a "schema" key of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from onnxlens.reports.model_explorer.attributes import Text, graph_texts, level_texts, node_texts
from onnxlens.reports.model_explorer.lines import lined_text
from onnxlens.reports.model_explorer.namespaces import Namespaces
from onnxlens.reports.tables.columns import present_columns
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.node_flow import NodeFlow, OperatorNode, Sheet, SheetEnd, Wire
from onnxlens.specs.tensor import TensorSpec

Json = dict[str, Any]

HIDDEN_LABELS = ("Constant",)
"""Nodes that hold a constant: the viewer leaves them out of the picture, and its search finds them."""
BORDERS: Mapping[str, str] = {"end": "#3b6fb6", "free": "#b0b0b0", "unknown": "#d1495b"}
"""Colours of what is no counted node; borders alone, so that names can be read on a dark page too."""
FORMAL_NAME = "__tensor_tag"
"""Under this key the viewer expects what an input is called by its reader."""


def graph_document(flow: NodeFlow, ledger: Ledger, notes: Sequence[str] = ()) -> Json:
    """The collection for one graph: a graph for itself, and one for each branch or body inside it.

    Args:
        flow: the nodes.
        ledger: the costs of the modules.
        notes: what a reader of the figures must know beside the ledger's notes.
    """
    namespaces = Namespaces(ledger)
    return {
        "label": flow.graph,
        "graphs": [_graph(sheet, ledger, namespaces, notes) for sheet in flow.sheets],
    }


def document_text(document: Json) -> str:
    """The document with a line for each node and each level."""
    return lined_text(document, 4)


def _graph(sheet: Sheet, ledger: Ledger, namespaces: Namespaces, notes: Sequence[str]) -> Json:
    columns = present_columns(ledger)
    shown = {path for node in sheet.nodes for path in namespaces.lineage(node.cost.module_path)}
    levels = {
        namespaces.of(module.path): dict(level_texts(module, columns))
        for module in ledger.modules
        if module.path and module.path in shown
    }
    return {
        "id": sheet.id,
        "groupNodeAttributes": {"": dict(graph_texts(ledger, columns, notes)), **levels},
        "nodeLabelsToHide": list(HIDDEN_LABELS),
        "nodes": [
            *(_end(end, "graph input") for end in sheet.inputs),
            *(_node(node, namespaces) for node in sheet.nodes),
            *(_end(end, "graph output") for end in sheet.outputs),
        ],
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


def _end(end: SheetEnd, kind: str) -> Json:
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
