"""What a file must hold to be read: what lacks a part is refused in one line that names both.

ONNX Runtime refuses all of these, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import GraphProto, defs

from onnxlens.errors import GraphError, OnnxlensError, first_line
from onnxlens.profile.graph.loading.opsets import schema_at
from onnxlens.profile.graph.loading.protobuf import FileGraph, FileNode, label_of
from onnxlens.profile.graph.loading.ranges import range_faults
from onnxlens.profile.graph.node_view import ManyValues
from onnxlens.specs.record import record

SHOWN_NAME = 60
"""Of a name or value in a message, so many characters are shown."""

Kind = defs.OpSchema.AttrType

PLAIN_TYPES: Mapping[defs.OpSchema.AttrType, tuple[type, ...]] = {
    Kind.FLOAT: (float,),
    Kind.INT: (int,),
    Kind.STRING: (str,),
    Kind.TENSOR: (np.ndarray, type(None)),  # None: in a file of its own
    Kind.GRAPH: (GraphProto,),
    Kind.FLOATS: (float,),
    Kind.INTS: (int,),
    Kind.STRINGS: (str, bytes),
}
"""What an attribute of a type, or each value of a list, is read as."""

LISTS = (Kind.FLOATS, Kind.INTS, Kind.STRINGS)


@record(frozen=True, slots=True)
class _Needs:
    """What an operator's schema asks of a node.

    Attributes:
        inputs: how many there must be, at least.
        types: of its attributes, by name.
        required: the attributes that have no default.
    """

    inputs: int
    types: Mapping[str, defs.OpSchema.AttrType]
    required: Set[str]


NOTHING = _Needs(0, {}, frozenset())


def check_structure(graph: FileGraph, opsets: Mapping[str, int]) -> None:
    """Refuse a graph whose nodes lack inputs, attributes or bodies, or whose values nobody or two make.

    Raises:
        GraphError: says which node or value it is, and what it lacks.
    """
    try:
        for domain, version in opsets.items():
            if version < 1:
                raise GraphError(f"the file imports the opset {version} of {_shown(domain or 'ai.onnx')}")
        _check_graph(graph, opsets, ())
    except GraphError as error:
        raise GraphError(f"{error}; repair the file, or export it again") from error


def _check_graph(graph: FileGraph, opsets: Mapping[str, int], outer: Sequence[Set[str]]) -> None:
    known = _known_names(graph, outer)
    for node in graph.nodes:
        version = node.version or opsets.get(node.domain, 0)
        needs = _needs(node.op_type, node.domain, version)
        if len(node.inputs) < needs.inputs:
            raise _lacking(node, f"has {len(node.inputs)} of the {needs.inputs} inputs that it needs")
        if not any(node.outputs):
            raise _lacking(node, "has no output")
        if node.attributes or needs.required:
            _check_attributes(node, needs)
            for fault in range_faults(node):
                raise _lacking(node, fault)
        if not node.domain and node.op_type in BODIES:
            bodies = dict(node.subgraphs)
            for fault in BODIES[node.op_type](node, bodies, version):
                raise _lacking(node, fault)
            for name in bodies.keys() - needs.types if needs.types else ():
                raise _lacking(node, f"has a graph as its attribute {name!r}, which it does not know")
    for inner in graph.inner.values():
        _check_graph(inner, opsets, (*outer, known))


def _known_names(graph: FileGraph, outer: Sequence[Set[str]]) -> Set[str]:
    """The values of the graph: each is made once, and what it returns is one of them, or from outside."""
    proto = graph.proto
    given = {value.name for value in proto.input} | {tensor.name for tensor in proto.initializer}
    given.update(sparse.values.name for sparse in proto.sparse_initializer)
    made = [name for node in graph.nodes for name in node.outputs if name]
    known = given.union(made)
    if bytes in map(type, known) or not isinstance(proto.name, str):
        raise TypeError("a name is not UTF-8")
    if len(known) < len(given) + len(made):
        twice = next(name for name, times in Counter([*given, *made]).items() if times > 1)
        raise GraphError(f"the value {_shown(twice)} is made twice; a value of a graph has one source")
    for value in proto.output:
        if value.name not in known and not any(value.name in names for names in outer):
            raise GraphError(
                f"nothing makes the output {_shown(value.name)} of the graph {_shown(proto.name)}"
            )
    return known


@cache
def _needs(op_type: str, domain: str, version: int) -> _Needs:
    """Nothing where ONNX does not know the operator, or the file does not say which opset it means."""
    schema = schema_at(op_type, domain, version) if version else None
    if schema is None or op_type == "Constant":  # whose attribute is not read with others
        return NOTHING
    attributes = schema.attributes
    types = {name: attribute.type for name, attribute in attributes.items()}
    required = frozenset(name for name, attribute in attributes.items() if attribute.required)
    return _Needs(schema.min_input, types, required)


def _check_attributes(node: FileNode, needs: _Needs) -> None:
    for name in needs.required:
        if name not in node.attributes:
            raise _lacking(node, f"lacks its attribute {name!r}")
    for name, value in node.attributes.items():
        wanted = needs.types.get(name)
        if wanted is not None and wanted in PLAIN_TYPES and not _is_of(value, wanted):
            kind = str(wanted).rpartition(".")[2]
            raise _lacking(
                node, f"has {_shown(value)} as its attribute {name!r}, which is to be of type {kind}"
            )


def _is_of(value: Any, wanted: defs.OpSchema.AttrType) -> bool:
    """Whether the value was read from an attribute of that type; of a list, the first one tells."""
    if wanted not in LISTS:
        return isinstance(value, PLAIN_TYPES[wanted])
    held = value.held if isinstance(value, ManyValues) else value
    return isinstance(value, tuple | ManyValues) and all(
        isinstance(each, PLAIN_TYPES[wanted]) for each in held[:1]
    )


Bodies = Mapping[str, GraphProto]


def _if_faults(node: FileNode, bodies: Bodies, version: int) -> Iterator[str]:
    if not node.inputs:
        yield "lacks its condition"
    for name in ("then_branch", "else_branch"):
        yield from _body_faults(node, bodies, name, None, len(node.outputs))


def _loop_faults(node: FileNode, bodies: Bodies, version: int) -> Iterator[str]:
    """The body takes the round's number and the condition besides what is carried, and returns one more."""
    if len(node.inputs) < 2:
        yield "lacks its trip count or its condition"
    yield from _body_faults(node, bodies, "body", len(node.inputs), len(node.outputs) + 1)


