"""What a training step is said to cost, held to steps that PyTorch really runs and to figures by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import onnxlens as api
from onnxlens.errors import UsageError
from onnxlens.pipeline.training import PUBLISHED, cost_of
from onnxlens.reference_model.config import ControlLdmConfig, UNetConfig
from onnxlens.reference_model.controlnet import ControlLdm
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec
from onnxlens.specs.training import MODES, OPTIMIZERS, REFERENCE_UNITS, TrainingMode, TrainingRequest
from tests.pipeline.real_step import checkpointed, real_step

UNET = UNetConfig(
    base_channels=32, multipliers=(1, 2), res_blocks=1, attention_at=(1,), heads=2, context_width=8
)
CONFIG = ControlLdmConfig(UNET, control_scales=(1.0,) * len(UNET.controls))
INPUTS = (
    TensorSpec("x", "float32", (2, 4, 8, 8)),
    TensorSpec("hint", "float32", (2, 3, 64, 64)),
    TensorSpec("timesteps", "int64", (2,)),
    TensorSpec("context", "float32", (2, 5, 8)),
)
RANGES = {"x": (-1.0, 1.0), "hint": (0.0, 1.0), "timesteps": (0, 999), "context": (-1.0, 1.0)}
SPEC = GraphSpec("small-control-ldm", "user", partial(ControlLdm, CONFIG), INPUTS, (), RANGES)


def values() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, hint, context = (
        torch.randn(spec.shape, generator=generator) for spec in INPUTS if spec.dtype[0] == "f"
    )
    return [x, hint, torch.tensor([3, 500]), context]


def step_of(mode: TrainingMode) -> ControlLdm:
    """The small network, with the parameters of the mode to be trained."""
    torch.manual_seed(0)
    module = ControlLdm(replace(CONFIG, only_mid_control=mode == "middle"))
    for name, each in module.named_parameters():
        decoder = name.startswith(("model.diffusion_model.output_blocks", "model.diffusion_model.out."))
        each.requires_grad_(name.startswith("control_model.") or (mode == "full" and decoder))
    return module


@pytest.mark.parametrize("units", [(), REFERENCE_UNITS], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("mode", MODES)
def test_a_step_of_each_mode_costs_what_pytorch_counts(mode: TrainingMode, units: tuple[str, ...]) -> None:
    cost = cost_of(SPEC, mode, TrainingRequest((mode,), units=units))
    module = step_of(mode)
    sizes = {name: each.numel() for name, each in module.named_parameters()}
    listed = sum(each.numel() for each in module.parameters() if each.requires_grad)
    ran = real_step(checkpointed(module, units), values())
    totals = cost.totals
    assert cost.unknown == {}
    assert (totals.macs, totals.backward_macs, totals.saved_bytes) == ran[:3]
    assert (totals.params, totals.trained_params) == (sum(sizes.values()), listed)
    assert totals.reached_params == sum(sizes[name] for name in ran.reached)
    assert bool(totals.recomputed_macs) == bool(cost.recomputed_bytes) == bool(units)


@pytest.mark.parametrize("mode", MODES)
def test_zero_convolutions_change_first_then_the_copy_and_a_locked_sd_never(mode: TrainingMode) -> None:
    module = step_of(mode)
    optimizer = torch.optim.SGD([each for each in module.parameters() if each.requires_grad], lr=0.1)
    before = {name: each.detach().clone() for name, each in module.named_parameters()}

    def changed() -> set[str]:
        """What has changed since the start, after one step more: parts of the ControlNet."""
        optimizer.zero_grad()
        module(*values()).square().sum().backward()
        optimizer.step()
        moved = [name for name, each in module.named_parameters() if not torch.equal(each, before[name])]
        assert all(mode == "full" or name.startswith("control_model.") for name in moved)
        parts = {name.split(".")[1] for name in moved if name.startswith("control_model.")}
        return parts | (
            {"input_hint_block.0"} if "control_model.input_hint_block.0.weight" in moved else set()
        )

    zero = {"middle_block_out"} | (set() if mode == "middle" else {"zero_convs"})
    copy = {"time_embed", "input_blocks", "middle_block", "input_hint_block"}
    assert changed() == zero
    assert changed() == zero | copy  # of the hint block its last convolution alone: it was zero, too
    assert changed() == zero | copy | {"input_hint_block.0"}


def test_half_precision_halves_what_is_held() -> None:
    request = TrainingRequest(("middle",), "sgd")
    whole, half = (cost_of(SPEC.in_dtype(dtype), "middle", request) for dtype in ("float32", "float16"))
    assert (whole.dtype, half.dtype) == ("float32", "float16")
    assert half.totals.weight_bytes * 2 == whole.totals.weight_bytes
    assert half.totals.gradient_bytes * 2 == whole.totals.gradient_bytes
    assert half.totals.macs == whole.totals.macs


def test_a_module_has_all_inside_it_and_the_parts_are_trained_as_the_mode_says() -> None:
    cost = cost_of(SPEC, "middle", TrainingRequest(("middle",)))
    by_path = {each.path: each for each in cost.modules}
    control, unet = by_path["control_model"], by_path["model"]
    assert control.saved_bytes + unet.saved_bytes == cost.totals.saved_bytes
    assert control.macs + unet.macs == cost.totals.macs
    assert (unet.trained_params, unet.weight_gradient_macs, unet.optimizer_bytes) == (0, 0, 0)
    # nothing of SD's encoder takes part; its decoder passes gradients on
    assert by_path["model.diffusion_model.input_blocks"].saved_bytes == 0
    assert by_path["model.diffusion_model.output_blocks"].input_gradient_macs > 0
    # with the middle's control alone no gradient arrives at the other zero convolutions
    idle = by_path["control_model.zero_convs"]
    assert (idle.trained_params, idle.reached_params, idle.saved_bytes) == (idle.params, 0, 0)
    # AdamW: two moments of the weight's size, and a counter of 4 bytes for each of weight and bias
    out = by_path["control_model.middle_block_out"]
    assert (out.gradient_bytes, out.optimizer_bytes) == (out.weight_bytes, 2 * out.weight_bytes + 2 * 4)
    # a frozen convolution keeps its input, which no gradient reads
    assert unet.needed_bytes < unet.saved_bytes
    assert control.needed_bytes == control.saved_bytes


class Apply(nn.Module):
    """A function of the input and two linear layers."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function, self.a, self.b = function, nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.a, self.b)


