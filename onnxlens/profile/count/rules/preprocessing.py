"""Preprocessing of raw data: Fourier transforms (as fast ones), windows, filter banks, text, encoded images.

The work on strings and encoded images depends on data that the file does not hold; only n-grams of numbers
can be counted.
"""

from __future__ import annotations

from math import prod

from onnxlens.profile.count.rules.work import SPECIAL, VECTOR, RuleTable, Work, constant_input, refused
from onnxlens.profile.graph.node_view import NodeView, NotCountable

WINDOW = 7 * VECTOR + 2 * SPECIAL  # range, mul, mul; cos, cos; mul, mul, sub, add
WINDOW_STEP = 5 * VECTOR  # the size by periodicity (sub, mul, mul, add), and the step (div)
MEL_BIN = 8 * VECTOR + SPECIAL  # mul, add, div; power of ten; sub, mul, mul, div, floor
MEL_RANGE = 8 * VECTOR + 2 * SPECIAL  # for both edges div, add, log, mul; sub, div for the step
SLOPE = 2 * VECTOR  # sub, div


def fast_transform(length: int, real: bool) -> Work:
    """5 * N * ceil(log2 N) elementwise ops; half of that, rounded up, where input or output is real.

    The customary count of a radix-2 FFT (Cooley and Tukey, 1965): N / 2 * log2 N butterflies, each a complex
    product (6) and two complex adds (4). The twiddle factors are constants.
    """
    butterflies = 5 * length * max(length - 1, 0).bit_length()
    return VECTOR * (-(-butterflies // 2) if real else butterflies)


def dft(node: NodeView) -> Work:
    """One fast transform per signal; the inverse divides each output element by the length."""
    source, result = node.input_shape(0), node.output_shape(0)
    axis = _axis(node)
    inverse, onesided = bool(node.attribute("inverse", 0)), node.attribute("onesided", 0)
    length = result[axis]
    if onesided and not inverse:
        length = source[axis] if not node.has_input(1) else _constant(node, 1)
    signals = prod(source[:-1]) // max(source[axis], 1)
    is_real = 1 in (source[-1], result[-1])
    return fast_transform(length, is_real) * signals + VECTOR * (inverse * prod(result))


def _axis(node: NodeView) -> int:
    """The axis: an attribute before opset 20, the third input from then on."""
    if node.version < 20:
        return int(node.attribute("axis", 1))
    return _constant(node, 2) if node.has_input(2) else -2


def _constant(node: NodeView, index: int) -> int:
    """The number in a constant input; raises NotCountable where it is computed at run time."""
    number = constant_input(node, index)
    if number is None:
        raise NotCountable(f"{node.op_type}: {node.input(index).name!r} is known only at run time")
    return int(number.item())


def stft(node: NodeView) -> Work:
    """One fast transform per frame; with a window also one multiply per element of the frame."""
    channels, frames = node.input_shape(0)[-1], prod(node.output_shape(0)[:2])
    length = _constant(node, 3) if node.has_input(3) else node.input_shape(2)[0]
    windowed = VECTOR * (node.has_input(2) * length * channels)
    return (windowed + fast_transform(length, channels == 1)) * frames


def window(node: NodeView) -> Work:
    """7 elementwise and 2 transcendental ops per element, 5 once: one function body for all three."""
    return WINDOW * prod(node.output_shape(0)) + WINDOW_STEP


def mel_weight_matrix(node: NodeView) -> Work:
    """Per element a slope (sub, div), as if all lay in a triangle; per edge of a bin 8 and 1; once 8 and 2.

    The triangles of b bins have b + 2 edges.
    """
    output = node.output_shape(0)
    return SLOPE * prod(output) + MEL_BIN * (output[1] + 2) + MEL_RANGE


MOST_GRAM_LENGTHS = 1_000
"""N-grams of so many lengths are added up one by one; text is looked up by a handful."""

BY_LENGTH = refused("its work depends on the length of the strings, which the file does not say")
BY_FORMAT = refused("its work depends on the format of the stream, which the file does not say")


def _grams(length: int, gap: int, distances: int) -> int:
    """The n-grams in a row: ``length - gap * distance`` for each distance, where that is above 0."""
    fitting = min(distances, length // gap) if gap else distances
    return fitting * length - gap * fitting * (fitting + 1) // 2


def tf_idf(node: NodeView) -> Work:
    """One op per n-gram looked up; one more per output element where ``mode`` is not TF.

    Every n-gram that fits into a row is looked up: for each length, and for each distance between its items
    that ``max_skip_count`` allows. A 1-gram has no distance.
    """
    *batch, length = node.input_shape(0)
    shortest, longest = node.attribute("min_gram_length"), node.attribute("max_gram_length")
    sizes = range(max(shortest, 1), min(longest, length) + 1)
    if len(sizes) > MOST_GRAM_LENGTHS:
        raise NotCountable(f"TfIdfVectorizer: its n-grams have more than {MOST_GRAM_LENGTHS:,} lengths")
    skips = max(node.attribute("max_skip_count"), 0)
    grams = sum(_grams(length, size - 1, skips + 1 if size > 1 else 1) for size in sizes)
    weighed = 0 if node.attribute("mode") == "TF" else prod(node.output_shape(0))
    return VECTOR * (prod(batch) * grams + weighed)


RULES: RuleTable = {
    "": {
        "DFT": dft,
        "STFT": stft,
        **dict.fromkeys(("HannWindow", "HammingWindow", "BlackmanWindow"), window),
        "MelWeightMatrix": mel_weight_matrix,
        "TfIdfVectorizer": tf_idf,
        **dict.fromkeys(("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch"), BY_LENGTH),
        "ImageDecoder": BY_FORMAT,
    },
}
