"""Which tensors of a file are parameters of its model, and which node uses each first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from weakref import WeakKeyDictionary

from onnxlens.profile.count.affine import ARITHMETIC, MOVERS, NORMALIZATIONS, SLOTS, WIDE_BIASES, is_affine
from onnxlens.profile.count.packing import UNPACKED, Packing, packing
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.profile.graph.quantization import DEQUANTIZERS, SCALES_AND_ZERO_POINTS

OWN_DOMAINS = ("", "com.microsoft", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training")
"""Those whose operators are in the tables; of another's operators every tensor of floats is a parameter."""

FLOATS = ("float", "bfloat", "complex")
NARROW_INTEGERS = frozenset({"int2", "uint2", "int4", "uint4", "int8", "uint8", "int16", "uint16"})
"""Element types of weights: floats, and what they are quantized to."""

PARAMETER_NAME = re.compile(
    r"(^|[./_])((in_proj_)?(weight|bias)(_[gvu]|_[ih]h_l\d+(_reverse)?)?|bias_[kv]|gamma|beta|kernel|embeddings"
    r"|(pos|position|positional)_embed(ding|dings)?|(cls|class|dist|mask)_(token|embedding)"
    r"|relative_position_bias_table)(:0)?(_quantized)?$"
)
"""Names that PyTorch and Keras give to parameters, and not to buffers."""

REPEATED = 2**12
"""The last elements of so many names are kept: large files repeat theirs."""

ROTATING: Mapping[str, int] = {
    "RotaryEmbedding": 1, "MRotaryEmbedding": 1, "GroupQueryAttention": 7, "PagedAttention": 8,
    "SparseAttention": 9, "DynamicSparseAttention": 11, "SparsePagedAttention": 14,
}  # fmt: skip
"""Operators that take cosines and sines, and the input from which on they do."""

QUANTIZED = "_quantized"
"""What ONNX Runtime's quantizer adds to the name of a tensor."""


_SIZES: WeakKeyDictionary[Graph, Mapping[str, int]] = WeakKeyDictionary()
"""Of graphs that were asked for: nodes, modules and notes need them, and finding them takes a walk."""


def parameter_sizes(graph: Graph) -> Mapping[str, int]:
    """Elements of every parameter that the file holds, by name; of a packed one those it stands for.

    With our manifest, a parameter is what the ``nn.Module`` calls one. Without it, it is a tensor that
    torch's exporter declares to be one, that an operator takes in a weight's place (see ``affine``),
    or that has a parameter's name; what the exporter declares to be a buffer is none.
    """
    if graph not in _SIZES:
        _SIZES[graph] = _sizes(graph)
    return _SIZES[graph]


def _sizes(graph: Graph) -> Mapping[str, int]:
    if graph.manifest is None:
        return _Evidence(graph).sizes()
    parameters = {tensor.name for tensor in graph.manifest.tensors if tensor.kind == "parameter"}
    return {name: weight.elements for name, weight in graph.weights.items() if name in parameters}


