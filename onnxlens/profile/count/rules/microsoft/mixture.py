"""Mixtures of experts: every token goes through ``k`` of them, whichever the router picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from onnxlens.profile.count.rules.elementwise import BOUND
from onnxlens.profile.count.rules.microsoft.fused import ACTIVATIONS
from onnxlens.profile.count.rules.normalization import SOFTMAX
from onnxlens.profile.count.rules.quantized import DEQUANTIZE
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView

SWIGLU = 4 * VECTOR + SPECIAL  # mul by alpha, sigmoid, mul; add beta, mul
SWIGLU_LIMIT = 3 * BOUND  # one bound for the gate, two for the other half

Indices = Sequence[int]


@dataclass(frozen=True, slots=True)
class Experts:
    """What one of a node's experts holds: elements of its two or three matrices, and of its biases."""

    matrices: Sequence[int]
    biases: int

    @property
    def weights(self) -> int:
        """Elements of all its matrices."""
        return sum(self.matrices)


def mixture_of_experts(node: NodeView) -> Work:
    """Tokens * k * (elements of an expert's matrices) MACs, and what router and experts do around them."""
    matrices = [prod(node.input_shape(index)[1:]) for index in (2, 4, 6) if node.has_input(index)]
    return _routed(node, Experts(matrices, _widths(node, (3, 5, 7))))


def quantized_mixture_of_experts(node: NodeView) -> Work:
    """As MoE; the weights of the experts in use are dequantised: 2 operations each, 1 for floats."""
    names = ((2, "fc1"), (5, "fc2"), (8, "fc3"))
    matrices = [_unpacked(node, index, name) for index, name in names if node.has_input(index)]
    experts = Experts(matrices, _widths(node, (4, 7, 10)))
    per_weight = DEQUANTIZE if node.attribute("quant_type", "int") == "int" else VECTOR
    return _routed(node, experts) + per_weight * (experts.weights * experts_in_use(node))


def experts_in_use(node: NodeView) -> int:
    """The most experts that the node's tokens can reach: tokens * k, or all."""
    tokens, experts = node.input_shape(1)
    chosen: int = node.attribute("k", 1)
    return min(experts, tokens * chosen)


def _widths(node: NodeView, biases: Indices) -> int:
    return sum(node.input_shape(index)[1] for index in biases if node.has_input(index))


def _unpacked(node: NodeView, index: int, name: str) -> int:
    """The elements of one expert's matrix, in whatever order the file packs them."""
    stored = prod(node.input_shape(index)[1:])
    bits = node.attribute(f"{name}_expert_weight_bits", node.attribute("expert_weight_bits", 4))
    return stored * 8 // bits if node.input(index).dtype == "uint8" else stored


def _routed(node: NodeView, experts: Experts) -> Work:
    """The MACs; per token and expert a softmax and a compare; per token and chosen expert the rest.

    That is the biases, the activation, and a multiply and an add for each element of the result.
    """
    tokens, choices = node.input_shape(1)
    chosen: int = tokens * node.attribute("k", 1)
    hidden = node.input_shape(0)[-1]
    inner = experts.matrices[1] // hidden
    scale = 2 * VECTOR * chosen if node.attribute("normalize_routing_weights", 0) else NOTHING
    per_choice = _activation(node, len(experts.matrices)) * inner + VECTOR * (experts.biases + 2 * hidden)
    router = (SOFTMAX + VECTOR) * (tokens * choices) + scale
    return Work(macs=chosen * experts.weights) + router + per_choice * chosen


def _activation(node: NodeView, matrices: int) -> Work:
    """Per inner element: the activation; a third matrix is multiplied in, which SwiGLU does anyway."""
    name = node.attribute("activation_type", "relu")
    if name == "swiglu":
        return SWIGLU + (NOTHING if node.attribute("swiglu_limit") is None else SWIGLU_LIMIT)
    return ACTIVATIONS[name] + (VECTOR if matrices == 3 else NOTHING)


RULES: Mapping[str, Rule] = {
    "MoE": mixture_of_experts,
    "QMoE": quantized_mixture_of_experts,
}
