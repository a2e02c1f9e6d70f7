"""A number in a file costs nothing by itself: what is out of bounds is refused, all else counted exactly."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from onnxlens.errors import GraphError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.inference.walk import Walk
from onnxlens.specs.bounds import MOST_LEVELS
from onnxlens.specs.ledger import Ledger
from tests.profile.models import op, value

BOOL, INT64 = TensorProto.BOOL, TensorProto.INT64
OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
Shape = Sequence[int] | None


def model(
    nodes: Sequence[NodeProto],
    x: Shape = (2,),
    y: Shape = (2,),
    functions: Sequence[FunctionProto] = (),
    tensors: Sequence[TensorProto] = (),
) -> ModelProto:
    """A model from ``x`` to ``y``."""
    graph = helper.make_graph(list(nodes), "made", [value("x", x)], [value("y", y)], list(tensors))
    return helper.make_model(graph, functions=list(functions), opset_imports=OPSETS, ir_version=9)


def ledger(folder: Path, made: ModelProto) -> Ledger:
    path = folder / "made.onnx"
    onnx.save(made, path)
    return build_ledger(load_graph(path))


def named(name: str) -> ModelProto:
    node = op("Relu", "x", "y")
    node.name = name
    return model([node])


def calls(times: int, depth: int, body: Sequence[NodeProto] = ()) -> ModelProto:
    """Functions of which each calls the one before so many times, the first with these nodes."""
    functions = [helper.make_function("own", "f0", ["x"], ["y"], list(body), OPSETS)]
    for index in range(1, depth):
        names = ["x", *(f"t{step}" for step in range(1, times)), "y"]
        inner = [
            op(f"f{index - 1}", source, target, domain="own")
            for source, target in zip(names, names[1:], strict=False)
        ]
        functions.append(helper.make_function("own", f"f{index}", ["x"], ["y"], inner, OPSETS))
    return model([op(f"f{depth - 1}", "x", "y", domain="own")], functions=functions)


def loop_body(inner: Sequence[NodeProto], result: str) -> GraphProto:
    """One that carries ``v`` on as ``result``."""
    inputs = [value("i", (), INT64), value("go", (), BOOL), value("v", (2,))]
    outputs = [value("on", (), BOOL), value(result, (2,))]
    return helper.make_graph([op("Identity", "go", "on"), *inner], "body", inputs, outputs)


def loops(depth: int, rounds: int) -> ModelProto:
    """Loops inside each other, all with the same number of rounds."""
    inner = [op("Relu", "v", "w")]
    for _ in range(depth - 1):
        inner = [helper.make_node("Loop", ["m", "", "v"], ["w"], body=loop_body(inner, "w"))]
    outer = helper.make_node("Loop", ["m", "", "x"], ["y"], body=loop_body(inner, "w"))
    return model([outer], tensors=[helper.make_tensor("m", INT64, [], [rounds])])


def chained() -> ModelProto:
    """The model calls the 60th of 100 functions, whose size is then known, before the last."""
    made = calls(1, 100, RELU)
    made.graph.node.insert(0, op("f59", "x", "z", domain="own"))
    return made


def nested_functions() -> ModelProto:
    """Each holds an If whose branches call the one before: 40 graphs inside each other."""
    made = calls(1, 1, [op("Relu", "x", "y")])
    for index in range(1, 40):
        call = op(f"f{index - 1}", "x", "b", domain="own")
        branch = helper.make_graph([call], "branch", [], [value("b", (2,))])
        other = helper.make_graph([op("Relu", "x", "b")], "other", [], [value("b", (2,))])
        true = op("Constant", "", "c", value=helper.make_tensor("c", BOOL, [], [True]))
        nodes = [true, op("If", "c", "y", then_branch=branch, else_branch=other)]
        made.functions.append(helper.make_function("own", f"f{index}", ["x"], ["y"], nodes, OPSETS))
    made.graph.node[0].op_type = "f39"
    return made


def long_bodies() -> ModelProto:
    """A body whose values would begin with 20,000 characters."""
    name = "n" * 20_000
    branch = helper.make_graph([op("Relu", "x", "b")], "branch", [], [value("b", (2,))])
    true = op("Constant", "", "c", value=helper.make_tensor("c", BOOL, [], [True]))
    return model(
        [true, op("If", "c", name, then_branch=branch, else_branch=branch), op("Identity", name, "y")]
    )


RELU = [op("Relu", "x", "y")]
DEEP = [f"a{level}" for level in range(10_000)]

REFUSED: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "rank": (lambda: model(RELU, [1] * 300, [1] * 300), "'y' has 300 dimensions, and at most 64 are read"),
    "elements": (lambda: model(RELU, [2**62, 2], [2**62, 2]), "'y' has more than 2\\*\\*63 - 1 elements"),
    "inferred elements": (
        lambda: model([op("Expand", "x s", "y")], y=None, tensors=[
            helper.make_tensor("s", INT64, [3], [2**40, 2**40, 2])]),
        "'y' has more than 2\\*\\*63 - 1 elements",
    ),
    "tensor's rank": (
        lambda: model(RELU, tensors=[helper.make_tensor("w", INT64, [1] * 65, [1])]),
        "'w' has 65 dimensions",
    ),
    "name": (lambda: named(f"/{'/'.join(DEEP)}/Relu"), "'/a0/a1/.*a9999' is inside 10,000 modules"),
    "weight's name": (
        lambda: model(
            [op("MatMul", "x " + ".".join([*DEEP, "weight"]), "y")],
            (2, 2),
            (2, 2),
            tensors=[helper.make_tensor(".".join([*DEEP, "weight"]), TensorProto.FLOAT, [2, 2], [0] * 4)],
        ),
        "inside 10,000 modules",
    ),
    "calls that double": (lambda: calls(2, 40, RELU), "more than 200,000 nodes"),
    "calls of nothing": (lambda: calls(2, 40), "more than 200,000 nodes"),
    "calls inside calls": (lambda: calls(1, 2000, RELU), "more than 64 deep"),
    "calls of calls that are known": (chained, "more than 64 deep"),
    "bodies inside bodies": (nested_functions, "more than 32 graphs inside each other"),
    "names of bodies": (long_bodies, "have names of more than 16,384 characters"),
    "rounds": (lambda: loops(3, 2**40), "run it more than 2\\*\\*63 - 1 times"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_out_of_bounds_is_refused_in_a_line_with_its_file(case: str, tmp_path: Path) -> None:
    make, message = REFUSED[case]
    with pytest.raises(GraphError, match=rf"^[^\n]*made\.onnx: [^\n]*{message}[^\n]*; [^\n]+$") as refused:
        ledger(tmp_path, make())
    assert len(str(refused.value)) < 400


def test_as_many_levels_as_are_read_are_read(tmp_path: Path) -> None:
    rows = ledger(tmp_path, named(f"/{'/'.join(DEEP[:MOST_LEVELS])}/Relu")).modules
    assert max(row.depth for row in rows) == MOST_LEVELS


def test_a_loop_of_a_trillion_rounds_is_a_product(tmp_path: Path) -> None:
    total = ledger(tmp_path, loops(1, 2**40)).totals
    assert total.vector_ops == 2**40 * 2  # a Relu of two elements


def vectorizer(shortest: int, longest: int, skips: int, length: int) -> ModelProto:
    """Two lengths are in its pool, and seven numbers come out."""
    node = op(
        "TfIdfVectorizer", "x", "y", mode="TF", min_gram_length=shortest, max_gram_length=longest,
        max_skip_count=skips, ngram_counts=[0, 4], ngram_indexes=[0, 1, 2], pool_int64s=[2, 3, 5, 4],
    )  # fmt: skip
    made = model([node], y=[7])
    made.graph.input[0].CopyFrom(value("x", [length], INT64))
    return made


@pytest.mark.parametrize(
    ("shortest", "longest", "skips"), [*product((1, 2, 3), (3, 5), (0, 1, 4)), (1, 2**40, 2**40)]
)
def test_ngrams_are_as_many_as_fit_into_a_row(
    shortest: int, longest: int, skips: int, tmp_path: Path
) -> None:
    # each begins at a position, and has its items so far from one another that the last is in the row
    fitting = sum(
        start + (size - 1) * distance < 12
        for size in range(shortest, min(longest, 12) + 1)
        for distance in range(1, min(skips, 12) + 2 if size > 1 else 2)
        for start in range(12)
    )
    assert ledger(tmp_path, vectorizer(shortest, longest, skips, 12)).totals.vector_ops == fitting


UNKNOWN: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "coordinates": (
        lambda: model(
            [op("GridSample", "x g", "y")], (1, 1, 4, 4), (1, 1, 6, 6),
            tensors=[TensorProto(name="g", data_type=1, dims=[1, 6, 6, 2**40])],
        ),
        "1,099,511,627,776 coordinates for 2 spatial dimensions",
    ),
    "directions": (
        lambda: model(
            [op("LSTM", "x w r", "o y", hidden_size=3)], (1, 3, 2), (1, 3, 3),
            tensors=[
                TensorProto(name="w", data_type=1, dims=[2**40, 12, 2]),
                TensorProto(name="r", data_type=1, dims=[2**40, 12, 3]),
            ],
        ),
        "1,099,511,627,776 directions, not 1 or 2",
    ),
    "window": (
        lambda: model(
            [op("AveragePool", "x", "y", kernel_shape=[2**40, 2**40])], (1, 1, 4, 4), (1, 1, 4, 4)
        ),
        "its window has more than 2\\*\\*63 - 1 elements",
    ),
    "lengths": (lambda: vectorizer(1, 2**40, 0, 2**40), "more than 1,000 lengths"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_no_operator_can_do_is_unknown(case: str, tmp_path: Path) -> None:
    make, reason = UNKNOWN[case]
    found = ledger(tmp_path, make())
    assert [node.status for node in found.nodes] == ["unknown"]
    assert re.search(reason, found.nodes[0].reason)


ENDLESS: dict[str, tuple[NodeProto, dict[str, np.ndarray]]] = {
    "skips": (vectorizer(1, 2, 2**40, 1).graph.node[0], {"x": np.arange(5)}),
    "numbers": (op("Range", "a b c", "y"), {"a": np.array(0), "b": np.array(2**40), "c": np.array(1)}),
    "samples": (
        op("RoiAlign", "a b c", "y", sampling_ratio=2**30, output_height=1, output_width=1),
        {
            "a": np.ones((1, 1, 4, 4), np.float32),
            "b": np.ones((1, 4), np.float32),
            "c": np.zeros(1, np.int64),
        },
    ),
    "labels": (
        op("Einsum", " ".join("abcdefgh"), "y", equation="i,j,k,l,m,n,o,p->"),
        {name: np.ones(4096, np.float32) for name in "abcdefgh"},
    ),
    "pads that cancel out": (
        op("Pad", "a b", "y"),
        {"a": np.ones(4, np.float32), "b": np.array([2**40, -(2**40)])},
    ),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_constant_that_would_take_for_ever_is_not_computed(case: str, tmp_path: Path) -> None:
    node, tensors = ENDLESS[case]
    held = [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()]
    ledger(tmp_path, model([node], y=None, tensors=held))  # ends


def test_loops_inside_loops_are_walked_through_a_bounded_number_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine values move on by one in every round: each of 12 loops loses one of them in each of its rounds."""
    names = [f"v{index}" for index in range(9)]
    inner: list[NodeProto] = []
    for depth in range(12):
        results = [f"w{depth}_{index}" for index in range(9)]
        moved = [op("Identity", *pair) for pair in zip(names[1:], results, strict=False)]
        nodes = [op("Identity", "go", "on"), *inner, *moved, op("Concat", "v8 v8", results[-1], axis=0)]
        carried = [value(name, None) for name in names]
        inputs = [value("i", (), INT64), value("go", (), BOOL), *carried]
        outputs = [value("on", (), BOOL), *(value(name, None) for name in results)]
        body = helper.make_graph(nodes, "body", inputs, outputs)
        given = ["m", "", *(["x"] * 9 if depth == 11 else names)]
        made_by = ["y", *(f"t{depth}_{index}" for index in range(1, 9))]
        inner = [helper.make_node("Loop", given, made_by, body=body)]
    made = model(inner, y=None)
    made.graph.input.append(value("m", (), INT64))
    walked = []
    run = Walk.run
    monkeypatch.setattr(Walk, "run", lambda self, *given: (walked.append(1), run(self, *given))[1])
    ledger(tmp_path, made)
    assert len(walked) < 20_000  # each has 11 nodes; without a bound (12 + 9)! / 12! / 9! times the innermost
