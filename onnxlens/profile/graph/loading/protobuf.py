"""Reading the protobuf: a model's graphs, their nodes, attributes and small constants; never a weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from sys import intern
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto, numpy_helper
from onnx.checker import ValidationError

from onnxlens.errors import GraphError, first_line
from onnxlens.profile.graph.loading.external import with_length
from onnxlens.profile.graph.node_view import ManyValues
from onnxlens.specs.bounds import require_prefix

MAX_CONSTANT_ELEMENTS = 4096
"""The largest constant whose value a counting rule may read."""

RANDOM_OPERATORS = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
)

SIGNATURE_KEY = "pkg.torch.export.ExportedProgram.graph_signature"
SIGNATURE_LINE = re.compile(r"^\w+: (PARAMETER|BUFFER|CONSTANT_TENSOR) target='([^']*)'", re.MULTILINE)
"""``p_stem_weight: PARAMETER target='stem.weight'``: the target is the initializer's name."""

NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})

Reader = Callable[[], np.ndarray | None]


@dataclass(slots=True)
class FileNode:
    """A node, read from the protobuf once: going through its fields again costs more than all that follows.

    Attributes:
        domain: "" for ONNX's own operators.
        version: of its operator, where that is not the one that the model imports (see ``at_version``).
        attributes: as plain values, a tensor as an array; empty for a Constant, whose attribute is its value.
        subgraphs: the graphs among its attributes, by the attribute's name (see ``subgraphs``).
    """

    proto: NodeProto
    op_type: str
    domain: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]
    subgraphs: Sequence[tuple[str, GraphProto]]
    version: int | None = None


@dataclass(slots=True)
class FileGraph:
    """A graph of a file: the model's, or one inside a node.

    Attributes:
        prefix: makes the names of its values unique in the file (see ``prefix_of``).
        inner: the graphs inside its nodes, by their prefix.
    """

    prefix: str
    proto: GraphProto
    nodes: Sequence[FileNode]
    inner: Mapping[str, FileGraph]

    def constants(self) -> Iterator[NodeProto]:
        """Its Constant nodes."""
        return (node.proto for node in self.nodes if node.op_type == "Constant")

    def all(self) -> Iterator[FileGraph]:
        """The graph itself and every graph inside it."""
        yield self
        for graph in self.inner.values():
            yield from graph.all()

    def names_read(self) -> frozenset[str]:
        """Every name that a node of the graph, or of one inside it, reads, and the graphs' outputs."""
        names = set[str]()
        for graph in self.all():
            names.update(output.name for output in graph.proto.output)
            names.update(name for node in graph.nodes for name in node.inputs)
        return frozenset(names)


def read_graph(graph: GraphProto, prefix: str = "") -> FileGraph:
    """All nodes of a graph, and of the graphs inside it."""
    nodes = [_read_node(node) for node in graph.node]
    inner = {
        inside: read_graph(subgraph, inside)
        for node in nodes
        for attribute, subgraph in node.subgraphs
        for inside in [prefix_of(node.proto, attribute, prefix)]
    }
    return FileGraph(prefix, graph, nodes, inner)


def _read_node(node: NodeProto) -> FileNode:
    op_type = intern(node.op_type)
    domain = node.domain
    attributes: Mapping[str, Any] = NO_ATTRIBUTES
    inside: Sequence[tuple[str, GraphProto]] = ()
    held = node.attribute
    if held and op_type != "Constant":
        attributes = {}
        for attribute in held:
            kind = attribute.type
            try:
                attributes[intern(attribute.name)] = PLAIN[kind](attribute) if kind in PLAIN else None
            except Exception as error:  # whatever numpy and onnx say of a tensor that is not what it says
                raise GraphError(
                    f"the attribute {attribute.name!r} of the {op_type} {label_of(node)!r} does not decode: "
                    f"{first_line(error)}"
                ) from error
            if kind in (AttributeProto.GRAPH, AttributeProto.GRAPHS) and not inside:
                inside = tuple(subgraphs(node))
    version = None
    if domain:
        version = int(domain.partition(VERSION_MARK)[2]) if VERSION_MARK in domain else None
        domain = domain_of(node)
    return FileNode(node, op_type, domain, node.input[:], node.output[:], attributes, inside, version)


def domain_of(node: NodeProto | FunctionProto | onnx.OperatorSetIdProto) -> str:
    """The operator's domain, "" for ONNX's own, which may also be spelled out."""
    domain: str = node.domain
    if VERSION_MARK in domain:
        domain = domain.partition(VERSION_MARK)[0]
    return "" if domain == "ai.onnx" else domain


def at_version(domain: str, version: int) -> str:
    """The domain of a node whose operator has another version than the model imports, out of a function.

    Libraries do not know it, and so cannot take the operator for what its name means in the model.
    """
    return f"{domain or 'ai.onnx'}{VERSION_MARK}{version}"


VERSION_MARK = ";"


def versions(model: onnx.ModelProto) -> dict[str, int]:
    """The opset version of each domain that the file names."""
    return {
        domain_of(opset): opset.version for opset in model.opset_import if VERSION_MARK not in opset.domain
    }


