"""Sizes that a user gives: what names stand for, what follows from them, and what the file fixes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, ValueInfoProto, helper

from onnxlens.errors import UsageError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.dimensions.expressions import evaluated, names_in
from tests.profile.models import integers, op, save, value, weight

TOTAL = "past + seq"
Sizes = Mapping[str, Sequence[int]]


def attention(folder: Path) -> Path:
    """Scores of (batch, seq, past + seq) by values of (batch, past + seq, 16); and a past."""
    inputs = [
        value("s", ("batch", "seq", TOTAL)),
        value("v", ("batch", TOTAL, 16)),
        value("p", ("batch", "past")),
    ]
    nodes = [op("MatMul", "s v", "y"), op("Relu", "p", "z")]
    return save(folder, nodes, inputs, [value("y", None), value("z", None)])


@pytest.mark.parametrize(
    ("shapes", "dims"),
    [
        ({}, {"batch": 2, "seq": 3, "past": 5}),
        ({"p": (2, 5)}, {"seq": 3}),
        ({"s": (2, 3, 8)}, {"past": 5}),
        ({"v": (2, 8, 16), "p": (2, 5)}, {"seq": 3}),
        ({}, {"batch": 2, "seq": 3, "past": 5, TOTAL: 8}),
        ({"s": (2, 3, 8), "v": (2, 8, 16), "p": (2, 5)}, {"seq": 3}),
    ],
)
def test_a_name_has_one_size_wherever_it_stands(
    tmp_path: Path, shapes: Sizes, dims: Mapping[str, int]
) -> None:
    ledger = build_ledger(load_graph(attention(tmp_path), shapes, dims))
    assert (ledger.totals.macs, ledger.totals.unknown_nodes) == (2 * 3 * 8 * 16, 0)


@pytest.mark.parametrize(
    ("shapes", "dims", "says"),
    [
        ({"p": (2, 5)}, {"batch": 3}, "dimension 'batch' is 3 by --dim batch=3 and 2 by the shape of 'p'"),
        ({"p": (2, 5), "s": (3, 1, 6)}, {}, "'batch' is 2 by the shape of 'p' and 3 by the shape of 's'"),
        (
            {"s": (2, 3, 9)},
            {"past": 5},
            "dimension 'past . seq' is 9 by the shape of 's' and 8 by",
        ),
        (
            {},
            {"nothing": 5},
            "no dimension 'nothing'; its inputs' dimensions are batch, past, past . seq, seq",
        ),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(
    tmp_path: Path, shapes: Sizes, dims: Mapping[str, int], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        load_graph(attention(tmp_path), shapes, dims)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("symbol", "size"),
    [
        ("h", 7), ("h + w", 10), ("2*h - w", 11), ("h//2 + 1", 4), ("floor(h/2)", 3), ("ceiling(h/2)", 4),
        ("Max(h, w)", 7), ("min(h, w)*2", 6), ("-(w - h)", 4),
        ("h/2", None), ("w - h", None), ("h//0", None), ("h + other", None), ("h ** w", None), ("h.w", None),
        ("exit(h)", None), ("DynamicDimension.0", None), ("a b", None),
    ],
)  # fmt: skip
def test_a_size_that_is_computed_from_others(symbol: str, size: int | None) -> None:
    assert evaluated(symbol, {"h": 7, "w": 3}) == size


def test_the_names_in_a_dimension() -> None:
    assert names_in("floor(h/2) + w") == {"h", "w"}
    assert names_in("unk 0") == {"unk 0"}


def test_dimensions_without_a_name_are_of_their_own(tmp_path: Path) -> None:
    """Some exporters write the same text where they know no name."""
    inputs = [value("x", ("?", 4, "?")), value("z", ("None", "?"))]
    path = save(tmp_path, [op("Relu", "x", "a"), op("Relu", "z", "b")], inputs, [value("a", None)])
    graph = load_graph(path, {"x": (2, 4, 3)})
    assert [tensor.shape for tensor in graph.inputs] == [(2, 4, 3), ("None", "?")]


def fixed(folder: Path, *after: onnx.NodeProto) -> Path:
    """A file of a batch of 1 that declares all of its shapes."""
    nodes = [op("Conv", "x w", "a", kernel_shape=[3, 3]), op("Relu", "a", "b"), *after]
    between = [value("a", (1, 4, 6, 6)), value("b", (1, 4, 6, 6))]
    held = [weight("w", 4, 3, 3, 3), integers("flat", [1, 144])]
    return save(
        folder,
        nodes,
        [value("x", (1, 3, 8, 8))],
        [value(nodes[-1].output[0], (1, 144))],
        held,
        between=between,
    )


def test_a_size_that_the_file_fixes_is_changed_and_a_note_says_so(tmp_path: Path) -> None:
    graph = load_graph(fixed(tmp_path, op("Flatten", "b", "y")), {"x": (5, 3, 10, 8)})
    ledger = build_ledger(graph)
    # 5 images of 8 x 6 positions, 4 channels, each a sum over 3 channels of 3 x 3 taps
    assert ledger.totals.macs == 5 * (8 * 6) * 4 * (3 * 9)
    assert graph.outputs[0].shape == (5, 4 * 8 * 6)
    said = "input x is (1, 3, 8, 8) in the file and was changed to (5, 3, 10, 8): shapes were inferred anew"
    assert said in ledger.notes


def test_a_size_that_the_file_says_too_changes_nothing(tmp_path: Path) -> None:
    graph = load_graph(fixed(tmp_path, op("Flatten", "b", "y")), {"x": (1, 3, 8, 8)})
    assert graph.notes == ()


def test_a_size_that_the_file_cannot_take_is_refused(tmp_path: Path) -> None:
    path = fixed(tmp_path, op("Reshape", "b flat", "y"))
    says = "changed to .2, 3, 8, 8.: .* and Reshape node_y makes 144 elements of 288; keep what"
    with pytest.raises(UsageError, match=says):
        load_graph(path, {"x": (2, 3, 8, 8)})


def test_tensors_in_a_sequence_are_given_their_size(tmp_path: Path) -> None:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, ("batch", 4))
    listed = helper.make_value_info("s", helper.make_sequence_type_proto(kind))
    maybe = helper.make_value_info("o", helper.make_optional_type_proto(kind))
    nodes = [op("SequenceAt", "s first", "a"), op("OptionalGetElement", "o", "b"), op("MatMul", "a w", "y")]
    outputs = [value("y", None), value("b", None)]
    path = save(tmp_path, nodes, [listed, maybe], outputs, [integers("first", 0), weight("w", 4, 3)])
    ledger = build_ledger(load_graph(path, {"s": (2, 4)}))
    assert (ledger.totals.macs, ledger.totals.unknown_nodes) == (2 * 4 * 3, 0)


def test_operators_that_the_opset_does_not_have_are_noted(tmp_path: Path) -> None:
    nodes = [
        op("Gelu", "x", "a"),
        op("Swish", "a", "b"),
        op("LayerNormalization", "b g", "y"),
        op("Relu", "y", "z"),
    ]
    path = save(
        tmp_path, nodes, [value("x", (2, 3))], [ValueInfoProto(name="z")], [weight("g", 3)], opsets={"": 13}
    )
    notes = build_ledger(load_graph(path)).notes
    # ONNX Runtime has a LayerNormalization of its own before opset 17
    newer = "Gelu (since 20), Swish (since 24)"
    assert f"opset 13 of ai.onnx does not have {newer}: taken as in the first opset that has it" in notes
    assert load_graph(path).outputs[0].shape == (2, 3)


def test_inference_imports_no_pytorch(tmp_path: Path) -> None:
    """UnfoldTensor is inferred by a module of ONNX Runtime, whose package imports it."""
    nodes = [op("UnfoldTensor", "x", "y", domain="com.microsoft", dim=1, size=2, step=1)]
    path = save(
        tmp_path, nodes, [value("x", (2, 3))], [ValueInfoProto(name="y")], opsets={"": 18, "com.microsoft": 1}
    )
    program = (
        "import sys; from pathlib import Path; from onnxlens.profile.graph.loading import load_graph; "
        f"assert load_graph(Path({str(path)!r})).outputs[0].shape == (2, 2, 2); "
        "assert 'sympy' in sys.modules and not {'torch', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_external_data_without_a_length_is_read(tmp_path: Path) -> None:
    """The format lets a file leave it out: the length then follows from the tensor."""
    shape = TensorProto(
        name="shape", data_type=TensorProto.INT64, dims=[2], data_location=TensorProto.EXTERNAL
    )
    for key, text in (("location", "made.data"), ("offset", "8")):
        shape.external_data.add(key=key, value=text)
    (tmp_path / "made.data").write_bytes(b"".join(number.to_bytes(8, "little") for number in (9, 3, 8, 7)))
    path = save(tmp_path, [op("Reshape", "x shape", "y")], [value("x", (2, 12))], [value("y", None)], [shape])
    assert load_graph(path).outputs[0].shape == (3, 8)
