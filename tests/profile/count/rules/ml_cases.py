"""Expected counts of the operators of ``ai.onnx.ml``, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.profile.count.rules.nodes import Case, Shape, case


def ml_case(op_type: str, inputs: list[Shape | None], outputs: list[Shape | None], **rest: Any) -> Case:
    return case(op_type, inputs, outputs, domain="ai.onnx.ml", **rest)


# 6 rows of 4 features; 3 classes or targets, each with 4 coefficients
ROWS: list[Shape | None] = [(6, 4)]
W = (0.5,) * 12

LINEAR: tuple[Case, ...] = (
    # 18 scores: an add for the intercept, the last function, a compare for the label
    ml_case("LinearRegressor", ROWS, [(6, 3)], coefficients=W, targets=3, macs=18 * 4),
    ml_case("LinearRegressor", ROWS, [(6, 3)], coefficients=W, intercepts=(0.5,) * 3, macs=72, vector=18),
    ml_case("LinearRegressor", [(4,)], [(1, 3)], coefficients=W, intercepts=(0.5,) * 3, macs=12, vector=3),
    ml_case("LinearRegressor", ROWS, [(6, 3)], coefficients=W, post_transform="SOFTMAX",
            macs=72, vector=4 * 18, special=18),
    ml_case("LinearRegressor", ROWS, [(6, 3)], coefficients=W, post_transform="SOFTMAX_ZERO",
            macs=72, vector=5 * 18, special=18),
    ml_case("LinearRegressor", ROWS, [(6, 3)], coefficients=W, post_transform="PROBIT",
            macs=72, vector=3 * 18, special=18),
    ml_case("LinearClassifier", ROWS, [(6,), (6, 3)], coefficients=W, intercepts=(0.5,) * 3,
            post_transform="LOGISTIC", macs=72, vector=18 + 18, special=18),
)  # fmt: skip

# 5 support vectors of 4 features
VECTORS = (0.5,) * 20

MACHINES: tuple[Case, ...] = (
    # 6 x 5 products of 4, their sum weighted by 5, and rho
    ml_case("SVMRegressor", ROWS, [(6, 1)], support_vectors=VECTORS, n_supports=5, coefficients=(0.5,) * 5,
            macs=6 * (20 + 5), vector=6),
    ml_case("SVMRegressor", ROWS, [(6, 1)], support_vectors=VECTORS, n_supports=5, coefficients=(0.5,) * 5,
            kernel_type="POLY", one_class=1, post_transform="LOGISTIC",
            macs=150, vector=2 * 30 + 6 + 6, special=30 + 6),
    ml_case("SVMRegressor", ROWS, [(6, 1)], support_vectors=VECTORS, n_supports=5, coefficients=(0.5,) * 5,
            kernel_type="SIGMOID", macs=150, vector=2 * 30 + 6, special=30),
    # a subtract for each of 6 x 20 features before the square
    ml_case("SVMRegressor", ROWS, [(6, 1)], support_vectors=VECTORS, n_supports=5, coefficients=(0.5,) * 5,
            kernel_type="RBF", macs=150, vector=120 + 30 + 6, special=30),
    # without support vectors, one product of 4 to a row
    ml_case("SVMRegressor", ROWS, [(6, 1)], coefficients=(0.5,) * 4, macs=24, vector=6),
    ml_case("SVMRegressor", ROWS, [(6, 1)], coefficients=(0.5,) * 4, kernel_type="SIGMOID",
            macs=24, vector=2 * 6 + 6, special=6),
    # 3 classes: 5 vectors in 2 pairs each; 3 pairs: rho, compare, add; 3 compares for the label
    ml_case("SVMClassifier", ROWS, [(6,), (6, 3)], support_vectors=VECTORS, vectors_per_class=(2, 2, 1),
            coefficients=(0.5,) * 10, kernel_type="RBF",
            macs=6 * (20 + 10), vector=6 * (20 + 5 + 3 * 3 + 3), special=6 * 5),
    # probabilities: 3 and a sigmoid for each pair, and one round over 3 x 3
    ml_case("SVMClassifier", ROWS, [(6,), (6, 3)], support_vectors=VECTORS, vectors_per_class=(2, 2, 1),
            coefficients=(0.5,) * 10, prob_a=(0.5,) * 3, post_transform="LOGISTIC",
            macs=180, vector=6 * (3 * 3 + 3 + 3 * 3 + 9), special=6 * (3 + 3)),
    # two classes need no round
    ml_case("SVMClassifier", ROWS, [(6,), (6, 2)], support_vectors=VECTORS, vectors_per_class=(3, 2),
            coefficients=(0.5,) * 5, prob_a=(0.5,), macs=150, vector=6 * (3 + 2 + 3), special=6),
    # without vectors: 18 scores, rho, the kernel's function and a compare for each
    ml_case("SVMClassifier", ROWS, [(6,), (6, 3)], coefficients=W, kernel_type="POLY",
            post_transform="LOGISTIC", macs=72, vector=(1 + 2 + 1) * 18, special=2 * 18),
    ml_case("SVMClassifier", ROWS, [(6,), (6, 3)], coefficients=W, macs=72, vector=2 * 18),
)  # fmt: skip

# tree 7: node 0 branches to leaf 1 and to node 2, which branches to leaves 3 and 4; tree 9: node 5 to 6 and 8
TREES: dict[str, Any] = {
    "nodes_treeids": (7, 7, 7, 7, 7, 9, 9, 9),
    "nodes_nodeids": (0, 1, 2, 3, 4, 5, 6, 8),
    "nodes_modes": ("BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"),
    "nodes_truenodeids": (1, 0, 3, 0, 0, 6, 0, 0),
    "nodes_falsenodeids": (2, 0, 4, 0, 0, 8, 0, 0),
}
# leaf 3 has two weights, all others one: 2 + 1 adds to a row at most, after 2 + 1 compares
TREE_LEAVES = {"treeids": (7, 7, 7, 7, 9, 9), "nodeids": (1, 3, 3, 4, 6, 8)}
CLASS_LEAVES = {f"class_{name}": values for name, values in TREE_LEAVES.items()}
TARGET_LEAVES = {f"target_{name}": values for name, values in TREE_LEAVES.items()}

# the same trees, node after node from 0, the other way round
NUMBERED: dict[str, Any] = {
    "nodes_treeids": (9, 9, 9, 7, 7, 7, 7, 7),
    "nodes_nodeids": (0, 1, 2, 0, 1, 2, 3, 4),
    "nodes_modes": ("BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF"),
    "nodes_truenodeids": (1, 0, 0, 1, 0, 3, 0, 0),
    "nodes_falsenodeids": (2, 0, 0, 2, 0, 4, 0, 0),
}
NUMBERED_LEAVES = {"target_treeids": (9, 9, 7, 7, 7, 7), "target_nodeids": (1, 2, 1, 3, 3, 4)}

# the same trees with leaves apart: node 0 to leaf 0 and node 1, node 1 to leaves 1 and 2, node 2 to 3 and 4
ENSEMBLE: dict[str, Any] = {
    "tree_roots": (0, 2),
    "nodes_truenodeids": (0, 1, 3),
    "nodes_trueleafs": (1, 1, 1),
    "nodes_falsenodeids": (1, 2, 4),
    "nodes_falseleafs": (0, 1, 1),
    "leaf_targetids": (0, 1, 0, 1, 2),
}

FORESTS: tuple[Case, ...] = (
    ml_case("TreeEnsembleRegressor", ROWS, [(6, 3)], **TREES, **TARGET_LEAVES, n_targets=3,
            vector=6 * (3 + 3)),
    ml_case("TreeEnsembleRegressor", ROWS, [(6, 1)], **NUMBERED, **NUMBERED_LEAVES, vector=6 * (3 + 3)),
    # a child that is not there is a leaf
    ml_case("TreeEnsembleRegressor", ROWS, [(6, 1)],
            **{**NUMBERED, "nodes_falsenodeids": (2, 0, 0, 5, 0, 4, 0, 0)}, **NUMBERED_LEAVES,
            vector=6 * (2 + 3)),
    ml_case("TreeEnsembleRegressor", ROWS, [(6, 1)],
            **{**TREES, "nodes_falsenodeids": (6, 0, 4, 0, 0, 8, 0, 0)}, **TARGET_LEAVES, vector=6 * (2 + 3)),
    ml_case("TreeEnsembleRegressor", ROWS, [(6, 1)], **TREES, **TARGET_LEAVES, aggregate_function="AVERAGE",
            vector=6 * (6 + 1)),
    ml_case("TreeEnsembleRegressor", ROWS, [(6, 3)], **TREES, **TARGET_LEAVES, n_targets=3,
            aggregate_function="SUM", base_values=(0.5,) * 3, post_transform="LOGISTIC",
            vector=6 * (6 + 3), special=6 * 3),
    # a tree that is a leaf: an add
    ml_case("TreeEnsembleRegressor", ROWS, [(6, 1)], nodes_treeids=(0,), nodes_nodeids=(0,),
            nodes_modes=("LEAF",), nodes_truenodeids=(0,), nodes_falsenodeids=(0,), target_treeids=(0,),
            target_nodeids=(0,), vector=6),
    # 3 classes: a compare for each to find the greatest
    ml_case("TreeEnsembleClassifier", ROWS, [(6,), (6, 3)], **TREES, **CLASS_LEAVES,
            classlabels_int64s=(0, 1, 2), vector=6 * (6 + 3)),
    ml_case("TreeEnsembleClassifier", ROWS, [(6,), (6, 3)], **TREES, **CLASS_LEAVES,
            classlabels_strings=("a", "b", "c"), base_values_as_tensor=np.zeros(3), vector=6 * (6 + 3 + 3)),
    # a chain of two branches: 2 compares and an add
    ml_case("TreeEnsemble", ROWS, [(6, 1)], tree_roots=(0,), nodes_truenodeids=(0, 1), nodes_trueleafs=(1, 1),
            nodes_falsenodeids=(1, 2), nodes_falseleafs=(0, 1), leaf_targetids=(0, 0, 0), vector=6 * (2 + 1)),
    # one weight to a leaf: 3 compares and 2 adds
    ml_case("TreeEnsemble", ROWS, [(6, 3)], **ENSEMBLE, n_targets=3, vector=6 * (3 + 2)),
    ml_case("TreeEnsemble", ROWS, [(6, 3)], **ENSEMBLE, n_targets=3, post_transform=0, aggregate_function=1,
            vector=6 * (3 + 2)),
    ml_case("TreeEnsemble", ROWS, [(6, 3)], **ENSEMBLE, n_targets=3, post_transform=4, aggregate_function=0,
            vector=6 * (5 + 4 * 3), special=6 * 3),
    ml_case("TreeEnsemble", ROWS, [(6, 1)], **ENSEMBLE, post_transform=2, aggregate_function=2,
            vector=6 * 5, special=6),
)  # fmt: skip

FEATURES: tuple[Case, ...] = (
    *(ml_case(op_type, ROWS, [(6, 4)], vector=24)
      for op_type in ("Binarizer", "LabelEncoder", "CategoryMapper")),
    *(ml_case(op_type, ROWS, [(6, 4)], vector=2 * 24) for op_type in ("Imputer", "Scaler")),
    ml_case("Normalizer", ROWS, [(6, 4)], vector=3 * 24),
    ml_case("Normalizer", ROWS, [(6, 4)], norm="MAX", vector=3 * 24),
    ml_case("Normalizer", ROWS, [(6, 4)], norm="L1", vector=3 * 24),
    ml_case("Normalizer", ROWS, [(6, 4)], norm="L2", vector=3 * 24, special=6),
    ml_case("Normalizer", [(4,)], [(4,)], norm="L2", vector=3 * 4, special=1),
    *(
        ml_case(op_type, ROWS, [(6, 4)])
        for op_type in (
            "OneHotEncoder", "ArrayFeatureExtractor", "FeatureVectorizer",
            "CastMap", "DictVectorizer", "ZipMap",
        )
    ),
)  # fmt: skip

ML_CASES = LINEAR + MACHINES + FORESTS + FEATURES