def convolutions(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 4, 3), *layers, nn.Conv2d(4, 4, 1))


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "batch norm, in place": (
        lambda: convolutions(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)), (2, 4, 16, 16),
    ),
    "activations in place": (
        lambda: convolutions(
            nn.SiLU(inplace=True), nn.Conv2d(4, 4, 1), nn.ReLU6(inplace=True), nn.Conv2d(4, 4, 1),
            nn.LeakyReLU(inplace=True),
        ), (2, 4, 8, 8),
    ),
    "transposed, pooled": (
        lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2), nn.GELU(), nn.AdaptiveAvgPool2d(1)),
        (2, 4, 9, 9),
    ),
    "resized": (
        lambda: convolutions(nn.Upsample(scale_factor=2, mode="bilinear"), nn.PixelUnshuffle(2),
                             nn.Conv2d(16, 4, 3, padding=1, padding_mode="reflect")), (1, 4, 8, 8),
    ),
    "transformer": (lambda: nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True), (2, 5, 16)),
    "recurrent": (lambda: nn.GRU(8, 8), (4, 2, 8)),
    "norms": (lambda: nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.RMSNorm(8)), (3, 4, 8)),
    "softmax, product": (lambda: Apply(lambda x, a, b: F.softmax(a(x), -1) * torch.sigmoid(b(x))), (3, 8)),
    "detached": (lambda: Apply(lambda x, a, b: b(a(x).detach()) + b(x)), (3, 8)),
    "without gradients": (lambda: Apply(lambda x, a, b: b(_frozen(a, x)) * a(x)), (3, 8)),
    "quotient": (lambda: Apply(lambda x, a, b: (a(x) * 2.5 / b(x)).exp().mean(-1)), (3, 8)),
    "unused": (lambda: Apply(lambda x, a, b: (a(x), b(x).exp())[0]), (3, 8)),
    "causal attention": (
        lambda: Apply(lambda x, a, b: F.scaled_dot_product_attention(a(x), b(x), x, is_causal=True)),
        (2, 2, 5, 8),
    ),
    "selected": (lambda: Apply(lambda x, a, b: torch.where(a(x) > 0, a(x), b(x)).max(-1)[0]), (3, 8)),
    "complex": (lambda: Apply(lambda x, a, b: (torch.complex(a(x), b(x)) @ (1j * a(x)).mT).abs()), (3, 8)),
    "written into a view": (lambda: Apply(lambda x, a, b: _two_rows(a(x), b(x))), (3, 8)),
    "written over after it was read": (lambda: Apply(lambda x, a, b: _read_before(a(x), b(x))), (3, 8)),
    "operators of no table": (
        lambda: Apply(lambda x, a, b: a(x).lgamma() + b(x).index_put((torch.arange(3),), x)), (3, 8),
    ),
    "checkpointed": (lambda: Apply(lambda x, a, b: checkpoint(_twice, a(x), b, use_reentrant=False)), (3, 8)),
    "checkpointed, reentrant": (
        lambda: Apply(lambda x, a, b: a(x) + checkpoint(_twice, a(x), b, use_reentrant=True)), (3, 8),
    ),
    "of a unit in a unit": (
        lambda: Apply(lambda x, a, b: checkpoint(_checkpointed_again, a(x), b, use_reentrant=False)), (3, 8),
    ),
    "unused parameters, several outputs": (
        lambda: Apply(lambda x, a, b: (a(x), a(x).argmax(-1), {"sum": a.weight.sum()})), (3, 8),  # type: ignore[arg-type,return-value]
    ),
}  # fmt: skip