def _scan_faults(node: FileNode, bodies: Bodies, version: int) -> Iterator[str]:
    count = node.attributes.get("num_scan_inputs")
    if not isinstance(count, int) or not 0 < count <= len(node.inputs):
        yield f"scans {_shown(count)} inputs as its num_scan_inputs says; it has {len(node.inputs)}"
    axes = node.attributes.get("scan_input_axes")
    if axes is not None and len(axes) != count:
        yield f"has {len(axes)} scan_input_axes for {count} inputs that it scans"
    given = len(node.inputs) - (version < 9)  # the lengths of the sequences come first there
    yield from _body_faults(node, bodies, "body", given, len(node.outputs))


def _map_faults(node: FileNode, bodies: Bodies, version: int) -> Iterator[str]:
    if not node.inputs:
        yield "lacks its sequence"
    yield from _body_faults(node, bodies, "body", len(node.inputs), len(node.outputs))


def _body_faults(
    node: FileNode, bodies: Bodies, name: str, inputs: int | None, outputs: int
) -> Iterator[str]:
    body = bodies.get(name)
    if body is None:
        yield f"lacks its body {name!r}"
        return
    if inputs is not None and len(body.input) != inputs:
        yield f"hands {inputs} values to its {name!r}, which takes {len(body.input)}"
    if len(body.output) < outputs:
        yield f"needs {outputs} results of its {name!r}, which returns {len(body.output)}"


BODIES: Mapping[str, Callable[[FileNode, Bodies, int], Iterator[str]]] = {
    "If": _if_faults,
    "Loop": _loop_faults,
    "Scan": _scan_faults,
    "SequenceMap": _map_faults,
}
"""What is wrong with a node of each operator that runs bodies; from the node, its bodies and the opset."""


def _lacking(node: FileNode, what: str) -> GraphError:
    return GraphError(f"the {node.op_type} {_shown(label_of(node.proto))} {what}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_NAME else f"{text[:SHOWN_NAME]}..."


@contextmanager
def in_one_line(path: Path) -> Iterator[None]:
    """A guard around reading a file: what no check foresaw is refused as well, with what is known of it."""
    try:
        yield
    except (OnnxlensError, OSError):
        raise
    except Exception as error:
        raise GraphError(f"{path}: {_cause(path, error)}") from error


def _cause(path: Path, error: Exception) -> str:
    """Text that is not UTF-8, which protobuf hands out as bytes; else what went wrong here."""
    model = onnx.ModelProto()
    model.ParseFromString(path.read_bytes())
    for where, text in _garbled(model, ""):
        return f"{where} is {_shown(text)}, which is not UTF-8; rename it with the tool that wrote the file"
    return (
        f"cannot be understood ({type(error).__name__}: {first_line(error)}); "
        "if onnx.checker accepts the file, please report it"
    )


def _garbled(message: Message, where: str) -> Iterator[tuple[str, bytes]]:
    """Each text in a message that is not UTF-8, and where it stands: ``graph.node[3].name``."""
    for found, value in message.ListFields():
        if found.type not in (found.TYPE_STRING, found.TYPE_MESSAGE):
            continue
        listed = not isinstance(value, str | bytes | Message)
        for index, item in enumerate(value if listed else [value]):
            at = f"{where}{found.name}[{index}]" if listed else f"{where}{found.name}"
            if isinstance(item, bytes):
                yield at, item
            elif isinstance(item, Message):
                yield from _garbled(item, f"{at}.")
