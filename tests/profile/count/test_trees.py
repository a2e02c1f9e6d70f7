"""Trees of classical models: shared branches, cycles, names in any order, attributes left in the protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from onnxlens.profile.count.trees import classical_trees, largest_leaves, longest_paths
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.protobuf import MAX_CONSTANT_ELEMENTS
from onnxlens.profile.graph.node_view import ManyValues
from tests.profile.count.rules.ml_cases import NUMBERED, TREES
from tests.profile.count.rules.nodes import node
from tests.profile.models import save, value


def test_a_path_is_counted_for_each_root() -> None:
    """0 - 1 - 2 is a chain, 3 stands alone; a root may be a leaf, and may be given twice."""
    children = np.array([(1, -1), (-1, 2), (-1, -1), (-1, -1)])
    assert longest_paths(np.array([0, 3, -1, 1, 1]), children) == 3 + 1 + 0 + 2 + 2


def test_branches_that_share_children_are_walked_once_a_level() -> None:
    """A ladder of 60 levels has 2^60 ways down."""
    children = np.array([(level + 1, level + 1) for level in range(59)] + [(-1, -1)])
    assert longest_paths(np.array([0]), children) == 60


def test_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError, match="its own descendant"):
        longest_paths(np.array([0]), np.array([(1, -1), (-1, 0)]))


def paths(**attributes: Any) -> int:
    return longest_paths(*classical_trees(node("TreeEnsembleRegressor", [(6, 4)], [(6, 1)], **attributes)))


@pytest.mark.parametrize(
    ("trees", "mixed"), [(TREES, (0, 5, 7, 2, 4, 1, 6, 3)), (NUMBERED, (0, 3, 7, 2, 5, 1, 6, 4))]
)
def test_children_are_found_however_the_nodes_are_named(trees: dict[str, Any], mixed: Sequence[int]) -> None:
    """``mixed`` is another order, in which the roots stay the first of their trees."""
    assert paths(**trees) == 2 + 1
    assert paths(**{name: tuple(values[index] for index in mixed) for name, values in trees.items()}) == 2 + 1


@pytest.mark.parametrize(("child", "length"), [(2, 2), (4, 1), (5, 1), (99, 1), (-1, 1)])
def test_a_child_that_is_not_there_is_a_leaf(child: int, length: int) -> None:
    """The first node of tree 7 branches to ``child``, where node 2 is its only other branch."""
    numbered = {**NUMBERED, "nodes_falsenodeids": (2, 0, 0, child, 0, 4, 0, 0)}
    named = {**TREES, "nodes_falsenodeids": (child, 0, 4, 0, 0, 8, 0, 0)}
    assert paths(**numbered) == paths(**named) == length + 1  # and tree 9


def test_the_largest_leaf_of_each_tree() -> None:
    # tree 7: leaf 3 has two weights, leaf 1 one; tree 9: one each
    assert largest_leaves((7, 7, 9, 7, 9), (1, 3, 6, 3, 8)) == 2 + 1


def test_large_attributes_stay_in_the_protobuf_and_read_as_values(tmp_path: Path) -> None:
    count = MAX_CONSTANT_ELEMENTS + 1
    model = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml",
        nodes_treeids=range(count), nodes_nodeids=[0] * count, nodes_modes=["LEAF"] * count,
        nodes_truenodeids=[0] * count, nodes_falsenodeids=[0] * count, nodes_values=[0.5] * count,
        nodes_featureids=[0] * count, target_treeids=range(count), target_nodeids=[0] * count,
        target_ids=[0] * count, target_weights=[1.0] * count, n_targets=1,
    )  # fmt: skip
    path = save(
        tmp_path, [model], [value("x", (2, 3))], [value("y", (2, 1))], opsets={"": 18, "ai.onnx.ml": 3}
    )
    view = load_graph(path).nodes[0].view
    modes, trees = view.attribute("nodes_modes"), view.attribute("nodes_treeids")
    assert isinstance(modes, ManyValues)
    assert (modes[1], len(modes), trees[:3]) == ("LEAF", count, (0, 1, 2))
    assert repr(trees) != repr(view.attribute("nodes_nodeids"))  # equal blocks are compared by it
    assert longest_paths(*classical_trees(view)) == 0
