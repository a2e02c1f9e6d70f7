"""What the library counts in a file is what really runs in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from tests.oracle.inputs import feeds, sizes
from tests.oracle.interpreter import count
from tests.oracle.macs import FORMULAS
from tests.oracle.single import CannotRun

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MULTIPLYING = frozenset({"If", "Loop", "Scan", "SequenceMap"}.union(*FORMULAS.values()))

BEYOND_THE_RUNTIME = frozenset(
    {
        *("Attention", "Einsum", "Expand", "Pad", "Add"),  # newer windows and bfloat16
        *("GRU", "LSTM", "RNN"),  # layout 1
        "ConvInteger",  # padding of more than one kind
    }
)
"""Operators of models that ONNX Runtime 1.31 cannot run; one of another operator is a fault of the oracle."""

SCAN_IN_BATCHES = "test_scan_sum"
"""Of opset 8, which the oracle does not interpret."""

# making some of the models divides by zero on purpose
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def operators(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            yield from operators(attribute.g)


def multiplying() -> Iterator[TestCase]:
    """The node models of ONNX's backend suite that have anything to multiply, or bodies."""
    for case in load_model_tests(kind="node"):
        inside = {node.op_type for function in case.model.functions for node in function.node}
        if case.name != SCAN_IN_BATCHES and MULTIPLYING.intersection(
            inside.union(operators(case.model.graph))
        ):
            yield case


def deciding_values(case: TestCase) -> dict[str, list[float]]:
    """The values of small integer inputs, which may decide shapes, counts and branches.

    Not the lengths of what is valid in a cache: the oracle counts whole tensors.
    """
    nodes = case.model.graph.node
    lengths = {node.input[6] for node in nodes if node.op_type == "Attention" and len(node.input) > 6}
    return {
        given.name: array.reshape(-1).tolist()
        for given, array in zip(case.model.graph.input, case.data_sets[0][0], strict=False)
        if isinstance(array, np.ndarray)
        and array.dtype.kind in "iub"
        and array.ndim < 2
        and given.name not in lengths
    }


def test_the_nodes_of_the_backend_suite_count_what_they_take(tmp_path: Path) -> None:
    ran, whole = 0, 0
    for case in multiplying():
        arrays = dict(
            zip((given.name for given in case.model.graph.input), case.data_sets[0][0], strict=False)
        )
        try:
            real = count(case.model, arrays).macs
        except CannotRun as refusal:
            assert str(refusal).split()[0] in BEYOND_THE_RUNTIME, (case.name, refusal)
            continue
        path = tmp_path / f"{case.name}.onnx"
        path.write_bytes(case.model.SerializeToString())
        totals = build_ledger(load_graph(path, values=deciding_values(case))).totals
        ran += 1
        if totals.unknown_nodes:
            assert totals.macs <= real, case.name
        else:
            assert totals.macs == real, case.name
            whole += 1
    assert ran >= 295
    assert whole >= 285


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_classical_networks_count_what_they_take(path: Path) -> None:
    model = onnx.load(path)
    totals = build_ledger(load_graph(path)).totals
    assert totals.unknown_nodes == 0
    assert totals.macs == count(model, feeds(model, sizes([]))).macs > 0
