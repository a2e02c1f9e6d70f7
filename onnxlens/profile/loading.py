"""From an ONNX file to a Graph, without reading its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from google.protobuf.message import DecodeError

from onnxlens.errors import GraphError
from onnxlens.profile.graph import Graph, GraphNode
from onnxlens.profile.node_view import Kind, NodeView, ValueView
from onnxlens.profile.scopes import read_scopes
from onnxlens.specs.codec import read_spec
from onnxlens.specs.manifest import Manifest, manifest_path_of
from onnxlens.specs.tensor import Dim, TensorSpec, dtype_name

MAX_CONSTANT_ELEMENTS = 4096
"""The largest constant whose value a counting rule may read: shapes, axes and scales, never a weight."""

INTEGER_TABLES = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL)
"""Element types that, without a manifest, mean shapes, axes and indices rather than weights."""

SUBGRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
RANDOM_OPERATORS = (
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
)

SEQUENCE_MAKERS = frozenset(
    {
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceMap",
        "SplitToSequence",
    }
)


def load_graph(path: Path) -> Graph:
    """The graph in the file at ``path``, with our manifest where one lies beside it.

    Raises:
        GraphError: there is no such file, or it holds no ONNX graph.
    """
    model = _read_model(path)
    manifest = _read_manifest(path)
    graph = model.graph
    nodes = list(graph)
    if not nodes:
        raise GraphError(f"{path}: the graph has no nodes; is it an ONNX model?")
    _require_order(path, nodes)
    notes = _infer_missing_shapes(model, nodes)
    scopes = read_scopes(nodes)
    views = _Views(model, _weight_names(graph, manifest))
    graph_nodes = tuple(
        GraphNode(views.node(node), scopes.owners[node], views.is_offline(node), scopes.traced.get(node))
        for node in nodes
    )
    initializers = {str(name): views.value(value) for name, value in graph.initializers.items()}
    return Graph(
        name=manifest.graph if manifest else graph.name or path.stem,
        path=path,
        opset=_opset(model, ""),
        inputs=tuple(_tensor_spec(v) for v in graph.inputs if v.name not in graph.initializers),
        outputs=tuple(_tensor_spec(v) for v in graph.outputs),
        nodes=graph_nodes,
        weights={name: view for name, view in initializers.items() if name in views.weight_names},
        constants={name: view for name, view in initializers.items() if name not in views.weight_names},
        attribution=scopes.attribution,
        called=scopes.called,
        manifest=manifest,
        notes=notes,
    )


def _read_model(path: Path) -> ir.Model:
    if path.is_dir():
        raise GraphError(f"{path}: is a folder; give the .onnx file in it")
    if not path.is_file():
        raise GraphError(
            f"{path}: no such file; give an .onnx file or a graph of the catalog ('onnxlens graphs')"
        )
    if path.stat().st_size == 0:
        raise GraphError(f"{path}: the file is empty; export or download it again")
    try:
        return ir.load(path)
    except (DecodeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise GraphError(
            f"{path}: not an ONNX file ({_first_line(error)}); expected a serialised ModelProto"
        ) from error
    except OSError as error:
        raise GraphError(f"{path}: cannot be read: {_first_line(error)}") from error


def _read_manifest(path: Path) -> Manifest | None:
    """Our manifest beside the file; a JSON of somebody else's there is none of ours."""
    beside = manifest_path_of(path)
    if not beside.is_file() or '"onnxlens.manifest/' not in beside.read_text(
        encoding="utf-8", errors="replace"
    ):
        return None
    return read_spec(beside, Manifest)


def _require_order(path: Path, nodes: Iterable[ir.Node]) -> None:
    """Refuse a node that reads what a later one makes: figures by order of execution would be wrong."""
    done: set[ir.Node] = set()
    for node in nodes:
        for value in node.inputs:
            if value is not None and (producer := value.producer()) is not None and producer not in done:
                raise GraphError(
                    f"{path}: a {node.op_type} reads {value.name!r} before it is made; "
                    "sort the nodes topologically"
                )
        done.add(node)


def _infer_missing_shapes(model: ir.Model, nodes: Iterable[ir.Node]) -> tuple[str, ...]:
    """Run ONNX's shape inference when the file leaves shapes out; what it cannot infer stays unknown."""
    if all(output.shape is not None for node in nodes for output in node.outputs if output.name):
        return ()
    from onnx_ir.passes.common import ShapeInferencePass

    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    return ("shapes that the file leaves out were inferred by ONNX's shape inference",)


def _weight_names(graph: ir.Graph, manifest: Manifest | None) -> frozenset[str]:
    """The initializers that are weights: the manifest's, else all but integer tables and scalars."""
    if manifest is not None:
        return frozenset(tensor.name for tensor in manifest.tensors) & frozenset(map(str, graph.initializers))
    return frozenset(
        str(name)
        for name, value in graph.initializers.items()
        if value.dtype not in INTEGER_TABLES and value.shape is not None and len(value.shape) > 0
    )


