"""An output's own noise: how it changes with inputs that differ by a rounding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnxlens.profile.graph.graph import Graph

ROUNDINGS: Mapping[str, float] = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}
"""The largest relative error of a rounding to each type."""

STEP = 2.0**-8
"""A step of 8 bits, as a share of the range: what a rounding to a quantized type changes."""

QUANTIZING = (
    "Quantize",
    "Dequantize",
    "QLinear",
    "QGemm",
    "QAttention",
    "MatMulInteger",
    "ConvInteger",
    "MatMulNBits",
)
"""What the names of operators that round to few bits contain."""


def coarsest_type(graph: Graph) -> str | None:
    """The coarsest floating type of the values that nodes make at run time; None without any."""
    running = (node.view for node in graph.nodes if not node.constant_folded)
    made = {value.dtype for view in running for value in view.outputs if value is not None and value.dtype}
    return max(made & ROUNDINGS.keys(), key=lambda dtype: ROUNDINGS[dtype], default=None)


def is_quantized(graph: Graph) -> bool:
    """Whether activations may be rounded to a quantized type, by the graph or by an optimizer.

    ONNX Runtime does so by default in a product with a weight of few bits.
    """
    return any(part in node.view.op_type for node in graph.nodes for part in QUANTIZING)


def coarsest_rounding(graph: Graph) -> float:
    """The relative error of the coarsest rounding that the graph makes."""
    return STEP if is_quantized(graph) else ROUNDINGS[coarsest_type(graph) or "float32"]


def disturb(inputs: Mapping[str, np.ndarray], rounding: float, draw: int) -> Mapping[str, np.ndarray]:
    """The floating inputs, each value off by the rounding of its tensor's largest; for draw 0 as they are."""
    if not draw:
        return inputs
    generator = np.random.default_rng(draw)
    return {name: _disturbed(array, rounding, generator) for name, array in inputs.items()}


def _disturbed(array: np.ndarray, rounding: float, generator: np.random.Generator) -> np.ndarray:
    wide = array.astype(np.float64) if array.dtype.name in ROUNDINGS else None
    if wide is None or not wide.size:
        return array
    own = max(rounding, ROUNDINGS[array.dtype.name])
    return np.asarray(
        wide + own * np.abs(wide).max() * generator.choice([-1.0, 1.0], wide.shape), array.dtype
    )
