"""A graph under a table: verdicts, islands and their borders, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from onnx import TensorProto, helper

import onnxlens
from onnxlens.errors import UsageError
from onnxlens.reports.tables.support import support_document, support_table
from onnxlens.specs.codec import to_text
from onnxlens.specs.support import SupportReport
from tests.profile.models import integers, op, save, save_net, value, weight

SCHEMA = Path(__file__).parents[4] / "docs" / "schemas" / "support.schema.json"


def report_of(folder: Path, graph: Path, table: str) -> SupportReport:
    file = folder / "acme.toml"
    file.write_text(table)
    found = onnxlens.support_of(str(graph), file)
    document = json.loads(to_text(support_document(found)))
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    return found


def test_a_network_without_its_pooling(tmp_path: Path) -> None:
    table = "title = 'Acme'\n" + "".join(f"[operators.{each}]\n" for each in ("Conv", "Relu", "Add", "Gemm"))
    found = report_of(tmp_path, save_net(tmp_path), table)
    # Conv Relu Conv Add Relu | GlobalAveragePool Flatten | Gemm
    assert [len(island.names) for island in found.islands] == [5, 1]
    assert found.nodes == {"accepted": 6, "refused": 2}
    body, head = found.islands
    assert (body.macs, head.macs) == (4 * 64 * 27 + 4 * 64 * 4, 8)
    # 1 x 3 x 8 x 8 in, 1 x 4 x 8 x 8 out; 1 x 4 in, 1 x 2 out; all float32
    assert (body.in_bytes, body.out_bytes) == (768, 1024)
    assert (head.in_bytes, head.out_bytes) == (16, 8)
    assert found.boundary_bytes == 768 + 1024 + 16 + 8
    assert (body.inputs, body.outputs, head.module) == (("x",), ("e",), "head")
    assert found.largest is not None and found.largest.names == body.names
    assert found.off_macs == 0
    assert [(row.op_type, row.reason) for row in found.left_out] == [
        ("GlobalAveragePool", "GlobalAveragePool is not in the table"),
        ("Flatten", "Flatten is not in the table"),
    ]


def test_macs_that_are_left_out_are_their_modules(tmp_path: Path) -> None:
    table = "[operators.Relu]\n[operators.Gemm]\n[operators.Conv]\nlimits = ['kernel == 1']"
    found = report_of(tmp_path, save_net(tmp_path), table)
    off = {row.path: row.off_macs for row in found.modules}
    assert off == {"": 6912, "stem": 6912, "relu": 0, "body.0": 0, "body.0.conv": 0, "head": 0}
    assert found.off_macs == 6912
    text = support_table(found)
    assert "87.0 %" in text  # of 6,912 + 1,024 + 8
    assert (
        support_table(found, "csv").splitlines()[0].startswith("module,class,nodes,nodes_off,macs,off_macs")
    )


def test_a_tensor_that_two_islands_read_is_handed_to_both(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Exp", "a", "b"), op("Relu", "b", "c"), op("Add", "a c", "y")]
    path = save(
        tmp_path, nodes, [value("x", (4,))], [value("y", (4,)), value("b", (4,))],
        between=[value(name, (4,)) for name in "ac"],
    )  # fmt: skip
    found = report_of(tmp_path, path, "[operators.Relu]\n[operators.Add]")
    first, last = found.islands
    assert (first.inputs, first.outputs) == (("x",), ("a",))
    assert (last.inputs, last.outputs) == (("b", "a"), ("y",))  # a skips over what is refused
    assert found.boundary_bytes == 5 * 16


def test_a_loop_is_one_thing_with_what_runs_inside(tmp_path: Path) -> None:
    body = helper.make_graph(
        [op("MatMul", "held w", "next"), op("Identity", "go", "goes")],
        "body",
        [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("held", (4, 4))],
        [value("goes", (), TensorProto.BOOL), value("next", (4, 4))],
    )
    nodes = [op("Loop", "n - x", "a", body=body), op("Relu", "a", "y")]
    path = save(
        tmp_path, nodes, [value("x", (4, 4))], [value("y", (4, 4))], [integers("n", 7), weight("w", 4, 4)],
        between=[value("a", (4, 4))],
    )  # fmt: skip
    listed = "[operators.Loop]\n[operators.Relu]\n[operators.Identity]\n"
    whole = report_of(tmp_path, path, listed + "[operators.MatMul]")
    assert [len(island.names) for island in whole.islands] == [4]
    assert (whole.islands[0].macs, whole.islands[0].in_bytes, whole.islands[0].out_bytes) == (7 * 64, 64, 64)
    without = report_of(tmp_path, path, listed)
    assert [island.names for island in without.islands] == [("node_y",)]
    assert without.off_macs == 7 * 64


def test_a_border_of_unknown_size_is_a_lower_bound(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "y")], [value("x", ("n", 4))], [value("y", ("n", 4))])
    found = report_of(tmp_path, path, "[operators.Relu]")
    assert found.islands[0].unsized == 2
    assert "? cross their borders" in support_table(found)


def test_nothing_is_accepted(tmp_path: Path) -> None:
    found = report_of(tmp_path, save_net(tmp_path), "[operators.Celu]")
    assert not found.islands and found.largest is None and found.boundary_bytes == 0
    assert found.off_macs == sum(found.macs.values())


def test_a_picture_is_colored_by_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text("title = 'Acme'\n[operators.Relu]")
    onnxlens.support_of(str(save_net(tmp_path)), tmp_path / "acme.toml", plot=tmp_path / "map.dot")
    drawn = (tmp_path / "map.dot").read_text()
    assert "operators left out on Acme" in drawn and "100 %" in drawn
    with pytest.raises(UsageError, match="cannot be drawn"):
        onnxlens.support_of("absent.onnx", tmp_path / "acme.toml", plot=tmp_path / "map.txt")
