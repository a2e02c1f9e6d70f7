"""Which module owns the weights that a node reads, by the names that the weights still have."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from os.path import commonprefix
from types import MappingProxyType
from typing import Protocol

from onnxlens.profile.graph.name_paths import weight_owner
from onnxlens.profile.graph.node_view import RunsInside, ValueView, Wired
from onnxlens.profile.graph.quantization import QUANTIZING

QUANTIZING_TYPES = frozenset(op_type for _, op_type in QUANTIZING)

PRODUCTS: Mapping[str, Sequence[int]] = MappingProxyType(
    {
        **dict.fromkeys(("Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv", "ConvInteger"), (1, 2)),
        **dict.fromkeys(("ConvIntegerToFloat", "DeformConv"), (1, 2)),
        **dict.fromkeys(("Gemm", "FusedGemm", "MatMul", "FusedMatMul", "MatMulInteger"), (1, 0, 2)),
        **dict.fromkeys(
            ("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulNBits", "MatMulBnb4"), (1, 0)
        ),
        **dict.fromkeys(("QLinearConv", "QGemm", "QLinearMatMul"), (3, 0, 8)),
        **dict.fromkeys(("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"), (1, 2, 3)),
        **dict.fromkeys(("Attention", "QAttention", "DecoderMaskedSelfAttention"), (1, 2)),
        "Einsum": (0, 1),
    }
)
"""The operators that multiply by a weight, with the inputs that may be it, and then the bias."""

WEIGHT_READERS: Mapping[str, Sequence[int]] = MappingProxyType({**PRODUCTS, "Gather": (0,)})
"""These, and embeddings."""

OTHERS: Mapping[str, Sequence[int]] = MappingProxyType(
    {
        **dict.fromkeys(("Gather", "GatherBlockQuantized", *QUANTIZING_TYPES), (0,)),
        **dict.fromkeys(("QLinearAdd", "QLinearMul"), (0, 3)),
        **dict.fromkeys(("QLinearSigmoid", "QLinearLeakyRelu", "QLinearGlobalAveragePool"), ()),
        **dict.fromkeys(("Reshape", "Expand", "Slice", "Tile", "Pad", "Resize", "Transpose"), (0,)),
        **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "Squeeze", "Unsqueeze", "TopK"), (0,)),
    }
)
"""The inputs of other operators that may be a weight, where that is not any: not scales, shapes, axes."""

MAY_BE_WEIGHTS: Mapping[str, Sequence[int]] = {**OTHERS, **PRODUCTS}

LOOKUPS = frozenset({"Gather", "GatherND", "GatherElements"})
BIAS_ADDS = frozenset({"Add", "QLinearAdd"})
BETWEEN = QUANTIZING_TYPES | {
    "Cast", "Mul", "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten",
}  # fmt: skip
"""What may stand between a product and the addition of its bias."""


class TracedBody(RunsInside, Protocol):
    """A graph inside a node, of a file."""

    @property
    def key(self) -> str:
        """Unique in the file."""


class TracedNode(Wired, Protocol):
    """A node of which the module is asked for."""

    @property
    def constant_folded(self) -> bool:
        """Whether it reads constants alone."""

    @property
    def bodies(self) -> Sequence[TracedBody]:
        """The graphs that run inside it."""

    @property
    def within(self) -> Sequence[str]:
        """The keys of the bodies that contain it, outermost first: prefixes of its values' names."""


class WeightOwners:
    """The modules that own a file's weights.

    A folded node's result belongs to whom its operands do, unless it looks something up in them. Where its
    own name tells a module, that is believed before: TorchScript shares equal weights, and gives them back
    their names through an Identity.
    """

    def __init__(
        self, nodes: Sequence[TracedNode], held: Collection[str], prefixes: Collection[str] = ()
    ) -> None:
        """Follow the weights through the constant-folded nodes.

        Args:
            nodes: of the file, in execution order.
            held: the names of its initializers.
            prefixes: those that onnx.compose gave to names: levels of their own.
        """
        self._held = held
        self._prefixes = prefixes
        self._paths: dict[str, str | None] = {}
        self._sources: dict[str, str] = {}
        for node in nodes:
            if node.constant_folded:
                self._fold(node)

    def _fold(self, node: TracedNode) -> None:
        inputs = [value for value in node.view.inputs if value is not None]
        owners = [path for value in inputs if (path := self._path(value, node)) is not None]
        inherited = common_path(owners) if owners and node.view.op_type not in LOOKUPS else ""
        for value in node.view.outputs:
            if value is not None:
                self._paths[value.name] = self._named(value.name, node) or inherited or None
                if inputs:
                    self._sources[value.name] = self._sources.get(inputs[0].name, inputs[0].name)

    def _path(self, value: ValueView, node: TracedNode) -> str | None:
        name = value.name
        if name in self._paths:
            return self._paths[name]
        if not value.is_weight and name not in self._held:
            return None
        path = self._paths[name] = self._named(name, node)
        return path

    def _named(self, name: str, node: TracedNode) -> str | None:
        for prefix in reversed(node.within):
            if name.startswith(prefix):
                name = name[len(prefix) :]
                break
        for prefix in self._prefixes:
            if name.startswith(prefix):
                return f"{prefix.rstrip('_')}.{weight_owner(name.removeprefix(prefix)) or ''}".rstrip(".")
        return weight_owner(name)

    def owner(self, node: TracedNode) -> str | None:
        """The module that owns the weight, else another constant, that the node reads; None if none is named.

        An element that says the operator again, as in ``q_proj.MatMul.weight``, is none of the module's.
        """
        op_type, inputs = node.view.op_type, node.view.inputs
        slots = MAY_BE_WEIGHTS.get(op_type)
        given = inputs if slots is None else [inputs[slot] for slot in slots if slot < len(inputs)]
        for value in given:
            if value is not None and (value.is_weight or node.within):
                path = self._path(value, node)
                if path is not None:
                    return path.removesuffix(f".{op_type}")
        return None

    def weight(self, node: TracedNode) -> str | None:
        """The initializer that a product multiplies by or an embedding picks from, through folded nodes."""
        inputs = node.view.inputs
        for slot in WEIGHT_READERS.get(node.view.op_type, ()):
            value = inputs[slot] if slot < len(inputs) else None
            if value is not None and (value.is_weight or value.name in self._held):
                return self._sources.get(value.name, value.name)
        return None


def common_path(paths: Sequence[str]) -> str:
    """The longest path that contains all of them."""
    if len(set(paths)) == 1:
        return paths[0]
    return ".".join(commonprefix([path.split(".") for path in paths]))