def _two_rows(first: Tensor, second: Tensor) -> Tensor:
    rows = torch.zeros(2, *first.shape)
    rows[0], rows[1] = first, second
    return rows.mul_(rows.sigmoid())


def _read_before(first: Tensor, second: Tensor) -> Tensor:
    """The second layer is added to memory of which only an earlier state reaches the loss."""
    copy = first.clone()
    first.add_(second)
    return copy


def _twice(h: Tensor, layer: nn.Module) -> Tensor:
    out: Tensor = layer(layer(h).exp()).tanh()
    return out


def _checkpointed_again(h: Tensor, layer: nn.Module) -> Tensor:
    out: Tensor = checkpoint(_twice, h.exp(), layer, use_reentrant=False)
    return out


def _frozen(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        out: Tensor = layer(x)
        return out


@pytest.mark.parametrize("name", NETS)
def test_any_network_costs_what_pytorch_counts(name: str) -> None:
    factory, shape = NETS[name]
    spec = GraphSpec("net", "user", factory, (TensorSpec("x", "float32", shape),), (), {"x": (0.0, 1.0)})
    cost = cost_of(spec, None, TrainingRequest())
    module = factory().train()
    ran = real_step(module, [torch.rand(shape)])
    assert cost.unknown == {}
    assert (cost.totals.macs, cost.totals.backward_macs, cost.totals.saved_bytes) == ran[:3]
    sizes = {name: each.numel() for name, each in module.named_parameters()}
    assert cost.totals.reached_params == sum(sizes[name] for name in ran.reached)


def one(factory: Callable[[], nn.Module], *shape: int, dtype: str = "float32") -> GraphSpec:
    return GraphSpec(
        "one", "user", factory, (TensorSpec("x", "float32", shape),), (), {"x": (0.0, 1.0)}
    ).in_dtype(dtype)


def test_two_linear_layers_by_hand() -> None:
    spec = one(lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), 3, 8, dtype="float16")
    totals = cost_of(spec, None, TrainingRequest(optimizer="sgd-momentum")).totals
    assert totals.macs == 3 * 8 * 16 + 3 * 16 * 4
    # the input needs no gradient; of each weight it is a product of the layer's size
    assert (totals.input_gradient_macs, totals.weight_gradient_macs) == (3 * 16 * 4, totals.macs)
    params = 8 * 16 + 16 + 16 * 4 + 4
    assert (totals.params, totals.weight_bytes, totals.optimizer_bytes) == (params, 2 * params, 2 * params)
    # x, and what ReLU returns: it is the second layer's input as well
    assert totals.saved_bytes == totals.needed_bytes == 2 * (3 * 8 + 3 * 16)


def test_a_depthwise_convolution_by_hand() -> None:
    totals = cost_of(
        one(lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8), 2, 8, 6, 6), None, TrainingRequest()
    ).totals
    # torch's FlopCounterMode has 8 times as many for the weight's gradient: it forgets the groups
    assert (totals.macs, totals.weight_gradient_macs) == (2 * 8 * 6 * 6 * 9,) * 2


