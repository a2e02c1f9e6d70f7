"""Features and labels in ``ai.onnx.ml``: tables, scales and thresholds, element by element."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work, each_input, no_work
from onnxlens.profile.graph.node_view import NodeView


def normalizer(node: NodeView) -> Work:
    """Per element abs (a square for L2), a maximum or a sum, and a divide; for L2 a root per row."""
    shape = node.input_shape(0)
    root = SPECIAL if node.attribute("norm", "MAX") == "L2" else NOTHING
    return 3 * VECTOR * prod(shape) + root * prod(shape[:-1])


RULES: Mapping[str, Rule] = {
    "Binarizer": each_input(VECTOR),  # a compare
    "Imputer": each_input(2 * VECTOR),  # a compare, a select
    "Scaler": each_input(2 * VECTOR),  # the offset, the scale
    "Normalizer": normalizer,
    # one key is looked up per element
    "LabelEncoder": each_input(VECTOR),
    "CategoryMapper": each_input(VECTOR),
    # movement, as OneHot, Gather and Concat
    "OneHotEncoder": no_work,
    "ArrayFeatureExtractor": no_work,
    "FeatureVectorizer": no_work,
    # between maps and tensors
    "CastMap": no_work,
    "DictVectorizer": no_work,
    "ZipMap": no_work,
}
