"""Shapes that a file leaves out or leaves open: fixed by the user, inferred by libraries, never guessed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from onnxlens.errors import UsageError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.inference import steps
from onnxlens.specs.ledger import Ledger
from tests.profile.models import far_weight, integers, op, save, value, weight

BY_ONNX = "shapes that the file leaves out were inferred by ONNX's shape inference"
BY_FOLDING = "shapes that the file leaves out were inferred by constant folding"
BY_RUNTIME = "shapes that the file leaves out were inferred by ONNX Runtime's symbolic shape inference"


def ledger(
    path: Path, shapes: Mapping[str, Sequence[int]] | None = None, dims: Mapping[str, int] | None = None
) -> Ledger:
    return build_ledger(load_graph(path, shapes, dims))


def linear(folder: Path, rows: int | str | None = "batch") -> Path:
    """A product of (rows, 8) with an (8, 3) weight whose values are nowhere, and a Relu."""
    nodes = [op("MatMul", "x w", "a"), op("Relu", "a", "y")]
    between = [value("a", (rows, 3))]
    return save(
        folder,
        nodes,
        [value("x", (rows, 8))],
        [value("y", (rows, 3))],
        [far_weight("w", 8, 3)],
        between=between,
    )


def test_a_dynamic_batch_is_unknown_and_a_note_says_how_to_fix_it(tmp_path: Path) -> None:
    found = ledger(linear(tmp_path))
    assert found.totals.unknown_nodes == 2
    assert {node.reason for node in found.nodes} == {
        "the shape of 'x' is dynamic: ('batch', 8)", "the shape of 'a' is dynamic: ('batch', 3)",
    }  # fmt: skip
    assert ("inputs have dynamic dimensions: x (batch, 8); fix them with --dim batch=SIZE") in found.notes


@pytest.mark.parametrize(("shapes", "dims"), [({"x": (5, 8)}, {}), ({}, {"batch": 5})])
def test_a_dimension_is_fixed_by_its_name_or_by_its_input(
    tmp_path: Path, shapes: Mapping[str, Sequence[int]], dims: Mapping[str, int]
) -> None:
    found = ledger(linear(tmp_path), shapes, dims)
    assert found.totals.macs == 5 * 8 * 3
    assert found.totals.vector_ops == 5 * 3
    assert found.totals.unknown_nodes == 0
    assert [tensor.shape for tensor in (*found.modules[0].inputs, *found.modules[0].outputs)] == [
        (5, 8),
        (5, 3),
    ]
    assert not any("dynamic" in note for note in found.notes)


def test_a_dimension_without_a_name_is_fixed_by_its_input(tmp_path: Path) -> None:
    assert ledger(linear(tmp_path, None), {"x": (5, 8)}).totals.macs == 5 * 8 * 3


def test_an_input_of_unknown_rank_takes_a_shape(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "y")], [value("x", None)], [value("y", None)])
    assert ledger(path, {"x": (2, 3)}).totals.vector_ops == 6


@pytest.mark.parametrize(
    ("shapes", "dims", "says"),
    [
        ({"z": (5, 8)}, {}, r"graph\.onnx has no input 'z'; its inputs are x$"),
        ({"w": (8, 3)}, {}, r"has no input 'w'"),
        ({"x": (5, 8, 1)}, {}, r"input 'x' has 2 dimensions, its shape was given with 3: 5, 8, 1"),
        (
            {"x": (5, 9)},
            {},
            r"x is \(batch, 8\) in the file and was changed to \(5, 9\).* MatMul node_a does not fit",
        ),
        ({}, {"rows": 5}, r"has no dimension 'rows'; its inputs' dimensions are batch$"),
        ({}, {"batch": -1}, r"a dimension of -1 is no size"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, shapes: Mapping[str, Sequence[int]], dims: Mapping[str, int], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        load_graph(linear(tmp_path), shapes, dims)
    assert "\n" not in str(raised.value)


def test_a_symbol_is_fixed_in_every_shape(tmp_path: Path) -> None:
    inputs = [value("x", ("n", "k")), value("z", ("k", "n"))]
    path = save(tmp_path, [op("MatMul", "x z", "y")], inputs, [value("y", ("n", "n"))])
    assert ledger(path, dims={"n": 3, "k": 7}).totals.macs == 3 * 7 * 3


def reshaped(folder: Path, nodes: Sequence[NodeProto], *more: ValueInfoProto) -> Path:
    held = [integers("zero", 0), integers("axis", [0]), integers("rest", [-1]), weight("w", 12, 5)]
    inputs = [value("x", ("batch", 3, 4)), *more]
    return save(folder, nodes, inputs, [value("y", None)], held, opsets={"": 18, "com.microsoft": 1})


FLATTEN = [
    op("Shape", "x", "shape"),
    op("Gather", "shape zero", "n", axis=0),
    op("Unsqueeze", "n axis", "n1"),
    op("Concat", "n1 rest", "target", axis=0),
    op("Reshape", "x target", "flat"),
    op("MatMul", "flat w", "y"),
]


def test_a_shape_that_is_computed_from_a_shape_is_propagated(tmp_path: Path) -> None:
    found = ledger(reshaped(tmp_path, FLATTEN), dims={"batch": 6})
    assert found.totals.macs == 6 * 12 * 5
    assert found.totals.unknown_nodes == 0
    assert BY_ONNX in found.notes


def test_what_propagation_cannot_follow_is_folded(tmp_path: Path) -> None:
    nodes = [
        op("Shape", "x", "shape"),
        op("ReduceProd", "shape", "all", keepdims=1),  # data propagation does not multiply
        op("Reshape", "x all", "flat"),
        op("Relu", "flat", "y"),
    ]
    found = ledger(reshaped(tmp_path, nodes), dims={"batch": 6})
    assert found.nodes[-1].vector_ops == 6 * 3 * 4
    assert BY_FOLDING in found.notes


def test_a_shape_behind_a_folded_shape_is_folded_in_turn(tmp_path: Path) -> None:
    nodes = [
        op("Shape", "x", "s1"), op("ReduceProd", "s1", "all", keepdims=1), op("Reshape", "x all", "flat"),
        op("Shape", "flat", "s2"), op("Mul", "s2 s2", "square"), op("Expand", "zero square", "many"),
        op("Neg", "many", "y"),
    ]  # fmt: skip
    found = ledger(reshaped(tmp_path, nodes), dims={"batch": 1})
    assert found.nodes[-1].vector_ops == 12 * 12


def test_operators_of_onnx_runtime_are_inferred_by_onnx_runtime(tmp_path: Path) -> None:
    nodes = [
        op("UnfoldTensor", "x", "a", domain="com.microsoft", dim=2, size=2, step=1),
        op("Relu", "a", "y"),
    ]
    found = ledger(reshaped(tmp_path, nodes), {"x": (2, 3, 4)})
    assert found.nodes[-1].vector_ops == 2 * 3 * 3 * 2  # windows 01, 12, 23 of an axis of 4
    assert BY_RUNTIME in found.notes
    assert not list(Path.cwd().glob("sym_shape_infer_temp*"))


def test_what_depends_on_data_stays_unknown_by_node(tmp_path: Path) -> None:
    nodes = [op("NonZero", "x", "found"), op("Neg", "found", "y")]
    found = ledger(save(tmp_path, nodes, [value("x", (5, 8))], [value("y", None)]))
    assert [node.status for node in found.nodes] == ["unknown", "unknown"]
    assert all("is dynamic" in node.reason for node in found.nodes)


def test_a_library_that_fails_is_noted_and_the_next_one_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*anything: object) -> None:
        raise RuntimeError("cannot\nat all")

    failing = {**steps.STEPS, "ONNX's shape inference": fails}
    monkeypatch.setattr(steps, "STEPS", failing)
    found = ledger(reshaped(tmp_path, FLATTEN), dims={"batch": 6})
    assert "ONNX's shape inference failed: cannot" in found.notes
    assert found.totals.macs == 6 * 12 * 5


def test_a_large_file_gets_no_slow_inference_and_a_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "SLOW_INFERENCE_NODES", 1)
    nodes = [op("NonZero", "x", "a"), op("Unfold", "a", "y", domain="com.microsoft")]
    path = save(tmp_path, nodes, [value("x", (2,))], [value("y", None)])
    said = "ONNX Runtime's symbolic shape inference was not tried: the file has more than 1 nodes"
    assert said in ledger(path).notes


def test_a_value_that_decides_a_shape_is_fixed(tmp_path: Path) -> None:
    nodes = [op("Expand", "x size", "a"), op("Neg", "a", "y")]
    inputs = [value("x", (1, 3)), value("size", (2,), TensorProto.INT64)]
    path = save(tmp_path, nodes, inputs, [value("y", None)])
    assert ledger(path).totals.unknown_nodes == 2
    graph = load_graph(path, values={"size": (5, 3)})
    found = build_ledger(graph)
    assert found.nodes[-1].vector_ops == 15
    assert [tensor.name for tensor in found.modules[0].inputs] == ["x"]
    assert graph.given["size"].tolist() == [5, 3]


def test_a_value_that_is_given_is_not_a_parameter(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Add", "x z", "y")], [value("x", (3,)), value("z", (3,))], [value("y", (3,))])
    graph = load_graph(path, values={"z": (0.5, 1, 2)})
    assert build_ledger(graph).totals.params == 0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"w": (1,)}, r"graph\.onnx has no input 'w'; its inputs are x, size"),
        ({"size": (1, 2, 3)}, r"input 'size' is int64\(2,\) and cannot be 1, 2, 3"),
        ({"x": (1, 2)}, r"input 'x' is float32\(1, 3\) and cannot be 1, 2"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, values: Mapping[str, Sequence[int]], says: str
) -> None:
    inputs = [value("x", (1, 3)), value("size", (2,), TensorProto.INT64)]
    path = save(tmp_path, [op("Expand", "x size", "y")], inputs, [value("y", None)])
    with pytest.raises(UsageError, match=says):
        load_graph(path, values=values)


def test_a_file_with_all_shapes_is_not_inferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEPS", {"none": lambda *anything: pytest.fail("inferred")})
    assert ledger(linear(tmp_path, 2)).totals.macs == 2 * 8 * 3


def test_an_external_weight_is_never_read(tmp_path: Path) -> None:
    """Inference does not need it: the data file does not exist."""
    path = linear(tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    assert ledger(path, dims={"batch": 2}).totals.params == 24


def test_large_constants_are_left_out_of_inference(tmp_path: Path) -> None:
    big = helper.make_node("Constant", [], ["c"], value=weight("v", 100, 100))
    nodes = [big, op("Add", "x c", "a"), op("Relu", "a", "y")]
    found = ledger(save(tmp_path, nodes, [value("x", ("n", 100))], [value("y", None)]), dims={"n": 100})
    assert found.nodes[-1].vector_ops == 10_000


def test_a_data_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = save(
        tmp_path, [op("MatMul", "x w", "y")], [value("x", ("n", 8))], [value("y", None)],
        [far_weight("w", 8, 100_000_000)],
    )  # fmt: skip
    with (tmp_path / "absent.onnx.data").open("wb") as file:
        file.truncate(4 * 8 * 100_000_000)  # 3.2 GB of nothing: reading them would take them into memory
    tracemalloc.start()
    found = ledger(path, dims={"n": 2})
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.totals.macs == 2 * 8 * 100_000_000
    assert found.totals.resident_weight_bytes == 3_200_000_000
    assert peak_bytes < 50_000_000
