"""How ControlNet and UNet are put together, on networks small enough for float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from onnxlens.errors import UsageError
from onnxlens.reference_model.clip_text import ClipText
from onnxlens.reference_model.config import ClipTextConfig, ControlLdmConfig, Skip, UNetConfig
from onnxlens.reference_model.controlnet import ControlLdm, ControlNet
from onnxlens.reference_model.layers import sinusoids
from onnxlens.reference_model.unet import UNet

SMALL = UNetConfig(
    base_channels=32, multipliers=(1, 2), res_blocks=1, attention_at=(1,), heads=4, context_width=16
)
SCALES = (0.5, 1.0, 2.0, 0.25, 3.0)

Network = TypeVar("Network", bound=nn.Module)


def filled(network: Network) -> Network:
    """The network in float64, its zero convolutions filled as well."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.2, 0.2)
    return network.double().eval().requires_grad_(False)


def ldm(control_scales: tuple[float, ...] = (1.0,) * 5, *, only_mid_control: bool = False) -> ControlLdm:
    return filled(ControlLdm(ControlLdmConfig(SMALL, control_scales, only_mid_control)))


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs of a denoising step at 64x32 pixels, batch 2: latent, hint, timesteps, context."""
    generator = torch.Generator().manual_seed(1)
    shapes = ((2, 4, 8, 4), (2, 3, 64, 32), (2, 7, 16))
    x, hint, context = (torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return x, hint, torch.tensor([3, 700]), context


@pytest.fixture
def controls() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [
        torch.rand(2, control.channels, 8 // control.downsampling, 4 // control.downsampling,
                   generator=generator, dtype=torch.float64)
        for control in SMALL.controls
    ]  # fmt: skip


def test_controls_of_a_small_network_follow_its_blocks() -> None:
    # the stem, a res block, a downsampling, a res block of twice the channels, the middle block
    assert SMALL.controls == (Skip(32, 1), Skip(32, 1), Skip(32, 2), Skip(64, 2), Skip(64, 2))


def test_no_control_is_as_zero_controls(inputs: Sequence[Tensor], controls: list[Tensor]) -> None:
    x, _, timesteps, context = inputs
    unet = filled(UNet(SMALL))
    zeros = [torch.zeros_like(control) for control in controls]
    assert torch.equal(unet(x, timesteps, context), unet(x, timesteps, context, *zeros))


def test_one_control_is_the_middle_block_s(inputs: Sequence[Tensor], controls: list[Tensor]) -> None:
    x, _, timesteps, context = inputs
    unet = filled(UNet(SMALL))
    *others, middle = controls
    zeros = [torch.zeros_like(control) for control in others]
    alone = unet(x, timesteps, context, middle)
    assert torch.equal(alone, unet(x, timesteps, context, *zeros, middle))
    assert not torch.equal(alone, unet(x, timesteps, context))


@pytest.mark.parametrize("index", range(5))
def test_every_control_steers(inputs: Sequence[Tensor], controls: list[Tensor], index: int) -> None:
    x, _, timesteps, context = inputs
    unet = filled(UNet(SMALL))
    eps = unet(x, timesteps, context, *controls)
    controls[index] = controls[index].square()  # not a constant more: group norms would take it away
    assert not torch.allclose(eps, unet(x, timesteps, context, *controls))


def test_another_number_of_controls_is_refused(inputs: Sequence[Tensor], controls: list[Tensor]) -> None:
    x, _, timesteps, context = inputs
    with pytest.raises(UsageError, match=r"given 3 controls; give none, the middle one alone, or all 5$"):
        UNet(SMALL).double()(x, timesteps, context, *controls[:3])


def test_control_ldm_is_its_two_networks(inputs: Sequence[Tensor]) -> None:
    x, hint, timesteps, context = inputs
    network = ldm()
    controls = network.control_model(x, hint, timesteps, context)
    expected = network.model.diffusion_model(x, timesteps, context, *controls)
    assert torch.equal(network(x, hint, timesteps, context), expected)


def test_each_control_has_its_scale(inputs: Sequence[Tensor]) -> None:
    x, hint, timesteps, context = inputs
    network = ldm(control_scales=SCALES)
    controls = network.control_model(x, hint, timesteps, context)
    scaled = [scale * control for scale, control in zip(SCALES, controls, strict=True)]
    expected = network.model.diffusion_model(x, timesteps, context, *scaled)
    assert torch.equal(network(x, hint, timesteps, context), expected)


def test_only_mid_control_keeps_the_last_and_its_scale(inputs: Sequence[Tensor]) -> None:
    x, hint, timesteps, context = inputs
    network = ldm(control_scales=SCALES, only_mid_control=True)
    middle = network.control_model(x, hint, timesteps, context)[-1]
    expected = network.model.diffusion_model(x, timesteps, context, 3.0 * middle)
    assert torch.equal(network(x, hint, timesteps, context), expected)


def test_scales_must_be_as_many_as_controls() -> None:
    with pytest.raises(UsageError, match=r"has 2 entries, but the ControlNet has 13 outputs; give one scale"):
        ControlLdmConfig(control_scales=(1.0, 1.0))


def test_a_fresh_controlnet_leaves_the_unet_alone(inputs: Sequence[Tensor]) -> None:
    network = ControlNet(SMALL).double()
    assert not any(control.any() for control in network(*inputs))
    assert not network.input_hint_block(inputs[1]).any()


def test_the_hint_enters_before_the_first_zero_convolution(inputs: Sequence[Tensor]) -> None:
    x, hint, timesteps, context = inputs
    network = filled(ControlNet(SMALL))
    stem = network.get_submodule("input_blocks.0.0")(x) + network.input_hint_block(hint)
    assert torch.equal(network(x, hint, timesteps, context)[0], network.zero_convs[0](stem))


def test_a_zero_convolution_runs_before_the_next_block(inputs: Sequence[Tensor]) -> None:
    network = ControlNet(SMALL).double()
    order: list[str] = []
    for name, block in network.named_modules():
        if name.count(".") == 1 and name.startswith(("input_blocks", "zero_convs")):
            block.register_forward_hook(lambda *_, name=name: order.append(name))
    network(*inputs)
    assert order == [f"{part}.{index}" for index in range(4) for part in ("input_blocks", "zero_convs")]


def test_rows_of_a_batch_do_not_meet(inputs: Sequence[Tensor]) -> None:
    network = ldm()
    eps = network(*inputs)
    for row in range(2):
        alone = network(*(tensor[row : row + 1] for tensor in inputs))
        assert torch.allclose(eps[row : row + 1], alone, rtol=1e-10)


def test_sinusoids_are_cosines_then_sines_of_the_unscaled_timestep() -> None:
    # width 4: frequencies 1 and exp(-ln(10000) / 2) = 0.01
    angles = torch.tensor([[0.0, 0.0], [3.0, 0.03]])
    expected = torch.cat([angles.cos(), angles.sin()], dim=1)
    assert torch.allclose(sinusoids(torch.tensor([0, 3]), 4), expected)


def test_sinusoids_keep_float32_where_the_network_does_not() -> None:
    assert sinusoids(torch.tensor([999], dtype=torch.float16), 4).dtype == torch.float32


def test_a_token_sees_only_those_before_it() -> None:
    config = ClipTextConfig(vocabulary=9, positions=5, width=8, layers=2, heads=2, mlp_width=16)
    network = filled(ClipText(config))
    one, other = network(torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 8, 5]]))
    assert torch.equal(one[:3], other[:3])
    assert not torch.allclose(one[3], other[3])
    assert not torch.allclose(one[4], other[4])
