"""What cannot be exported faithfully is not exported: the checks run, and report their findings."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from onnxlens.errors import ExportError, UsageError
from onnxlens.export import exporter, external_data, passes
from onnxlens.export.network import Network
from onnxlens.export.tracing import why_not
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
    ],
    ids=["shape", "type"],
)
def test_outputs_that_are_not_the_declared_ones_are_refused_by_name(
    outputs: tuple[TensorSpec, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message):
        export_spec(replace(tiny_network.network(), outputs=outputs), tmp_path)
    assert not list(tmp_path.iterdir())


class OwnCall(nn.Linear):
    """Called without ``forward``; the others also change what it returns."""

    def __call__(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight)


class Doubled(nn.Linear):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x) * 2


class Raised(nn.Linear):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x).abs()


class Typed(nn.Linear):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x)


def called(kind: type[nn.Linear]) -> GraphSpec:
    inputs = (TensorSpec("x", "float32", (1, 3)),)
    return GraphSpec("called", "user", lambda: kind(3, 2), inputs, (), {"x": (0.0, 1.0)})


@pytest.mark.parametrize("kind", [OwnCall, Doubled, Raised])
def test_a_class_with_a_call_of_its_own_is_refused_with_the_remedy(
    kind: type[nn.Linear], tmp_path: Path
) -> None:
    with pytest.raises(ExportError) as error:
        export_spec(called(kind), tmp_path)
    assert str(error.value) == (
        f"called: {kind.__name__} has a __call__ of its own, and what is exported is what forward returns; "
        "write as forward what its __call__ does, and leave __call__ to nn.Module"
    )
    export_spec(called(Typed), tmp_path)  # one that only has types for a checker hides nothing


def test_two_outputs_declared_for_one_returned_are_refused(tmp_path: Path) -> None:
    more = replace(tiny_network.network(), outputs=(tiny_network.LOGITS, TensorSpec("b", "float32", (1,))))
    with pytest.raises(ExportError, match=r"^tiny: the module's outputs are .*, declared are logits, b; "):
        export_spec(more, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_module_that_cannot_be_traced_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        ExportError,
        match=r"^tiny: the module's code .* only the values of a run decide \(tiny.py:\d+: if image.sum",
    ) as error:
        export_spec(tiny_network.untraceable(), tmp_path)
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is not None
    assert capfd.readouterr() == ("", "")


class OnMeta(nn.Module):
    """Scales by a tensor that its constructor makes without values, and that no file of weights holds."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.ones(4, device="meta")
        self.linear = nn.Linear(6, 4)

    def forward(self, image: Tensor) -> Tensor:
        return self.linear(image) * self.table


def with_module(factory: Callable[[], nn.Module]) -> GraphSpec:
    logits = TensorSpec("logits", "float32", (1, 3, 6, 4))
    return replace(tiny_network.network(), factory=factory, outputs=(logits,))


def test_a_constant_without_a_value_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"^tiny: 'table' is not in the module's state_dict, and the factory"
    ):
        export_spec(with_module(OnMeta), tmp_path)
    assert not list(tmp_path.iterdir())


@torch.library.custom_op("onnxlens_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return x * 2


@twice.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return twice(x)


class Singular(nn.Module):
    """Calls what torch takes apart into an operator of another name."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x)


@pytest.mark.parametrize(
    ("layer", "operator"), [(Twice, "onnxlens_tests.twice"), (Singular, "aten._linalg_svd")]
)
def test_an_operator_that_the_exporter_lacks_is_named_and_so_is_its_module(
    layer: type[nn.Module], operator: str, tmp_path: Path
) -> None:
    spec = with_module(lambda: nn.Sequential(nn.Linear(6, 4), nn.Sequential(layer())))
    with pytest.raises(ExportError) as caught:
        export_spec(
            replace(
                spec, inputs=(replace(tiny_network.IMAGE, name="input"),), input_ranges={"input": (0, 1)}
            ),
            tmp_path,
        )
    assert str(caught.value) == (
        f"tiny: torch's exporter has no ONNX form of the operator {operator} (used by 1.0); "
        "replace it in the module with operators that it has"
    )


def test_weights_that_torch_has_packed_are_refused_with_what_to_do() -> None:
    error = RuntimeError("__torch__.torch.classes.quantized.LinearPackedParamsBase does not have a field")
    assert "packed by torch.ao.quantization, which ONNX has no form of; export the float" in why_not(
        error, None
    )


def fails() -> nn.Module:
    raise KeyError("depth")


BAD_FACTORIES: dict[str, tuple[Callable[[], object], str]] = {
    "raises": (fails, "graph 'tiny': its factory raised KeyError: 'depth'"),
    "scripted": (
        lambda: torch.jit.script(nn.Linear(6, 4)),
        "graph 'tiny': its factory returns a scripted module; return the nn.Module itself",
    ),
    "scripted inside": (
        lambda: nn.Sequential(nn.ReLU(), torch.jit.script(nn.Linear(6, 4))),
        "graph 'tiny': its factory has a scripted module at '1'; keep the nn.Module itself",
    ),
    "number": (lambda: 3, "graph 'tiny': its factory returns int, expected an nn.Module or a function"),
    "class": (lambda: OnMeta, "graph 'tiny': its factory returns type, expected an nn.Module or a function"),
}


@pytest.mark.parametrize("kind", BAD_FACTORIES)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_factory_that_makes_no_module_is_refused(kind: str) -> None:
    factory, message = BAD_FACTORIES[kind]
    with pytest.raises(UsageError) as caught:
        Network(with_module(factory))  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_an_input_without_a_size_is_refused() -> None:
    image = TensorSpec("image", "float32", ("N", 3, 6, 6))
    with pytest.raises(UsageError, match=r"input image float32\(N, 3, 6, 6\) has a symbol in its shape"):
        Network(replace(tiny_network.network(), inputs=(image,)))


def test_an_output_with_the_name_of_a_weight_is_refused() -> None:
    outputs = (replace(tiny_network.LOGITS, name="head.bias"),)
    with pytest.raises(UsageError, match=r"'head\.bias' is an entry of the module's state_dict too"):
        Network(replace(tiny_network.network(), outputs=outputs))


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
