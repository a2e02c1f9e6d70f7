"""Linear models and support vector machines of ``ai.onnx.ml``: their weights stand in attributes."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.count.rules.normalization import SOFTMAX
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView

POST_TRANSFORMS: Mapping[str, Work] = {
    "NONE": NOTHING,
    "SOFTMAX": SOFTMAX,
    "SOFTMAX_ZERO": SOFTMAX + VECTOR,  # a compare with 0
    "LOGISTIC": SPECIAL,
    "PROBIT": 3 * VECTOR + SPECIAL,  # mul, sub; inverse error function; mul
}
"""What is done to each score in the end."""

KERNELS: Mapping[str, Work] = {
    "LINEAR": NOTHING,
    "POLY": 2 * VECTOR + SPECIAL,  # mul by gamma, add, power
    "SIGMOID": 2 * VECTOR + SPECIAL,  # mul by gamma, add, tanh
    "RBF": VECTOR + SPECIAL,  # mul by gamma, exp
}
"""What is done to each product of a row with a support vector."""

VOTE = 2 * VECTOR  # compare, add
PLATT = 3 * VECTOR + SPECIAL  # mul, add, sigmoid; the other class's is 1 - p


def post_transform(node: NodeView) -> Work:
    """The cost per score of the attribute so named."""
    return POST_TRANSFORMS[node.attribute("post_transform", "NONE")]


def rows_and_features(node: NodeView) -> tuple[int, int]:
    """(N, F), or one row of F."""
    *rows, features = node.input_shape(0)
    return (rows[0] if rows else 1), features


def linear_scores(node: NodeView) -> Work:
    """N * E * F MACs, E the rows of the coefficients; per score an add where there are intercepts."""
    rows, features = rows_and_features(node)
    coefficients = len(node.attribute("coefficients"))
    add = VECTOR if node.attribute("intercepts") else NOTHING
    return Work(macs=rows * coefficients) + (add + post_transform(node)) * (rows * coefficients // features)


def linear_classifier(node: NodeView) -> Work:
    """The scores, and one compare per score to find the greatest."""
    rows, features = rows_and_features(node)
    return linear_scores(node) + VECTOR * (rows * len(node.attribute("coefficients")) // features)


def kernel_products(node: NodeView) -> Work:
    """Each row with each support vector: F MACs and the kernel's function.

    The kernel RBF squares the difference of the two: one subtract more per feature.
    """
    rows, _ = rows_and_features(node)
    vectors = node.attribute("support_vectors")
    kernel = node.attribute("kernel_type", "LINEAR")
    products = Work(macs=len(vectors)) + KERNELS[kernel] * (len(vectors) // rows_and_features(node)[1])
    if kernel == "RBF":
        products += VECTOR * len(vectors)
    return products * rows


def svm_regressor(node: NodeView) -> Work:
    """The kernel products, one MAC for each to sum them, and one add of rho per row.

    Without support vectors the coefficients are the only vector. With ``one_class`` a row takes a compare.
    """
    rows, _ = rows_and_features(node)
    summed = Work(macs=rows * len(node.attribute("coefficients")))
    if node.attribute("n_supports", 0):
        summed += kernel_products(node)
    else:
        summed += KERNELS[node.attribute("kernel_type", "LINEAR")] * rows
    per_row = VECTOR + post_transform(node) + (VECTOR if node.attribute("one_class", 0) else NOTHING)
    return summed + per_row * rows


def svm_classifier(node: NodeView) -> Work:
    """Kernel products; for each pair of classes the sums over the vectors of both, an add of rho, a vote.

    A vector stands for its class in C - 1 pairs, so the coefficients are as many as the MACs of a row's sums.
    With ``prob_a`` each pair's decision becomes a probability; joining those of more than two classes is a
    search, of which one round is counted, C * C. Per class one compare to find the greatest. Without support
    vectors it is a linear classifier, with rho for an intercept.
    """
    rows, features = rows_and_features(node)
    coefficients = len(node.attribute("coefficients"))
    per_class = VECTOR + post_transform(node)
    if not node.attribute("vectors_per_class"):
        kernel = KERNELS[node.attribute("kernel_type", "LINEAR")]
        return Work(macs=rows * coefficients) + (VECTOR + kernel + per_class) * (
            rows * coefficients // features
        )
    classes = len(node.attribute("vectors_per_class"))
    pairs = classes * (classes - 1) // 2
    per_row = Work(macs=coefficients) + (VECTOR + VOTE) * pairs + per_class * classes
    if node.attribute("prob_a"):
        per_row += PLATT * pairs + (VECTOR * classes**2 if classes > 2 else NOTHING)
    return kernel_products(node) + per_row * rows


RULES: Mapping[str, Rule] = {
    "LinearClassifier": linear_classifier,
    "LinearRegressor": linear_scores,
    "SVMClassifier": svm_classifier,
    "SVMRegressor": svm_regressor,
}
