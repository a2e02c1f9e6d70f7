"""Signal processing: Fourier transforms as fast ones, windows and filter banks."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView, NotCountable

WINDOW = 7 * VECTOR + 2 * SPECIAL  # range, mul, mul; cos, cos; mul, mul, sub, add
WINDOW_STEP = 5 * VECTOR  # the size by periodicity (sub, mul, mul, add), and the step (div)
MEL_BIN = 8 * VECTOR + SPECIAL  # mul, add, div; power of ten; sub, mul, mul, div, floor
MEL_RANGE = 8 * VECTOR + 2 * SPECIAL  # for both edges div, add, log, mul; sub, div for the step
SLOPE = 2 * VECTOR  # sub, div


def fast_transform(length: int, real: bool) -> Work:
    """5 * N * ceil(log2 N) vector operations, half of it, rounded up, where one of the two sides is real.

    The customary count of a radix-2 FFT: N / 2 * log2 N butterflies of a complex product (6) and two complex
    adds (4). The twiddle factors are constants.
    """
    butterflies = 5 * length * max(length - 1, 0).bit_length()
    return VECTOR * (-(-butterflies // 2) if real else butterflies)


def dft(node: NodeView) -> Work:
    """One fast transform for each signal; the inverse divides each output element by the length."""
    source, result = node.input_shape(0), node.output_shape(0)
    axis = _axis(node)
    inverse, onesided = node.attribute("inverse", 0), node.attribute("onesided", 0)
    length = result[axis]
    if onesided and not inverse:
        length = source[axis] if not node.has_input(1) else _constant(node, 1)
    signals = prod(source[:-1]) // max(source[axis], 1)
    is_real = 1 in (source[-1], result[-1])
    return fast_transform(length, is_real) * signals + (VECTOR * prod(result) if inverse else NOTHING)


def _axis(node: NodeView) -> int:
    """An attribute before opset 20, from then on the third input."""
    if node.version < 20:
        axis: int = node.attribute("axis", 1)
        return axis
    return _constant(node, 2) if node.has_input(2) else -2


def _constant(node: NodeView, index: int) -> int:
    """The number that an input holds.

    Raises:
        NotCountable: it is computed at run time.
    """
    value = node.input(index)
    number = value.read_constant() if value.read_constant is not None else None
    if number is None:
        raise NotCountable(f"{node.op_type}: {value.name!r} is decided at run time")
    return int(number.item())


def stft(node: NodeView) -> Work:
    """One fast transform for each frame; with a window one multiply per element of a frame before it."""
    channels, frames = node.input_shape(0)[-1], prod(node.output_shape(0)[:2])
    length = _constant(node, 3) if node.has_input(3) else node.input_shape(2)[0]
    windowed = VECTOR * (length * channels) if node.has_input(2) else NOTHING
    return (windowed + fast_transform(length, channels == 1)) * frames


def window(node: NodeView) -> Work:
    """7 vector and 2 special operations per element, and 5 once: all three windows have one function body."""
    return WINDOW * prod(node.output_shape(0)) + WINDOW_STEP


def mel_weight_matrix(node: NodeView) -> Work:
    """A slope, subtract and divide, per element, as if all lay in a triangle; the bins' borders on top.

    There are two borders more than bins: 8 vector and 1 special operation each; 8 and 2 once.
    """
    output = node.output_shape(0)
    return SLOPE * prod(output) + MEL_BIN * (output[1] + 2) + MEL_RANGE


RULES: Mapping[str, Rule] = {
    "DFT": dft,
    "STFT": stft,
    "HannWindow": window,
    "HammingWindow": window,
    "BlackmanWindow": window,
    "MelWeightMatrix": mel_weight_matrix,
}