class _Views:
    """Makes each value's and node's view once, and knows which values are fixed before run time."""

    def __init__(self, model: ir.Model, weight_names: frozenset[str]) -> None:
        self.weight_names = weight_names
        self._model = model
        self._offline: dict[ir.Node, bool] = {}
        self._values: dict[ir.Value, ValueView] = {}
        for node in model.graph:
            self._offline[node] = _is_repeatable(node) and all(
                value is None or self._is_fixed(value) for value in node.inputs
            )

    def is_offline(self, node: ir.Node) -> bool:
        return self._offline[node]

    def _is_fixed(self, value: ir.Value) -> bool:
        producer = value.producer()
        return value.is_initializer() if producer is None else self._offline[producer]

    def value(self, value: ir.Value) -> ValueView:
        if value not in self._values:
            self._values[value] = ValueView(
                name=value.name or "",
                dtype=_dtype_name(value.dtype),
                shape=_dims(value.shape),
                is_weight=self._is_fixed(value),
                read_constant=_constant_reader(value),
                kind=_kind(value),
            )
        return self._values[value]

    def node(self, node: ir.Node) -> NodeView:
        return NodeView(
            op_type=node.op_type,
            inputs=tuple(None if value is None else self.value(value) for value in node.inputs),
            outputs=tuple(None if _is_left_out(value) else self.value(value) for value in node.outputs),
            attributes=_attributes(node),
            domain=_domain(node.domain),
            version=_opset(self._model, _domain(node.domain)),
            name=node.name or (node.outputs[0].name or "" if node.outputs else ""),
        )


def _kind(value: ir.Value) -> Kind:
    """What a value is, by its type or by what makes it: inference calls a sequence after its tensors."""
    producer = value.producer()
    maker = "" if producer is None or _domain(producer.domain) else producer.op_type
    if isinstance(value.type, ir.OptionalType) or maker == "Optional":
        return "optional"
    return "sequence" if isinstance(value.type, ir.SequenceType) or maker in SEQUENCE_MAKERS else "tensor"


def _is_left_out(output: ir.Value) -> bool:
    """Whether an optional output is not asked for: unnamed, or (an old Dropout's mask) untyped and unread."""
    if not output.name:
        return True
    needed = output.index() == 0 or output.uses() or output.is_graph_output()
    return output.dtype is None and not needed


def _domain(name: str) -> str:
    """ONNX's own domain may be spelt out."""
    return "" if name == "ai.onnx" else name


def _opset(model: ir.Model, domain: str) -> int:
    """The version of ``domain`` that the file asks for, 0 where it names none."""
    return next((version for name, version in model.opset_imports.items() if _domain(name) == domain), 0)


def _is_repeatable(node: ir.Node) -> bool:
    """Whether the same inputs give the same outputs: no random draw, no subgraph that captures values."""
    graphs = any(attribute.type in SUBGRAPHS for attribute in node.attributes.values())
    return not graphs and node.op_type not in RANDOM_OPERATORS


def _constant_reader(value: ir.Value) -> Callable[[], np.ndarray | None] | None:
    """Reads a small constant when asked; a large one, and one in a file that is not there, is None."""
    constant = ir.convenience.get_const_tensor(value)
    if constant is None or constant.size > MAX_CONSTANT_ELEMENTS:
        return None

    def read() -> np.ndarray | None:
        try:
            return np.asarray(constant.numpy())
        except OSError:
            return None

    return read


def _attributes(node: ir.Node) -> Mapping[str, Any]:
    """Attributes as plain values; a tensor as an array; a subgraph as it is."""
    plain: dict[str, Any] = {}
    for name, attribute in node.attributes.items():
        value = attribute.value
        if isinstance(value, ir.TensorProtocol):
            value = value.numpy()
        elif isinstance(value, list | tuple):
            value = tuple(value)
        plain[name] = value
    return plain


def _tensor_spec(value: ir.Value) -> TensorSpec:
    """The tensor; of a sequence or an optional the element type says that its size is not known."""
    dims, dtype, kind = _dims(value.shape), _dtype_name(value.dtype) or "unknown", _kind(value)
    return TensorSpec(
        value.name or "",
        dtype if kind == "tensor" else f"{kind} of {dtype}",
        ("unknown rank",) if dims is None else dims,
    )


def _dims(shape: ir.Shape | None) -> tuple[Dim, ...] | None:
    """Numbers and symbols; a dimension without either, or below 0, is ``?``."""
    if shape is None:
        return None
    return tuple((dim if dim >= 0 else "?") if isinstance(dim, int) else dim.value or "?" for dim in shape)


def _dtype_name(dtype: ir.DataType | None) -> str | None:
    return None if dtype is None else dtype_name(dtype.name)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
