"""Text and encoded images: what they take depends on what they hold, but for n-grams of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.work import NOTHING, VECTOR, Rule, Work, refused
from onnxlens.profile.graph.node_view import NodeView

BY_LENGTH = refused("its work depends on the length of the strings, which the file does not say")
BY_FORMAT = refused("its work depends on the format of the stream, which the file does not say")


def tf_idf(node: NodeView) -> Work:
    """One operation per n-gram that is looked up; one more per output element where ``mode`` is not TF.

    Every n-gram that fits into a row is looked up: of each length, and at each distance between its items
    that the skips allow. A single item has no distance.
    """
    *batch, length = node.input_shape(0)
    shortest, longest = node.attribute("min_gram_length"), node.attribute("max_gram_length")
    distances = range(1, node.attribute("max_skip_count") + 2)
    grams = sum(
        max(length - (size - 1) * distance, 0)
        for size in range(shortest, longest + 1)
        for distance in (distances if size > 1 else distances[:1])
    )
    weighed = NOTHING if node.attribute("mode") == "TF" else VECTOR * prod(node.output_shape(0))
    return VECTOR * (prod(batch) * grams) + weighed


RULES: Mapping[str, Rule] = {
    "TfIdfVectorizer": tf_idf,
    "StringConcat": BY_LENGTH,
    "StringNormalizer": BY_LENGTH,
    "StringSplit": BY_LENGTH,
    "RegexFullMatch": BY_LENGTH,
    "ImageDecoder": BY_FORMAT,
}
