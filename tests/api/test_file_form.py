"""Files as other tools want them: weights inside, another producer, a dialect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlens
from onnxlens.api.file_form import FileForm, export_form
from onnxlens.cli.main import run
from onnxlens.errors import UsageError
from onnxlens.profile.subgraph import one_file
from onnxlens.specs.ledger import Ledger
from tests.export import tiny
from tests.small_catalog import names_in

K230 = FileForm(dialect="k230")


def macs_by_module(ledger: Ledger) -> dict[str, int]:
    return {row.path: row.macs for row in ledger.modules if row.macs}


def test_a_single_file_holds_its_weights_and_agrees_with_pytorch(tmp_path: Path) -> None:
    form = FileForm(single=True, producer="pytorch")
    formed = export_form(tiny.TARGET, tmp_path / "out", form)
    assert names_in(tmp_path / "out") == ["tiny.json", "tiny.onnx"]
    assert formed.files == (tmp_path / "out" / "tiny.onnx", tmp_path / "out" / "tiny.json")
    model = onnx.load(formed.files[0], load_external_data=False)
    assert model.producer_name == "pytorch"
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert onnxlens.check_graph(formed.files[0]).passed


def test_a_dialect_keeps_weights_beside_it_modules_and_numbers(tmp_path: Path) -> None:
    plain = onnxlens.export_graph(tiny.TARGET, tmp_path / "plain")
    formed = export_form(tiny.TARGET, tmp_path / "out", K230)
    assert names_in(tmp_path / "out") == ["tiny.json", "tiny.onnx", "tiny.onnx.data"]
    assert onnxlens.check_graph(formed.files[0]).passed
    assert macs_by_module(onnxlens.profile_graph(formed.files[0])) == macs_by_module(
        onnxlens.profile_graph(plain.onnx_path)
    )


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A file without metadata, whose nodes' names tell their modules, of a dynamic batch."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="/block/fc/MatMul"),
        helper.make_node("LayerNormalization", ["a", "s"], ["b"], name="/block/norm/LayerNormalization"),
        helper.make_node("Einsum", ["b", "w"], ["c"], name="/head/Einsum", equation="bi,ij->bj"),
        helper.make_node("Det", ["w"], ["d"], name="/head/Det"),
        helper.make_node("Mul", ["c", "d"], ["y"], name="/head/Mul"),
    ]
    weights = [
        numpy_helper.from_array(np.eye(4, dtype=np.float32) * 2, "w"),
        numpy_helper.from_array(np.arange(4, dtype=np.float32), "s"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", 4)) for name in "xy"]
    graph = helper.make_graph(nodes, "named", ends[:1], ends[1:], weights)
    path = tmp_path / "named.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_a_plain_file_keeps_its_modules_and_its_macs_at_the_sizes_given(named: Path, tmp_path: Path) -> None:
    settings = onnxlens.Settings(dims={"batch": 3})
    formed = export_form(named, tmp_path / "out", K230, settings)
    assert names_in(tmp_path / "out") == ["named.onnx"] and formed.replaced == 2
    ours, theirs = onnxlens.profile_graph(formed.files[0]), onnxlens.profile_graph(named, settings)
    assert ours.totals.macs == 2 * 3 * 4 * 4
    assert macs_by_module(ours) == macs_by_module(theirs) == {"": 96, "block": 48, "block.fc": 48, "head": 48}


def test_what_the_tool_does_not_take_is_told_with_its_module_and_exits_with_1(
    named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(named), "--dim", "batch=3", "--dialect", "k230", "--out", str(tmp_path / "out")]
    assert run(command) == 1
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / "out" / "named.onnx")]
    assert "k230 takes no Det: 1 nodes, the first /head/Det in head" in err


@pytest.mark.parametrize(
    ("form", "out", "settings", "message"),
    [
        (FileForm(single=True), ".", onnxlens.Settings(), "is the folder of .*choose another --out"),
        (FileForm(dialect="tpu"), "out", onnxlens.Settings(), "there is no dialect 'tpu'; there is k230"),
        (FileForm(single=True), "out", onnxlens.Settings(dims={"b": 1}), "has no dimension 'b'"),
    ],
    ids=["folder", "dialect", "dimension"],
)
def test_what_cannot_be_written_is_refused(
    named: Path, form: FileForm, out: str, settings: onnxlens.Settings, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_form(named, named.parent / out, form, settings)


def test_a_single_file_needs_weights_and_is_smaller_than_a_protobuf_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = FileForm(single=True)
    with pytest.raises(UsageError, match="without weights there is nothing to put into a single file"):
        export_form(tiny.TARGET, tmp_path / "out", form, onnxlens.Settings(weights="none"))
    monkeypatch.setattr(one_file, "ONE_FILE_BYTES", 1000)
    with pytest.raises(UsageError, match="more than the 2 GiB of one file"):
        export_form(tiny.TARGET, tmp_path / "out", form)
    assert not (tmp_path / "out").exists()
