"""The depth network in the ledger: nodes that depend on weights alone are constant-folded and free."""

from __future__ import annotations

from collections import Counter

import pytest

import onnxlens
from tests.small_catalog import weightless

STANDARDIZED = 1 + 16 * 3 + 3
"""The stem's convolution, three in each of 16 bottlenecks, and one in each of 3 shortcuts."""


@pytest.fixture(scope="module", params=[18, 23])
def ledger(request: pytest.FixtureRequest) -> onnxlens.Ledger:
    return onnxlens.profile_graph("midas-dpt-hybrid", weightless(request.param))


def test_standardizing_weights_is_free(ledger: onnxlens.Ledger) -> None:
    paths = {module.path for module in ledger.modules if module.class_name == "StandardizedConv"}
    nodes = [node for node in ledger.nodes if node.module_path in paths]
    assert len(paths) == STANDARDIZED
    assert Counter(node.op_type for node in nodes if node.status == "counted") == {
        "Conv": STANDARDIZED,
        # the stem's, and those of the bottlenecks' middle: 1 x 1 kernels need none
        "Pad": 1 + 16,
    }
    free = Counter(node.op_type for node in nodes if node.status == "free")
    assert (free["ReduceMean"], free["Sqrt"], free["Div"]) == (2 * STANDARDIZED, STANDARDIZED, STANDARDIZED)


def test_resizing_the_position_embeddings_is_free(ledger: onnxlens.Ledger) -> None:
    resizes = {node.module_path: node.status for node in ledger.nodes if node.op_type == "Resize"}
    assert resizes == {
        "pretrained.model": "free",
        **{f"scratch.refinenet{level}": "counted" for level in range(1, 5)},
        "scratch.output_conv.1": "counted",
    }


def test_modules_that_never_run_keep_their_params_and_are_named(ledger: onnxlens.Ledger) -> None:
    assert ledger.totals.params == 123_146_985
    # the last norm, the classifier, and the first unit of the coarsest fusion: weights and biases
    idle = 2 * 768 + (768 * 1000 + 1000) + 2 * (256 * 256 * 9 + 256)
    assert idle == 1_950_696
    assert any(f"{123_146_985 - idle:,}" in note for note in ledger.notes)
