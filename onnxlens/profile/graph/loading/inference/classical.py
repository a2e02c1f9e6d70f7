"""What operators of ai.onnx.ml make, by their specification, of which ONNX's inference does not say it.

Rows: an input (N, F) has N of them, one of rank 1 is a single row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnxlens.profile.graph.loading.inference.containers import Inputs, Rule
from onnxlens.profile.graph.loading.inference.facts import Fact, at
from onnxlens.profile.graph.loading.protobuf import FileNode
from onnxlens.profile.graph.loading.value_types import ValueType
from onnxlens.specs.tensor import Dim

DOMAIN = "ai.onnx.ml"

CAST_MAPS = {"TO_FLOAT": "float32", "TO_STRING": "string", "TO_INT64": "int64"}


def _type(inputs: Inputs) -> ValueType:
    first = at(inputs, 0)
    return first.type if first is not None else ValueType()


def _rows(inputs: Inputs) -> Dim | None:
    """N; None where not even the rank is known."""
    shape = _type(inputs).shape
    if shape is None:
        return None
    return shape[0] if len(shape) > 1 else 1


def _same_shape(dtype: str | None = None) -> Rule:
    """As large as the input: of that type, or of its own."""

    def rule(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
        source = _type(inputs)
        return [Fact(ValueType(dtype or source.dtype, source.shape))]

    return rule


def _scores(width: Callable[[FileNode, Inputs], Dim | None]) -> Rule:
    """Of a regressor: N rows of that width."""

    def rule(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
        rows, columns = _rows(inputs), width(node, inputs)
        if rows is None or columns is None:
            return None
        return [Fact(ValueType("float32", (rows, columns)))]

    return rule


def _labels(width: Callable[[FileNode, Inputs], Dim | None]) -> Rule:
    """Of a classifier: N labels, and N rows with a score for each class."""
    scores = _scores(width)

    def rule(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
        rows, made = _rows(inputs), scores(node, inputs)
        if rows is None or made is None:
            return None
        dtype = "string" if node.attributes.get("classlabels_strings") else "int64"
        return [Fact(ValueType(dtype, (rows,))), *made]

    return rule


def _classes(node: FileNode) -> int:
    """How many labels a classifier has."""
    names = ("classlabels_strings", "classlabels_ints", "classlabels_int64s")
    return max(len(node.attributes.get(name) or ()) for name in names)


def _vector_classes(node: FileNode, inputs: Inputs) -> Dim | None:
    """SVMClassifier: a score for each class; without probabilities for each pair of them; at least two."""
    classes = _classes(node)
    is_linear = not node.attributes.get("vectors_per_class")
    if is_linear or node.attributes.get("prob_a"):
        return classes
    return max(classes * (classes - 1) // 2, 2)


def _features(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """FeatureVectorizer: N rows with all inputs side by side."""
    rows = _rows(inputs)
    width = sum(node.attributes.get("inputdimensions") or ())
    return None if rows is None or not width else [Fact(ValueType("float32", (rows, width)))]


def _vocabulary(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """DictVectorizer: one row, as long as the vocabulary."""
    names = ("string_vocabulary", "int64_vocabulary")
    width = max(len(node.attributes.get(name) or ()) for name in names)
    return [Fact(ValueType(None, (1, width)))]


def _cast_map(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    """CastMap: one row; as long as the map, unless it is sparse."""
    sparse = node.attributes.get("map_form", "DENSE") == "SPARSE"
    width: Dim = node.attributes.get("max_map", 1) if sparse else "?"
    return [Fact(ValueType(CAST_MAPS.get(node.attributes.get("cast_to", "TO_FLOAT")), (1, width)))]


def _extracted(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """ArrayFeatureExtractor: those indices of the last axis, of at least one row."""
    source, indices = _type(inputs), at(inputs, 1)
    if source.shape is None or indices is None or indices.type.shape is None:
        return None
    count: Dim = "?" if indices.type.elements is None else indices.type.elements
    return [Fact(ValueType(source.dtype, (*(source.shape[:-1] or (1,)), count)))]


def _maps(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    """ZipMap: a map for every row."""
    return [Fact(ValueType(kind="sequence"))]


def _number(name: str) -> Callable[[FileNode, Inputs], Any]:
    return lambda node, inputs: node.attributes.get(name, 1)


CLASSICAL: Mapping[tuple[str, str], Rule] = {
    (DOMAIN, op_type): rule
    for op_type, rule in {
        "ArrayFeatureExtractor": _extracted,
        "CastMap": _cast_map,
        "DictVectorizer": _vocabulary,
        "FeatureVectorizer": _features,
        "Imputer": _same_shape(),
        "LinearRegressor": _scores(_number("targets")),
        "Normalizer": _same_shape("float32"),
        "SVMClassifier": _labels(_vector_classes),
        "SVMRegressor": _scores(lambda node, inputs: 1),
        "Scaler": _same_shape("float32"),
        "TreeEnsembleClassifier": _labels(lambda node, inputs: _classes(node)),
        "TreeEnsembleRegressor": _scores(_number("n_targets")),
        "ZipMap": _maps,
    }.items()
}
"""By operator, what it makes."""
