"""Trees of ai.onnx.ml, of millions of nodes: their longest paths and largest leaves, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlens.profile.graph.node_view import ManyValues, NodeView

NODE_BITS = 32
"""Of the number of a node in all trees, those of its number in its own."""


def longest_paths(roots: np.ndarray, children: np.ndarray) -> int:
    """The branches on the longest path from each root to a leaf, added up.

    Args:
        roots: the number of each tree's first branch; -1 for a leaf.
        children: for each branch the numbers of its two children; -1 for a leaf.

    Raises:
        ValueError: a branch is its own descendant.
    """
    trees, level, total = np.arange(len(roots)), roots, 0
    for _ in range(len(children) + 1):
        trees, level = trees[level >= 0], level[level >= 0]
        if not len(level):
            return total
        total += len(np.unique(trees))
        trees, level = np.repeat(trees, 2), children[level].ravel()
        if len(level) > 2 * len(children):  # branches that are shared
            trees, level = np.unique([trees, level], axis=1)
    raise ValueError("a tree: a node is its own descendant")


def classical_trees(node: NodeView) -> tuple[np.ndarray, np.ndarray]:
    """The root of each tree, which is its first node in the file, and the children of all branches."""
    trees, names = (np.asarray(node.attribute(f"nodes_{part}")) for part in ("treeids", "nodeids"))
    is_branch = _differ(node.attribute("nodes_modes"), "LEAF")
    rows = np.flatnonzero(is_branch)
    number = np.append(np.where(is_branch, np.cumsum(is_branch) - 1, -1), -1)  # last: what is not there
    sides = [np.asarray(node.attribute(f"nodes_{side}nodeids"))[rows] for side in ("true", "false")]
    _, firsts = np.unique(trees, return_index=True)
    return number[firsts], number[_children_of(rows, np.stack(sides, axis=1), trees, names)]


def _children_of(rows: np.ndarray, wanted: np.ndarray, trees: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Where the nodes of the names ``wanted`` in the trees of ``rows`` stand in the file; -1 for none."""
    count = len(trees)
    starts = np.flatnonzero(np.append(True, trees[1:] != trees[:-1]))
    sizes = np.diff(np.append(starts, count))
    begins = np.repeat(starts, sizes)
    if len(np.unique(trees[starts])) == len(starts) and (names == np.arange(count) - begins).all():
        # tree after tree, the nodes of each numbered from 0: the way that exporters write them
        there = (wanted >= 0) & (wanted < np.repeat(sizes, sizes)[rows, None])
        return np.where(there, begins[rows, None] + wanted, -1)
    known = trees << NODE_BITS | names
    order = np.argsort(known, kind="stable")
    asked = trees[rows, None] << NODE_BITS | wanted
    places = np.searchsorted(known, asked, sorter=order).clip(max=count - 1)
    return np.where(known[order[places]] == asked, order[places], -1)


def trees_apart(node: NodeView) -> np.ndarray:
    """The children of all branches in the form of opset 5, which numbers branches and leaves apart."""
    sides = []
    for side in ("true", "false"):
        leafs = np.asarray(node.attribute(f"nodes_{side}leafs"), bool)
        sides.append(np.where(leafs, -1, np.asarray(node.attribute(f"nodes_{side}nodeids"))))
    return np.stack(sides, axis=1)


def largest_leaves(trees: Sequence[int], leaves: Sequence[int]) -> int:
    """The number of weights of each tree's leaf that has most of them, added up.

    Args:
        trees: that each weight belongs to.
        leaves: in it.
    """
    held_by = np.asarray(trees)
    numbers = held_by << NODE_BITS | np.asarray(leaves)
    _, firsts, weights = np.unique(numbers, return_index=True, return_counts=True)
    _, places = np.unique(held_by[firsts], return_inverse=True)
    largest = np.zeros(len(places), np.int64)
    np.maximum.at(largest, places, weights)
    return int(largest.sum())


def _differ(texts: Sequence[str], text: str) -> np.ndarray:
    """Which of the texts are others."""
    if isinstance(texts, ManyValues):  # millions, which need not be decoded
        return np.fromiter(map(text.encode().__ne__, texts.held), bool, len(texts))
    return np.array([each != text for each in texts], bool)
