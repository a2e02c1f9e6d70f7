from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import NodeProto, TensorProto

from onnxlens.profile.count.parameters import first_use_params, parameter_sizes
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.manifest import StateTensor
from tests.profile.models import (
    far_weight,
    integers,
    ledger_of,
    op,
    save,
    save_net,
    value,
    weight,
    write_manifest,
)


def by_module(ledger: Ledger) -> dict[str, int]:
    return {module.path: module.params for module in ledger.modules}


def shared_weight_net(folder: Path) -> Path:
    """Two products with one weight, in two modules; a transposed copy of it in a third."""
    nodes = [
        op("MatMul", "x w", "a", "first"),
        op("MatMul", "a w", "b", "second"),
        op("Transpose", "w", "wt", "third", perm=[1, 0]),
        op("MatMul", "b wt", "y", "third"),
    ]
    between = [value(name, (2, 3)) for name in "ab"] + [value("wt", (3, 3))]
    return save(
        folder, nodes, [value("x", (2, 3))], [value("y", (2, 3))], [far_weight("w", 3, 3)], between=between
    )


def test_a_shared_weight_counts_once_where_it_is_used_first(tmp_path: Path) -> None:
    graph, ledger = ledger_of(shared_weight_net(tmp_path))
    assert parameter_sizes(graph) == {"w": 9}
    assert by_module(ledger) == {"": 9, "first": 9, "second": 0, "third": 0}
    assert ledger.totals.params == sum(node.params for node in ledger.nodes) == 9


def test_a_shared_weight_is_resident_once_and_read_by_each_user(tmp_path: Path) -> None:
    _, ledger = ledger_of(shared_weight_net(tmp_path))
    assert ledger.totals.weight_read_bytes == 3 * 9 * 4
    assert (
        ledger.totals.resident_weight_bytes == 2 * 9 * 4
    )  # w, and its transposed copy, made before run time
    resident = {module.path: module.resident_weight_bytes for module in ledger.modules}
    assert resident == {"": 72, "first": 36, "second": 36, "third": 36}


def test_a_transposed_weight_belongs_to_the_node_that_uses_the_result(tmp_path: Path) -> None:
    nodes = [
        op("Transpose", "w", "wt", "made", perm=[1, 0]),
        op("Mul", "wt wt", "squared", "made"),
        op("MatMul", "x squared", "y", "user"),
    ]
    between = [value("wt", (3, 4)), value("squared", (3, 4))]
    path = save(
        tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 4))], [weight("w", 4, 3)], between=between
    )
    graph, ledger = ledger_of(path)
    assert first_use_params(graph) == {2: 12}
    assert by_module(ledger)["user"] == 12


def test_a_weight_that_no_node_uses_counts_for_the_model_where_its_name_says_so(tmp_path: Path) -> None:
    weights = [weight("w", 3, 4), weight("idle.weight", 7), weight("idle", 5)]
    path = save(
        tmp_path, [op("MatMul", "x w", "y", "user")], [value("x", (2, 3))], [value("y", (2, 4))], weights
    )
    _, ledger = ledger_of(path)
    assert by_module(ledger) == {"": 12 + 7, "user": 12}


def test_the_manifest_gives_params_by_their_module_in_the_state_dict(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    unused = StateTensor("unused.weight", "float32", (5, 2), "parameter")
    write_manifest(path, unused, StateTensor("body.0.steps", "int64", (3,), "buffer"))
    _, ledger = ledger_of(path)
    # stem 4 x 27 + 4; conv 4 x 4; head 2 x 4 + 2; a Linear that the forward pass never calls
    assert by_module(ledger) == {
        "": 112 + 16 + 10 + 10, "stem": 112, "relu": 0,
        "body.0": 16, "body.0.conv": 16, "head": 10, "unused": 10,
    }  # fmt: skip
    assert ledger.totals.params == 148
    assert ledger.totals.buffers == 3


def test_a_module_that_never_runs_has_a_last_row_without_an_order(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    write_manifest(path, StateTensor("unused.weight", "float32", (5, 2), "parameter"))
    last = ledger_of(path)[1].modules[-1]
    assert (last.path, last.class_name, last.order, last.operators) == ("unused", "Linear", 0, {})
    assert (last.macs, last.live_bytes, last.inputs, last.outputs) == (0, 0, (), ())


def test_parameters_that_the_file_does_not_hold_are_noted(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    write_manifest(path, StateTensor("unused.weight", "float32", (100, 20), "parameter"))
    _, ledger = ledger_of(path)
    assert ledger.notes == (
        "the forward pass uses 138 of the module's 2,138 parameters; the file holds those",
    )


def test_a_file_that_holds_all_parameters_has_nothing_to_note(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    write_manifest(path)
    assert ledger_of(path)[1].notes == ()


def test_with_a_manifest_only_its_parameters_are_parameters(tmp_path: Path) -> None:
    nodes = [op("Gemm", "x head.weight", "a", "head", transB=1), op("Mul", "a table", "y", "head")]
    weights = [weight("head.weight", 2, 4), weight("table", 2)]
    path = save(
        tmp_path, nodes, [value("x", (2, 4))], [value("y", (2, 2))], weights, between=[value("a", (2, 2))]
    )
    write_manifest(path)
    graph, _ = ledger_of(path)
    assert parameter_sizes(graph) == {"head.weight": 8}
    assert list(graph.constants) == ["table"]


def tied_net(folder: Path, *between: NodeProto, second: Sequence[TensorProto] = ()) -> Ledger:
    """An embedding of 50 rows of 4, and a product with the table transposed, which these nodes make."""
    nodes = [op("Gather", "emb.weight ids", "h"), *between, op("MatMul", "h t", "y")]
    ends = [value("ids", (1, 5), TensorProto.INT64)], [value("y", (1, 5, 50))]
    return ledger_of(save(folder, nodes, *ends, [weight("emb.weight", 50, 4), *second]))[1]


def test_a_table_that_is_used_transposed_too_counts_once(tmp_path: Path) -> None:
    turned = op("Transpose", "r", "t", perm=[1, 0])
    for between in (
        [op("Identity", "emb.weight", "r"), turned],
        [op("Cast", "emb.weight", "c", to=TensorProto.FLOAT), op("Identity", "c", "r"), turned],
        [op("Unsqueeze", "emb.weight axis", "u"), op("Squeeze", "u axis", "r"), turned],
    ):
        ledger = tied_net(tmp_path, *between, second=[integers("axis", [0])])
        assert ledger.totals.params == 50 * 4
        assert not any("both count" in note for note in ledger.notes)


def test_a_table_that_the_file_has_twice_counts_twice_and_a_note_says_so(tmp_path: Path) -> None:
    ledger = tied_net(tmp_path, second=[weight("t", 4, 50)])
    assert ledger.totals.params == 2 * 50 * 4
    assert any("emb.weight and t both count" in note for note in ledger.notes)


def test_a_weight_under_several_names_is_resident_once(tmp_path: Path) -> None:
    nodes = [
        op("MatMul", "x w", "a"),
        op("Identity", "w", "w2"),
        op("MatMul", "a w2", "b"),
        op("Unsqueeze", "w2 axis", "w3"),
        op("MatMul", "b w3", "y"),
    ]
    held = [weight("w", 8, 8), integers("axis", [0])]
    _, ledger = ledger_of(save(tmp_path, nodes, [value("x", (2, 8))], [value("y", (1, 2, 8))], held))
    assert ledger.totals.resident_weight_bytes == 64 * 4
    assert ledger.totals.weight_read_bytes == 3 * 64 * 4