class _Evidence:
    """Collects the tensors that a file holds and that its operators take as parameters."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        held = {**graph.weights, **graph.constants}
        made = (
            node.view.output()
            for node in graph.nodes
            if node.constant_folded and node.view.op_type in ("Constant", "ConstantOfShape")
        )
        self._held = {
            **{name: value for name, value in held.items() if name not in graph.given},
            **{value.name: value for value in made if value.shape},
        }
        self._found: dict[str, int] = {}
        self._seen: set[str] = set()

    def sizes(self) -> Mapping[str, int]:
        for node in self._graph.nodes:
            if not node.constant_folded:
                self._read(node)
        for name, value in self._held.items():
            named = name not in self._found and self._is_named(name)
            if named and self._is_number(value, name.endswith(QUANTIZED)):
                self._add(name, value.elements)
        return {name: self._found[name] for name in self._held if name in self._found}

    def _read(self, node: GraphNode) -> None:
        """Take what the node reads in a weight's place."""
        view = node.view
        operator = (view.domain, view.op_type)
        slots = SLOTS.get(operator)
        if slots is not None:
            inputs, norms, wide = view.inputs, NORMALIZATIONS.get(operator, ()), view.op_type in WIDE_BIASES
            for index in slots:
                value = inputs[index] if index < len(inputs) else None
                if value is not None:
                    is_norm = index in norms
                    self._take(value, wide=wide, is_norm=is_norm, packed=packing(view, index))
        elif operator == ("", "Gather"):
            if self._is_embedding(view):
                self._take(view.input(0))
        elif view.domain not in OWN_DOMAINS and operator not in MOVERS:
            for value in view.inputs:
                if value is not None and value.is_weight and value.shape:
                    self._take(value)
        elif view.op_type in ARITHMETIC and (factor := is_affine(self._graph, view)) is not None:
            self._take(factor)

    def _take(
        self, value: ValueView, *, wide: bool = False, is_norm: bool = False, packed: Packing = UNPACKED
    ) -> None:
        """Add the tensors of the file that ``value`` is made of.

        Args:
            value: read in a weight's place.
            wide: integers of 32 bits are a quantized bias.
            is_norm: a scale of ones and a bias of zeros without a name of their own stand for none.
            packed: how many numbers its elements hold.
        """
        open_values = [(value, wide, packed)]
        while open_values:
            value, wide, packed = open_values.pop()
            name = value.name
            if name in self._held:
                if self._is_number(value, wide) and not (is_norm and self._is_filler(value)):
                    self._add(name, value.elements * packed[0] // packed[1])
            elif name not in self._seen:
                self._seen.add(name)
                open_values += self._sources(value, wide, packed)

    def _sources(
        self, value: ValueView, wide: bool, packed: Packing
    ) -> Iterable[tuple[ValueView, bool, Packing]]:
        """What ``value`` is computed from, as far as that may be weights."""
        index = self._graph.producer(value.name)
        if index is None:
            return ()
        node = self._graph.nodes[index]
        view = node.view
        if node.bodies:
            position = [output.name if output else "" for output in view.outputs].index(value.name)
            results = [body.results[position : position + 1] for body in node.bodies]
            return [(result, wide, packed) for result in chain(*results) if result is not None]
        if (operator := (view.domain, view.op_type)) in MOVERS:
            first = view.inputs[0] if view.inputs else None
            return () if first is None else [(first, wide or operator in DEQUANTIZERS, packed)]
        if not node.constant_folded:
            return ()
        return [(source, False, UNPACKED) for source in view.inputs if source is not None and source.shape]

    def _add(self, name: str, elements: int) -> None:
        declared = self._graph.declared
        if not declared or declared.get(name.removesuffix(QUANTIZED), True):
            self._found.setdefault(name, elements)

    def _is_named(self, name: str) -> bool:
        """Whether its name says that it is a parameter."""
        declared = self._graph.declared
        known = bool(declared) and declared.get(name.removesuffix(QUANTIZED), False)
        return known or _is_parameter_name(name[max(name.rfind("."), name.rfind("/")) + 1 :])

    @staticmethod
    def _is_number(value: ValueView, wide: bool) -> bool:
        dtype = value.dtype or ""
        return dtype.startswith(FLOATS) or dtype in NARROW_INTEGERS or (wide and dtype == "int32")

    def _is_filler(self, value: ValueView) -> bool:
        """Whether it is there because the operator asks for a scale and a bias: all ones, or all zeros."""
        if self._is_named(value.name) or value.read_constant is None or self._is_of_shape(value):
            return False
        array = value.read_constant()
        if array is None or not array.size:
            return False
        first = array.flat[0]
        return bool((array == first).all()) and (first in (0, 1) or value.dtype in NARROW_INTEGERS)

    def _is_of_shape(self, value: ValueView) -> bool:
        """Made by ConstantOfShape, which stands for weights in ONNX's own test nets."""
        index = self._graph.producer(value.name)
        return index is not None and self._graph.nodes[index].view.op_type == "ConstantOfShape"

    def _is_embedding(self, view: NodeView) -> bool:
        """Whether rows of a table are looked up, which are no rotary embedding's cosines and sines.

        Those are read by several products with run-time values, or by what rotates queries and keys with
        them, and by nothing else.
        """
        table = view.input(0)
        if table.shape is None or len(table.shape) < 2:
            return False
        readers = list(self._readers(view.output().name))
        if (table.dtype or "").startswith(FLOATS):
            rotated = sum(map(_rotates_with, readers))
            factors = rotated + sum(reader.op_type == "Mul" for reader, _ in readers)
            return factors < len(readers) or (len(readers) < 2 and not rotated)
        return any(reader.op_type.startswith(("DequantizeLinear", "QLinear")) for reader, _ in readers)

    def _readers(self, name: str) -> Iterable[tuple[NodeView, str]]:
        """The nodes that read a value, also after it was moved, and the name that it then has."""
        for index in self._graph.consumers(name):
            view = self._graph.nodes[index].view
            operator = (view.domain, view.op_type)
            moves = operator in MOVERS and operator not in DEQUANTIZERS
            if moves and view.has_output(0) and view.has_input(0) and view.input(0).name == name:
                yield from self._readers(view.output().name)
            else:
                yield view, name


def _rotates_with(reader: tuple[NodeView, str]) -> bool:
    """Whether a node reads the value as cosines or sines."""
    view, name = reader
    first = ROTATING.get(view.op_type, len(view.inputs))
    return any(value is not None and value.name == name for value in view.inputs[first:])


@lru_cache(REPEATED)
def _is_parameter_name(last: str) -> bool:
    """Whether the last element of a name is one of ``PARAMETER_NAME``."""
    return PARAMETER_NAME.search(last) is not None


def first_use_params(graph: Graph) -> Mapping[int, int]:
    """For each node that uses parameters first, at run time, how many elements; by the node's index.

    A parameter that is transposed or normalized before run time counts at the node that uses the result.
    """
    unused = dict(parameter_sizes(graph))
    sources: dict[str, tuple[str, ...]] = {name: (name,) for name in unused}
    params: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        view = node.view
        inside = bool(node.within)
        read = [
            sources[value.name]
            for value in view.inputs
            if value is not None and (value.is_weight or inside) and value.name in sources
        ]
        if node.constant_folded:
            for output in view.outputs:
                if output is not None and output.name not in unused:
                    sources[output.name] = tuple(chain(*read))
        elif read:
            params[index] = sum(unused.pop(source, 0) for source in chain(*read))
    return params


def quantized_bytes(graph: Graph) -> tuple[int, int] | None:
    """What the file holds params in, and their scales and zero points beside them; None without any."""
    sizes = parameter_sizes(graph)
    held = {name: value for each in (graph.weights, graph.constants) for name, value in each.items()}
    scales: dict[str, int] = {}
    for node in graph.nodes:
        view = node.view
        for index in SCALES_AND_ZERO_POINTS.get((view.domain, view.op_type), ()):
            value = view.inputs[index] if index < len(view.inputs) else None
            if value is not None and value.is_weight and value.name not in sizes:
                scales[value.name] = value.known_size_bytes
        held |= {
            output.name: output for output in view.outputs if output is not None and output.name in sizes
        }
    if not scales:
        return None
    return sum(held[name].known_size_bytes for name in sizes), sum(scales.values())