class Tables(nn.Module):
    """Tables that the state_dict does not hold, of which a part is read: factors, and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("table", torch.ones(20, 8), persistent=False)
        self.register_buffer("positions", torch.arange(20), persistent=False)
        self.embedding = nn.Embedding(20, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x) * self.table[:3] + self.embedding(self.positions[:3])
        return out


def test_parts_of_constants_are_known_and_not_counted() -> None:
    cost = cost_of(one(Tables, 3, 8), None, TrainingRequest())
    ran = real_step(Tables(), [torch.rand(3, 8)])
    assert cost.unknown == {}
    assert (cost.totals.macs, cost.totals.backward_macs, cost.totals.saved_bytes) == ran[:3]
    assert cost.totals.saved_bytes == 3 * 8 * 4  # the layer's input


class Product(torch.autograd.Function):
    """A product whose gradients are the user's code."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return gradient @ weight.mT, x.mT @ gradient


def test_a_function_of_the_users_is_said_and_passes_gradients_on() -> None:
    cost = cost_of(
        one(lambda: Apply(lambda x, a, b: Product.apply(a(x), b.weight)), 3, 8), None, TrainingRequest()
    )
    assert cost.unknown == {"Product": 1}
    # both products run; of the backward pass the first layer's weight's alone is known
    assert (cost.totals.macs, cost.totals.backward_macs) == (2 * 3 * 8 * 8, 3 * 8 * 8)
    # both layers' weights and the first one's bias; x and what the first layer returns
    assert (cost.totals.reached_params, cost.totals.saved_bytes) == (2 * 64 + 8, 2 * 3 * 8 * 4)


def test_without_an_input_that_wants_gradients_a_reentrant_checkpoint_trains_nothing() -> None:
    spec = one(lambda: Apply(lambda x, a, b: a(x) + checkpoint(_twice, x, b, use_reentrant=True)), 3, 8)
    totals = cost_of(spec, None, TrainingRequest()).totals
    assert (totals.reached_params, totals.recomputed_macs, totals.backward_macs) == (64 + 8, 0, 3 * 64)


def test_what_is_not_known_is_said() -> None:
    cost = cost_of(one(lambda: nn.LSTM(8, 8), 4, 2, 8), None, TrainingRequest())
    assert cost.unknown == {"mkldnn_rnn_layer.default": 1}


TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "sgd-momentum": partial(torch.optim.SGD, momentum=0.9),
    "sgd": torch.optim.SGD,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_holds_what_pytorchs_does_after_a_step(name: str) -> None:
    layer = nn.Linear(5, 7)
    optimizer = TORCH[name](layer.parameters(), lr=0.1)
    layer(torch.rand(2, 5)).sum().backward()
    optimizer.step()
    held = [each for state in optimizer.state.values() for each in state.values() if each is not None]
    found = cost_of(one(lambda: nn.Linear(5, 7), 2, 5), None, TrainingRequest(optimizer=name)).totals
    assert found.optimizer_bytes == sum(each.nbytes for each in held)


class Block(nn.Module):
    """A layer whose input is named where it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, *, h: Tensor) -> Tensor:
        out: Tensor = self.layer(h).exp()
        return out


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(), Block()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(h=self.first(h=x))
        return out


def test_a_checkpointed_call_keeps_what_it_is_given_by_name() -> None:
    cost = cost_of(one(Blocks, 3, 8), None, TrainingRequest(units=("Block",)))
    # the inputs of both; while one runs again, the result of exp besides
    assert (cost.totals.saved_bytes, cost.recomputed_bytes) == (2 * 3 * 8 * 4, 3 * 8 * 4)
    assert cost.totals.recomputed_macs == cost.totals.macs == 2 * 3 * 8 * 8


def test_wrong_use_is_refused() -> None:
    with pytest.raises(UsageError, match="a file has no module"):
        api.training_cost(Path("x.onnx"))
    with pytest.raises(UsageError, match="--mode is of control-ldm"):
        api.training_cost("hed", request=TrainingRequest(("full",)))
    with pytest.raises(UsageError, match="no module is a Block; its classes are .*ControlNet"):
        cost_of(SPEC, "full", TrainingRequest(units=("Block",)))
    with pytest.raises(UsageError, match="optimizer 'lion' is none of adamw"):
        TrainingRequest(optimizer="lion")
    with pytest.raises(UsageError, match=re.escape("one: does not run as in training: RuntimeError")):
        cost_of(one(lambda: nn.Linear(5, 7), 2, 4), None, TrainingRequest())


def test_the_modes_are_those_of_the_published_code() -> None:
    assert tuple(PUBLISHED) == MODES
