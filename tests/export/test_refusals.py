"""What cannot be exported faithfully is not exported: the checks run, and report their findings."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

import onnxlens as api
from onnxlens.errors import ExportError, UsageError
from onnxlens.export import exporter, external_data, passes
from onnxlens.export.exported import ExportedWeights
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.manifest import ExportedGraph
from onnxlens.specs.tensor import TensorSpec
from tests.export import tiny as tiny_network
from tests.export.exports import export_spec


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            (TensorSpec("logits", "float32", (1, 36, 5)),),
            r"^tiny: the module's outputs are logits float32\(1, 36, 4\), "
            r"declared are logits float32\(1, 36, 5\)$",
        ),
        ((TensorSpec("logits", "float16", (1, 36, 4)),), r"declared are logits float16\(1, 36, 4\)$"),
        ((), r"outputs are .*float32\(1, 36, 4\), declared are none$"),
    ],
    ids=["shape", "type", "number"],
)
def test_outputs_that_are_not_the_declared_ones_are_refused_by_name(
    outputs: tuple[TensorSpec, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message):
        export_spec(replace(tiny_network.network(), outputs=outputs), tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_outputs_declared_for_one_returned_are_refused(tmp_path: Path) -> None:
    more = replace(tiny_network.network(), outputs=(tiny_network.LOGITS, TensorSpec("b", "float32", (1,))))
    with pytest.raises(ExportError, match="^tiny: "):
        export_spec(more, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_module_that_cannot_be_traced_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        ExportError, match="^tiny: torch could not trace the module: Could not guard"
    ) as error:
        export_spec(tiny_network.untraceable(), tmp_path)
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is not None
    assert capfd.readouterr() == ("", "")


class Scaled(nn.Module):
    """A linear layer times a tensor that its ``state_dict`` does not hold: a buffer that is not saved."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)
        self.make_table()

    def make_table(self) -> None:
        self.register_buffer("table", torch.ones(4), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.linear(image) * self.table


class ScaledByAttribute(Scaled):
    """A plain attribute."""

    def make_table(self) -> None:
        self.table = torch.ones(4)


class ScaledByConstant(Scaled):
    """A constant made on the way, which is part of the graph and no weight."""

    def forward(self, image: Tensor) -> Tensor:
        return self.linear(image) * torch.tensor([1.0, 2.0, 3.0, 4.0])


def scaled(module_class: type[nn.Module]) -> GraphSpec:
    logits = TensorSpec("logits", "float32", (1, 3, 6, 4))
    return replace(tiny_network.network(), factory=module_class, outputs=(logits,))


@pytest.mark.parametrize("module_class", [Scaled, ScaledByAttribute])
def test_a_tensor_that_is_not_in_the_state_dict_is_refused_by_name(
    module_class: type[nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=r"^tiny: weight 'table' is not in .*; make it a parameter or a "):
        export_spec(scaled(module_class), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_constant_that_the_forward_pass_makes_keeps_its_value(tmp_path: Path) -> None:
    exported = export_spec(scaled(ScaledByConstant), tmp_path)
    image = np.zeros((1, 3, 6, 6), np.float32)
    (logits,) = ort.InferenceSession(exported.onnx_path).run(["logits"], {"image": image})
    # of zeros the layer makes its bias
    assert np.allclose(logits[0, 0, 0], ExportedWeights(exported).read("linear.bias") * [1, 2, 3, 4])


def test_tied_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"first\.weight and second\.weight are one tensor"):
        api.export_graph("tests.export.tiny:tied", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def rename_an_operator(model: ir.Model) -> None:
    next(node for node in model.graph if node.op_type == "Conv").op_type = "Convolve"


def contradict_a_shape(model: ir.Model) -> None:
    model.graph.outputs[0].shape = ir.Shape((1, 36, 5))


def drop_an_attribute(model: ir.Model) -> None:
    transpose = next(node for node in model.graph if node.op_type == "Transpose")
    transpose.attributes["perm"] = ir.AttrInt64s("perm", [0, 1])


@pytest.mark.parametrize("corrupt", [rename_an_operator, contradict_a_shape, drop_an_attribute])
def test_a_corrupt_graph_does_not_pass_the_checker(
    corrupt: Callable[[ir.Model], None], weightless_tiny: ExportedGraph
) -> None:
    model = ir.load(weightless_tiny.onnx_path)
    passes.check_graph(model)
    corrupt(model)
    with pytest.raises(ExportError, match=r"^tiny: ONNX's checker refuses the graph: ") as error:
        passes.check_graph(model)
    assert "\n" not in str(error.value)


def test_the_exporter_asks_the_checker_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = passes.keep_module_metadata

    def keep_and_corrupt(model: ir.Model) -> None:
        keep(model)
        rename_an_operator(model)

    monkeypatch.setattr(exporter.passes, "keep_module_metadata", keep_and_corrupt)
    with pytest.raises(ExportError, match="Convolve"):
        export_spec(tiny_network.network(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_checking_leaves_the_weights_where_they_were(weightless_tiny: ExportedGraph) -> None:
    model = ir.load(weightless_tiny.onnx_path)
    before = ir.to_proto(model).SerializeToString()
    passes.check_graph(model)
    assert ir.to_proto(model).SerializeToString() == before
    assert [value.name for value in model.graph.inputs] == ["image"]


def test_a_file_whose_weights_are_missing_does_not_pass_the_checker(
    weightless_tiny: ExportedGraph, tmp_path: Path
) -> None:
    path = Path(shutil.copy(weightless_tiny.onnx_path, tmp_path))
    with pytest.raises(ExportError, match=r"^tiny\.onnx: ONNX's checker refuses the file: "):
        passes.check_file(path)


def test_a_source_of_other_shapes_than_the_graphs_is_refused(weightless_tiny: ExportedGraph) -> None:
    model = ir.load(weightless_tiny.onnx_path)
    tensors = {t.name: TensorSpec(t.name, t.dtype, t.shape) for t in weightless_tiny.manifest.tensors}
    wrong = {**tensors, "head.bias": TensorSpec("head.bias", "float32", (5,))}
    with pytest.raises(ExportError, match=r"weight 'head\.bias' is \[4\] here, head\.bias float32\(5,\) in"):
        external_data.point_at_file(model, wrong, "tiny.onnx.data")


def test_a_graph_without_module_scopes_is_refused() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    model = ir.from_proto(onnx.helper.make_model(onnx.helper.make_graph([node], "bare", ends[:1], ends[1:])))
    with pytest.raises(ExportError, match=r"^bare: the exporter wrote no module scopes"):
        passes.keep_module_metadata(model)
