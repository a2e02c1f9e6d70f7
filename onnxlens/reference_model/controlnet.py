"""ControlNet v1.0: the UNet's encoder, steered by a hint and read out through zero convolutions.

``ControlLdm`` has it and the UNet as one network: a whole denoising step.
"""

from __future__ import annotations

from torch import Tensor, nn

from onnxlens.reference_model.config import ControlLdmConfig, UNetConfig
from onnxlens.reference_model.layers import conv1x1, conv3x3
from onnxlens.reference_model.unet import UNet, UNetEncoder

HINT_STAGES = ((16, 1), (16, 1), (32, 2), (32, 1), (96, 2), (96, 1), (256, 2))
"""Channels and stride of the hint block's convolutions before the last: pixels to the latent's resolution."""


def zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution with weight and bias at zero: a fresh ControlNet leaves the UNet as it was."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv


class HintBlock(nn.Sequential):
    """Brings the control image to the latent's resolution and the stem's channels."""

    def __init__(self, out_channels: int) -> None:
        layers: list[nn.Module] = []
        channels = 3  # RGB
        for stage_channels, stride in HINT_STAGES:
            layers += [conv3x3(channels, stage_channels, stride), nn.SiLU()]
            channels = stage_channels
        super().__init__(*layers, zeroed(conv3x3(channels, out_channels)))


class ZeroConv(nn.Sequential):
    """A 1x1 convolution that starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__(zeroed(conv1x1(channels, channels)))


class ControlNet(UNetEncoder):
    """Turns a control image into one control for each skip of the UNet and one for its middle block.

    Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models", arXiv 2302.05543.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.input_hint_block = HintBlock(config.base_channels)
        self.zero_convs = nn.ModuleList(ZeroConv(skip.channels) for skip in config.skips)
        self.middle_block_out = ZeroConv(config.skips[-1].channels)

    def forward(self, x: Tensor, hint: Tensor, timesteps: Tensor, context: Tensor) -> tuple[Tensor, ...]:
        """The controls of one denoising step.

        Args:
            x: the latent, (B, 4, H, W).
            hint: the control image, 0 to 1, (B, 3, 8H, 8W).
            timesteps: (B,).
            context: the text's embedding, (B, 77, 768).

        Returns:
            13 tensors (B, C, H/d, W/d), as ``UNetConfig.controls`` lists them.
        """
        emb = self.time_embed(timesteps, x.dtype)  # (B, 1280)
        guide = self.input_hint_block(hint)  # (B, 320, H, W)
        controls = []
        for h, zero_conv in zip(self.encode(x, emb, context, guide), self.zero_convs, strict=True):
            controls.append(zero_conv(h))  # (B, C, H/d, W/d)
        h = self.middle_block(h, emb, context)  # (B, 1280, H/8, W/8)
        controls.append(self.middle_block_out(h))  # (B, 1280, H/8, W/8)
        return tuple(controls)


class DiffusionModel(nn.Module):
    """The UNet under the name it has in a checkpoint: ``model.diffusion_model``."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.diffusion_model = UNet(config)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, *controls: Tensor) -> Tensor:
        """What the UNet makes of the same arguments."""
        eps: Tensor = self.diffusion_model(x, timesteps, context, *controls)
        return eps


class ControlLdm(nn.Module):
    """The controlled latent diffusion model without its text encoder and VAE."""

    def __init__(self, config: ControlLdmConfig) -> None:
        super().__init__()
        self.config = config
        self.control_model = ControlNet(config.unet)
        self.model = DiffusionModel(config.unet)

    def forward(self, x: Tensor, hint: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        """One denoising step.

        Args:
            x: the latent, (B, 4, H, W).
            hint: the control image, 0 to 1, (B, 3, 8H, 8W).
            timesteps: (B,).
            context: the text's embedding, (B, 77, 768).

        Returns:
            The noise, (B, 4, H, W).
        """
        controls = self.control_model(x, hint, timesteps, context)  # 13 x (B, C, H/d, W/d)
        controls = self._scaled(controls)
        eps: Tensor = self.model(x, timesteps, context, *controls)  # (B, 4, H, W)
        return eps

    def _scaled(self, controls: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The controls that the UNet is to take, times their scales; a scale of 1 costs no multiplication."""
        pairs = list(zip(controls, self.config.control_scales, strict=True))
        if self.config.only_mid_control:
            pairs = pairs[-1:]
        return tuple(control if scale == 1.0 else control * scale for control, scale in pairs)
