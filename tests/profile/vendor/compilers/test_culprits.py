"""The nodes that a tool refuses are found by asking about parts of the graph alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.profile.vendor.compilers.culprits import Section, refused_nodes


@pytest.fixture
def chain(tmp_path: Path) -> Callable[[str], Path]:
    """A file of operators one after another, each with the number of its place as its name."""

    def write(operators: str) -> Path:
        names = operators.split()
        nodes = [
            helper.make_node(
                operator, [f"v{i}", "w"] if operator == "MatMul" else [f"v{i}"], [f"v{i + 1}"], name=str(i)
            )
            for i, operator in enumerate(names)
        ]
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (4, 4))
            for name in ("v0", f"v{len(names)}")
        ]
        weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
        graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], [weight])
        path = tmp_path / "chain.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        return path

    return write


class Tool:
    """Refuses models in which the operators of a pattern come one after another."""

    def __init__(self, *patterns: str) -> None:
        self.patterns, self.asked = patterns, 0

    def __call__(self, section: Section) -> str:
        self.asked += 1
        onnx.checker.check_model(section.model, full_check=True)
        assert [value.name for value in section.model.graph.input] == [spec.name for spec in section.inputs]
        operators = " ".join(node.op_type for node in section.model.graph.node)
        return next((f"no {pattern}" for pattern in self.patterns if pattern in operators), "")


LONG = "Relu Sin Exp MatMul Relu Cos MatMul Transpose Relu Tanh Exp Relu Neg Relu Sin Relu"


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["Tanh"], {"9": "no Tanh"}),
        (["Relu Sin"], {"0": "no Relu Sin", "1": "no Relu Sin", "13": "no Relu Sin", "14": "no Relu Sin"}),
        (
            ["MatMul Transpose Relu", "Neg"],
            dict.fromkeys("678", "no MatMul Transpose Relu") | {"12": "no Neg"},
        ),
        (["Cos", "Exp"], {"2": "no Exp", "5": "no Cos", "10": "no Exp"}),
    ],
    ids=["one", "two that come twice", "three, and one", "two operators"],
)
def test_the_shortest_runs_of_nodes_that_are_refused_are_found(
    chain: Callable[[str], Path], patterns: Sequence[str], expected: dict[str, str]
) -> None:
    tool = Tool(*patterns)
    assert refused_nodes(chain(LONG), tool, inf) == expected
    # halving 16 nodes from both ends takes at most 4 + 4 questions a run, with its reason and the rest's
    assert tool.asked <= 10 * 3


def test_no_more_than_three_runs_are_looked_for(chain: Callable[[str], Path]) -> None:
    assert list(refused_nodes(chain(LONG), Tool("Relu"), inf)) == ["0", "4", "8"]


def test_nothing_is_told_of_what_there_was_no_time_for(chain: Callable[[str], Path]) -> None:
    assert refused_nodes(chain(LONG), Tool("Tanh"), -inf) == {}
