"""The classical models of ai.onnx.ml: linear models, support vector machines, tree ensembles, features.

Their weights are attributes. Of an ensemble of trees the longest path of each tree counts, the upper bound
for a row; a branch is one compare, also where it tests whether a value is a member of a set.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from onnxlens.profile.count.rules.normalization import SOFTMAX
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, RuleTable, Work, each_input, no_work
from onnxlens.profile.count.trees import classical_trees, largest_leaves, longest_paths, trees_apart
from onnxlens.profile.graph.node_view import NodeView

POST_TRANSFORMS: Mapping[str, Work] = {
    "NONE": NOTHING,
    "SOFTMAX": SOFTMAX,
    "SOFTMAX_ZERO": SOFTMAX + VECTOR,  # a compare with 0
    "LOGISTIC": SPECIAL,
    "PROBIT": 3 * VECTOR + SPECIAL,  # mul, sub; inverse error function; mul
}
"""The cost per score of each ``post_transform``."""

KERNELS: Mapping[str, Work] = {
    "LINEAR": NOTHING,
    "POLY": 2 * VECTOR + SPECIAL,  # mul by gamma, add, power
    "SIGMOID": 2 * VECTOR + SPECIAL,  # mul by gamma, add, tanh
    "RBF": VECTOR + SPECIAL,  # mul by gamma, exp
}
"""The cost of each kernel function per product of a row with a support vector."""

VOTE = 2 * VECTOR  # compare, add
PLATT = 3 * VECTOR + SPECIAL  # mul, add, sigmoid; the other class's is 1 - p


def post_transform(node: NodeView) -> Work:
    """The cost per score of the attribute ``post_transform``."""
    return POST_TRANSFORMS[node.attribute("post_transform", "NONE")]


def rows_and_features(node: NodeView) -> tuple[int, int]:
    """N and F of an (N, F) input; a 1-D input is one row."""
    *rows, features = node.input_shape(0)
    return (rows[0] if rows else 1), features


def linear_model(node: NodeView) -> Work:
    """N * E * F MACs for (E, F) coefficients; per score an add where there are intercepts.

    A classifier compares each score once, to find the largest.
    """
    rows, features = rows_and_features(node)
    coefficients = len(node.attribute("coefficients"))
    ops = bool(node.attribute("intercepts")) + (node.op_type == "LinearClassifier")
    per_score = VECTOR * ops + post_transform(node)
    return Work(macs=rows * coefficients) + per_score * (rows * coefficients // features)


def kernel_products(node: NodeView) -> Work:
    """Per row and support vector F MACs and the kernel function.

    The RBF kernel squares the difference of the two: one subtract more per feature.
    """
    rows, features = rows_and_features(node)
    elements = len(node.attribute("support_vectors"))
    kernel = node.attribute("kernel_type", "LINEAR")
    products = Work(macs=elements, vector_ops=elements * (kernel == "RBF"))
    return (products + KERNELS[kernel] * (elements // features)) * rows


def svm_regressor(node: NodeView) -> Work:
    """The kernel products, one MAC for each to sum them, and one add of rho per row.

    Without support vectors the coefficients are the only vector. ``one_class`` takes a compare per row.
    """
    rows, _ = rows_and_features(node)
    per_row = Work(macs=len(node.attribute("coefficients"))) + post_transform(node)
    per_row += VECTOR * (1 + bool(node.attribute("one_class", 0)))
    if node.attribute("n_supports", 0):
        return kernel_products(node) + per_row * rows
    return (KERNELS[node.attribute("kernel_type", "LINEAR")] + per_row) * rows


def svm_classifier(node: NodeView) -> Work:
    """Kernel products; for each pair of classes the sum over the vectors of both, an add of rho, a vote.

    A vector takes part in the C - 1 pairs of its class, so that the sums of a row take as many MACs as there
    are coefficients. With ``prob_a`` the decision of each pair becomes a probability (Platt, 1999); combining
    those of more than two classes is iterative, and one iteration counts, C * C. Per class one compare to
    find the largest. Without support vectors it is a linear classifier, with rho as the intercept.
    """
    rows, features = rows_and_features(node)
    coefficients = len(node.attribute("coefficients"))
    per_class = VECTOR + post_transform(node)
    if not node.attribute("vectors_per_class"):
        per_class += VECTOR + KERNELS[node.attribute("kernel_type", "LINEAR")]
        return Work(macs=rows * coefficients) + per_class * (rows * coefficients // features)
    classes = len(node.attribute("vectors_per_class"))
    pairs = classes * (classes - 1) // 2
    per_row = Work(macs=coefficients) + (VECTOR + VOTE) * pairs + per_class * classes
    if node.attribute("prob_a"):
        per_row += PLATT * pairs + (VECTOR * classes**2 if classes > 2 else NOTHING)
    return kernel_products(node) + per_row * rows


TRANSFORM_NAMES = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
AVERAGE = 0
"""In the form of opset 5 the post-transform and the aggregation are numbers."""


def tree_scores(node: NodeView, kind: str, targets: int) -> Work:
    """Per row the longest path of each tree, and one add per weight of its largest leaf; per target the rest.

    ``kind`` is the prefix of the attributes with the weights of the leaves: class or target. A base value is
    an add, an average a divide.
    """
    rows, _ = rows_and_features(node)
    path = longest_paths(*classical_trees(node))
    leaves = largest_leaves(node.attribute(f"{kind}_treeids"), node.attribute(f"{kind}_nodeids"))
    has_base = any(node.attribute(name) is not None for name in ("base_values", "base_values_as_tensor"))
    has_average: bool = node.attribute("aggregate_function", "SUM") == "AVERAGE"
    per_target = post_transform(node) + VECTOR * (has_base + has_average)
    return (VECTOR * (path + leaves) + per_target * targets) * rows


def tree_classifier(node: NodeView) -> Work:
    """The scores of the classes, and one compare per class to find the largest."""
    labels = node.attribute("classlabels_int64s") or node.attribute("classlabels_strings")
    rows, _ = rows_and_features(node)
    return tree_scores(node, "class", len(labels)) + VECTOR * (rows * len(labels))


def tree_regressor(node: NodeView) -> Work:
    """The scores of the targets."""
    return tree_scores(node, "target", node.attribute("n_targets", 1))


def tree_ensemble(node: NodeView) -> Work:
    """The scores of the targets in the form of opset 5: leaves apart from branches, one weight per leaf."""
    rows, _ = rows_and_features(node)
    roots = node.attribute("tree_roots")
    path = longest_paths(np.asarray(roots), trees_apart(node))
    per_target = POST_TRANSFORMS[TRANSFORM_NAMES[node.attribute("post_transform", 0)]]
    per_target += VECTOR if node.attribute("aggregate_function") == AVERAGE else NOTHING
    targets: int = node.attribute("n_targets", 1)
    return (VECTOR * (path + len(roots)) + per_target * targets) * rows


def normalizer(node: NodeView) -> Work:
    """Per element abs (a square for L2), a maximum or a sum, and a divide; for L2 a root per row."""
    shape = node.input_shape(0)
    root = SPECIAL if node.attribute("norm", "MAX") == "L2" else NOTHING
    return 3 * VECTOR * prod(shape) + root * prod(shape[:-1])


RULES: RuleTable = {
    "ai.onnx.ml": {
        **dict.fromkeys(("LinearClassifier", "LinearRegressor"), linear_model),
        "SVMClassifier": svm_classifier,
        "SVMRegressor": svm_regressor,
        "TreeEnsemble": tree_ensemble,
        "TreeEnsembleClassifier": tree_classifier,
        "TreeEnsembleRegressor": tree_regressor,
        "Binarizer": each_input(VECTOR),  # a compare
        "Imputer": each_input(2 * VECTOR),  # a compare, a select
        "Scaler": each_input(2 * VECTOR),  # the offset, the scale
        "Normalizer": normalizer,
        **dict.fromkeys(("LabelEncoder", "CategoryMapper"), each_input(VECTOR)),  # a look-up
        # movement, as OneHot, Gather and Concat
        **dict.fromkeys(("OneHotEncoder", "ArrayFeatureExtractor", "FeatureVectorizer"), no_work),
        **dict.fromkeys(("CastMap", "DictVectorizer", "ZipMap"), no_work),  # between maps and tensors
    },
}