def declared_parameters(graph: GraphProto) -> Mapping[str, bool]:
    """Which tensors torch's exporter says are parameters (True), or buffers and constants; by name."""
    signature = next((entry.value for entry in graph.metadata_props if entry.key == SIGNATURE_KEY), "")
    return {name: kind == "PARAMETER" for kind, name in SIGNATURE_LINE.findall(signature)}


def label_of(node: NodeProto) -> str:
    """The node's name, or that of its first output."""
    return node.name or next(iter(node.output), "")


def subgraphs(node: NodeProto) -> Iterator[tuple[str, GraphProto]]:
    """The graphs among a node's attributes, with the attribute's name (numbered if it holds several)."""
    for attribute in node.attribute:
        yield from graphs_of(attribute)


def graphs_of(attribute: AttributeProto) -> Iterator[tuple[str, GraphProto]]:
    """As ``subgraphs``, of one attribute."""
    if attribute.type == AttributeProto.GRAPH:
        yield attribute.name, attribute.g
    elif attribute.type == AttributeProto.GRAPHS:
        yield from ((f"{attribute.name}.{index}", graph) for index, graph in enumerate(attribute.graphs))


def prefix_of(node: NodeProto, attribute: str, outer: str) -> str:
    """The prefix for the names of values inside a subgraph: ``flag_out/then_branch/``.

    It uses the node's output, which is unique in a graph; a node may have no name, or that of another.
    """
    prefix = f"{outer}{next(iter(node.output), node.name)}/{attribute}/"
    require_prefix(prefix)
    return prefix


def all_graphs(graph: GraphProto, prefix: str = "") -> Iterator[tuple[str, GraphProto]]:
    """The graph and every graph inside it, each with its prefix."""
    yield prefix, graph
    for node in graph.node:
        for attribute, inner in subgraphs(node):
            yield from all_graphs(inner, prefix_of(node, attribute, prefix))


def _array(tensor: TensorProto) -> np.ndarray | None:
    """The tensor's values; None where they are in a file of their own."""
    if min(tensor.dims, default=0) < 0:  # which numpy takes for a size to be found
        raise ValueError(f"a size of {tuple(tensor.dims)} is below 0")
    return None if tensor.data_location == TensorProto.EXTERNAL else numpy_helper.to_array(tensor)


def _numbers(held: Sequence[Any]) -> Sequence[Any]:
    return ManyValues(held) if len(held) > MAX_CONSTANT_ELEMENTS else tuple(held)


def _texts(held: Sequence[bytes]) -> Sequence[str]:
    if len(held) > MAX_CONSTANT_ELEMENTS:
        return ManyValues(held)
    return tuple(text.decode("utf-8", "replace") for text in held)


PLAIN: Mapping[int, Callable[[AttributeProto], Any]] = {
    AttributeProto.INT: lambda attribute: attribute.i,
    AttributeProto.INTS: lambda attribute: _numbers(attribute.ints),
    AttributeProto.FLOAT: lambda attribute: attribute.f,
    AttributeProto.FLOATS: lambda attribute: _numbers(attribute.floats),
    AttributeProto.STRING: lambda attribute: attribute.s.decode("utf-8", "replace"),
    AttributeProto.STRINGS: lambda attribute: _texts(attribute.strings),
    AttributeProto.TENSOR: lambda attribute: _array(attribute.t),
    AttributeProto.GRAPH: lambda attribute: attribute.g,
}
"""How an attribute is read, by its type; those of other types are None."""


def tensor_reader(tensor: TensorProto, folder: Path | None, elements: int | None = None) -> Reader | None:
    """A function that reads a small tensor; None for a large one. It returns None if the file is missing.

    Args:
        tensor: its data is not touched before.
        folder: the model's; without it, external data is not read.
        elements: how many the tensor has, where the caller knows.
    """
    if (prod(tensor.dims) if elements is None else elements) > MAX_CONSTANT_ELEMENTS:
        return None
    if folder is None and tensor.data_location == TensorProto.EXTERNAL:
        return None
    return partial(_read, tensor, folder)


def _read(tensor: TensorProto, folder: Path | None) -> np.ndarray | None:
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor = with_length(tensor)
        return np.asarray(numpy_helper.to_array(tensor, str(folder or "")))
    except (OSError, ValueError, TypeError, ValidationError):  # no such file, or one that ends too early
        return None


def constant_reader(node: NodeProto, folder: Path | None) -> Reader | None:
    """A function that reads the value of a Constant node; None where it is large or not a tensor."""
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return None
    attribute = node.attribute[0]
    match attribute.name:
        case "value":
            return tensor_reader(attribute.t, folder)
        case "value_int":
            return lambda: np.array(attribute.i, np.int64)
        case "value_ints":
            return lambda: np.array(attribute.ints, np.int64)
        case "value_float":
            return lambda: np.array(attribute.f, np.float32)
        case "value_floats":
            return lambda: np.array(attribute.floats, np.float32)
    return None
