"""What a user's module computes is what its file computes, and what ``check`` compares the file with.

The reference is the module itself, made by its factory and called as its author calls it, with the weights
that stand in the file: neither building, binding nor filling is the library's.
"""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

import onnxlens
from onnxlens.errors import UsageError
from onnxlens.export.network import Network
from onnxlens.reference_model.weights.choice import SeededWeights
from onnxlens.specs.manifest import ExportedGraph
from tests.export import factory_nets
from tests.export.factory_nets import CASES, Case

TOLERANCE = {"half": 2e-3}


def module_of(made: Any) -> nn.Module | None:
    """The module in what a factory makes, if there is one."""
    if isinstance(made, nn.Module):
        return made
    owner = getattr(made, "__self__", None)
    cells = [cell.cell_contents for cell in getattr(made, "__closure__", None) or ()]
    return next((found for found in (owner, *cells) if isinstance(found, nn.Module)), None)


def stored(path: Path) -> dict[str, torch.Tensor]:
    """The values in the file, by name."""
    return {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(path).graph.initializer
    }


def with_stored_weights(case: Case, path: Path) -> Any:
    """What the factory makes, its parameters and running statistics being those in the file."""
    made = factory_nets.plain(case.factory())
    if (module := module_of(made)) is None:
        return made
    held = stored(path)
    prefix = "" if made is module or hasattr(made, "__self__") else "layer."  # a closure's name for it
    entries = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    with torch.no_grad():
        for name, tensor in entries.items():
            trained = tensor.requires_grad or name.rpartition(".")[2].startswith("running_")
            if trained:
                values = held[prefix + name]
                tensor.copy_(torch.view_as_complex(values) if tensor.is_complex() else values)
    return made


