"""Ensembles of decision trees (``ai.onnx.ml``): the most that a row can take, the longest path of each tree.

A branch is one compare, also where it asks whether a value is a member of a set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from onnxlens.profile.count.rules.ml_linear import POST_TRANSFORMS, post_transform, rows_and_features
from onnxlens.profile.count.rules.work import NOTHING, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView

TreeNode = tuple[int, int]
"""A tree and a node in it; in opset 5's form whether it is a leaf, and its index."""

Branches = Mapping[TreeNode, tuple[TreeNode, TreeNode]]
"""The two children of every node that branches."""

TRANSFORM_NAMES = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
AVERAGE = 0
"""In opset 5's form the post-transforms and the aggregation stand as numbers."""


def longest_path(branches: Branches, root: TreeNode) -> int:
    """The most branches between the root and a leaf.

    Raises:
        ValueError: a node is its own descendant.
    """
    level = {root} & branches.keys()
    for depth in range(len(branches) + 1):
        if not level:
            return depth
        level = {child for node in level for child in branches[node] if child in branches}
    raise ValueError(f"tree of {root}: a node is its own descendant")


def tree_scores(node: NodeView, kind: str, targets: int) -> Work:
    """Per row: each tree's longest path, and one add per weight of its fullest leaf; what follows per target.

    ``kind`` is the prefix of the attributes of the leaves' weights: class or target. A base value is an add,
    an average a divide.
    """
    rows, _ = rows_and_features(node)
    trees, branches = _branches(node)
    held = Counter(zip(node.attribute(f"{kind}_treeids"), node.attribute(f"{kind}_nodeids"), strict=True))
    fullest: Mapping[int, int] = {tree: weights for (tree, _), weights in reversed(held.most_common())}
    path = sum(longest_path(branches, root) for root in trees)
    has_base = any(node.attribute(name) is not None for name in ("base_values", "base_values_as_tensor"))
    per_target = post_transform(node) + (VECTOR if has_base else NOTHING)
    per_target += VECTOR if node.attribute("aggregate_function", "SUM") == "AVERAGE" else NOTHING
    return (VECTOR * (path + sum(fullest.values())) + per_target * targets) * rows


def _branches(node: NodeView) -> tuple[Iterable[TreeNode], Branches]:
    """The root of each tree, which is the node that its tree names first, and all branches."""
    trees, names = node.attribute("nodes_treeids"), node.attribute("nodes_nodeids")
    children = zip(node.attribute("nodes_truenodeids"), node.attribute("nodes_falsenodeids"), strict=True)
    roots: dict[int, TreeNode] = {}
    branches = {}
    for tree, name, mode, (yes, no) in zip(
        trees, names, node.attribute("nodes_modes"), children, strict=True
    ):
        roots.setdefault(tree, (tree, name))
        if mode != "LEAF":
            branches[tree, name] = ((tree, yes), (tree, no))
    return roots.values(), branches


def tree_classifier(node: NodeView) -> Work:
    """The scores of the classes, and one compare per class to find the greatest."""
    labels = node.attribute("classlabels_int64s") or node.attribute("classlabels_strings")
    rows, _ = rows_and_features(node)
    return tree_scores(node, "class", len(labels)) + VECTOR * (rows * len(labels))


def tree_regressor(node: NodeView) -> Work:
    """The scores of the targets."""
    return tree_scores(node, "target", node.attribute("n_targets", 1))


def tree_ensemble(node: NodeView) -> Work:
    """The scores of the targets, in opset 5's form: leaves apart from branches, one weight to a leaf."""
    rows, _ = rows_and_features(node)
    pairs = zip(_children(node, "true"), _children(node, "false"), strict=True)
    branches: Branches = {(False, index): pair for index, pair in enumerate(pairs)}
    roots = node.attribute("tree_roots")
    path = sum(longest_path(branches, (False, root)) for root in roots)
    per_target = POST_TRANSFORMS[TRANSFORM_NAMES[node.attribute("post_transform", 0)]]
    per_target += VECTOR if node.attribute("aggregate_function") == AVERAGE else NOTHING
    targets: int = node.attribute("n_targets", 1)
    return (VECTOR * (path + len(roots)) + per_target * targets) * rows


def _children(node: NodeView, side: str) -> Sequence[TreeNode]:
    """Where each branch leads when its compare is true or false."""
    leafs = node.attribute(f"nodes_{side}leafs")
    children = zip(leafs, node.attribute(f"nodes_{side}nodeids"), strict=True)
    return [(bool(leaf), index) for leaf, index in children]


RULES: Mapping[str, Rule] = {
    "TreeEnsemble": tree_ensemble,
    "TreeEnsembleClassifier": tree_classifier,
    "TreeEnsembleRegressor": tree_regressor,
}