def sample(tensor: onnxlens.TensorSpec) -> torch.Tensor:
    draw = torch.Generator().manual_seed(len(tensor.name))
    sizes = tuple(map(int, tensor.shape))
    if tensor.dtype == "bool":
        return torch.ones(sizes, dtype=torch.bool)
    if tensor.dtype == "int64":
        return torch.randint(2, 9, sizes, generator=draw)
    return torch.randn(sizes, generator=draw).to(getattr(torch, tensor.dtype))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The seeded export of a case; each is made once."""
    made: dict[str, ExportedGraph] = {}

    def export(name: str) -> ExportedGraph:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = onnxlens.export_graph(f"tests.export.factory_nets:{name}", folder)
        return made[name]

    return export


@pytest.mark.parametrize("name", CASES)
def test_the_file_computes_what_the_module_computes(name: str, exported: Any) -> None:
    case, path = CASES[name], exported(name).onnx_path
    given = {tensor.name: sample(tensor) for tensor in case.inputs}
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {key: value.numpy() for key, value in given.items()})
    with torch.no_grad():
        returned = case.call(with_stored_weights(case, path), given)
    names = [output.name for output in session.get_outputs()]
    assert names == list(case.outputs or names)
    for value, tensor in zip(found, returned, strict=True):
        reference = tensor.detach().numpy()
        assert value.dtype == reference.dtype
        assert np.allclose(value, reference, rtol=1e-5, atol=TOLERANCE.get(name, 1e-5))
        assert value.size == 1 or np.ptp(value) > 0  # all equal, they would hide a swap


@pytest.mark.parametrize("name", CASES)
def test_check_agrees(name: str, exported: Any) -> None:
    settings = onnxlens.Settings(factory=f"tests.export.factory_nets:{name}")
    assert onnxlens.check_graph(exported(name).onnx_path, settings).passed


@pytest.mark.parametrize("name", CASES)
def test_each_parameter_is_counted_once(name: str, exported: Any) -> None:
    module = module_of(CASES[name].factory())
    own = sum(p.numel() for p in module.parameters()) if module is not None else 0
    assert CASES[name].params == own
    tensors = exported(name).manifest.tensors
    assert sum(tensor.elements for tensor in tensors if tensor.kind == "parameter") == own
    assert onnxlens.profile_graph(exported(name).onnx_path).totals.params == own


def test_every_use_of_one_instance_is_a_module_of_its_own_with_its_macs(exported: Any) -> None:
    rows = {row.path: row for row in onnxlens.profile_graph(exported("repeated").onnx_path).modules}
    assert [rows[f"layers.{index}"].macs for index in range(3)] == [2 * 8 * 8] * 3
    assert {rows[f"layers.{index}"].class_name for index in range(3)} == {"Linear"}
    assert rows["layers.0"].params == 72


def test_modules_that_pytorch_does_not_see_have_rows_and_are_no_entries_of_a_checkpoint(
    exported: Any,
) -> None:
    ledger = onnxlens.profile_graph(exported("hidden").onnx_path)
    macs = {row.path: row.macs for row in ledger.modules}
    assert macs["parts[a_b][0]"] == 2 * 8 * 8
    assert macs["parts[3]"] == 2 * 8 * 4
    assert ledger.totals.macs == 2 * (8 * 8 + 8 * 8 + 8 * 4 + 4 * 6)
    saved = {tensor.name for tensor in exported("hidden").manifest.tensors if tensor.kind == "parameter"}
    assert saved == {"linear.weight", "linear.bias"}


class Lazy(nn.Sequential):
    """Layers whose sizes a first run decides; the last has none, if the run does not reach it."""

    def __init__(self, *more: nn.Module) -> None:
        super().__init__(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))
        self.more = nn.ModuleList(more)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for layer in [*self][:4]:
            image = layer(image)
        return image


def lazy(*more: nn.Module) -> onnxlens.GraphSpec:
    image = onnxlens.TensorSpec("image", "float32", (2, 3, 6, 6))
    return onnxlens.GraphSpec("lazy", "user", lambda: Lazy(*more), (image,), (), {"image": (-1.0, 1.0)})


def test_lazy_layers_get_their_sizes_from_a_run_on_zeros(tmp_path: Path) -> None:
    path = onnxlens.export_graph("tests.export.test_factories:lazy", tmp_path).onnx_path
    # 3 x 3 taps of 3 channels, a norm of 4, and a linear layer of 4 x 4 x 4 values
    assert onnxlens.profile_graph(path).totals.params == (4 * 27 + 4) + 2 * 4 + (64 * 5 + 5)
    assert onnxlens.check_graph(path, onnxlens.Settings(factory="tests.export.test_factories:lazy")).passed
    with pytest.raises(UsageError, match="graph 'lazy': a run does not reach all of its lazy layers"):
        Network(lazy(nn.LazyLinear(3)))
    wrong = replace(lazy(), inputs=(onnxlens.TensorSpec("image", "float32", (2, 3, 2, 2)),))
    with pytest.raises(UsageError, match="its lazy layers need a run on zeros, which raised RuntimeError: "):
        Network(wrong)


def no_compiler(graph: Any, inputs: Any) -> Any:
    raise AssertionError("it is compiled")


def compiled() -> onnxlens.GraphSpec:
    x = onnxlens.TensorSpec("input", "float32", (2, 8))

    def network() -> nn.Module:
        return nn.Sequential(torch.compile(nn.Linear(8, 8), backend=no_compiler), nn.ReLU())

    return onnxlens.GraphSpec("compiled", "user", network, (x,), (), {"input": (-1.0, 1.0)})


def test_what_torch_compile_wraps_runs_as_it_is() -> None:
    assert onnxlens.check_graph("tests.export.test_factories:compiled").passed


def test_outputs_that_are_not_declared_are_named_after_their_entries(exported: Any) -> None:
    outputs = exported("undeclared").manifest.outputs
    assert [str(tensor) for tensor in outputs] == [
        "first float32(2, 8)", "pair.low float32(2, 8)", "pair.high float32(2, 8)",
    ]  # fmt: skip


def test_what_a_constructor_draws_is_the_same_in_every_build_and_leaves_the_callers_numbers(
    tmp_path: Path,
) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    expected = (torch.rand(3).tolist(), np.random.rand())
    torch.manual_seed(5)
    np.random.seed(5)
    target = f"{__name__}:random_tables"
    export = onnxlens.export_graph(target, tmp_path)
    assert (torch.rand(3).tolist(), np.random.rand()) == expected
    assert onnxlens.check_graph(export.onnx_path, onnxlens.Settings(factory=target)).passed


class RandomTables(factory_nets.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("drawn", torch.randn(8))
        self.attribute = torch.from_numpy(np.random.randn(8)).float()

    def forward(self, x: torch.Tensor) -> Any:
        return self.linear(x) * self.drawn + self.attribute


def random_tables() -> onnxlens.GraphSpec:
    x = factory_nets.X
    return onnxlens.GraphSpec("random", "user", RandomTables, (x,), (), input_ranges={"x": (-1.0, 1.0)})


def test_constants_follow_a_cast_to_a_half_type(tmp_path: Path) -> None:
    target = f"{__name__}:unsaved"
    export = onnxlens.export_graph(target, tmp_path, onnxlens.Settings(dtype="float16"))
    assert stored(export.onnx_path)["table"].dtype == torch.float16
    assert onnxlens.check_graph(export.onnx_path, onnxlens.Settings(factory=target)).passed


class Unsaved(factory_nets.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(8.0), persistent=False)

    def forward(self, x: torch.Tensor) -> Any:
        return self.linear(x) @ torch.diag(self.table)  # type: ignore[arg-type]


def unsaved() -> onnxlens.GraphSpec:
    x = factory_nets.X
    return onnxlens.GraphSpec("unsaved", "user", Unsaved, (x,), (), input_ranges={"x": (-1.0, 1.0)})


def test_layers_of_a_half_factory_are_not_compared(exported: Any) -> None:
    with pytest.raises(UsageError, match="layers are compared in float32 alone, this export is in float16"):
        onnxlens.check_layers(exported("half").onnx_path)


@pytest.mark.parametrize("factory", [factory_nets.Layer, lambda: factory_nets.Encoder().encode])
def test_a_network_that_is_dropped_is_freed_at_once(factory: Any) -> None:
    inputs = (factory_nets.X, factory_nets.SCALE) if factory is not factory_nets.Layer else (factory_nets.X,)
    ranges = {tensor.name: (-1.0, 1.0) for tensor in inputs}
    network = Network(onnxlens.GraphSpec("free", "user", factory, inputs, (), input_ranges=ranges))
    module = network.filled(network.module, SeededWeights(network.state))
    weight = weakref.ref(next(module.parameters()))
    module(*(torch.zeros(2, 8) if tensor.shape == (2, 8) else torch.zeros(2, 1) for tensor in inputs))
    gc.disable()
    try:
        del module, network
        assert weight() is None
    finally:
        gc.enable()
