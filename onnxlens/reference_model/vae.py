"""The two halves of the autoencoder (AutoencoderKL): pixels to a latent's moments, and a latent to pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model.attention import attend, to_sequence
from onnxlens.reference_model.config import VaeConfig
from onnxlens.reference_model.layers import GROUPS, Upsample, conv1x1, conv3x3


def group_norm(channels: int) -> nn.GroupNorm:
    """The VAE's normalization; its epsilon is not that of the UNet's res blocks."""
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


class VaeResBlock(nn.Module):
    """Two convolutions and a shortcut; unlike the UNet's, there is no timestep."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.act1 = nn.SiLU()
        self.conv1 = conv3x3(in_channels, out_channels)
        self.norm2 = group_norm(out_channels)
        self.act2 = nn.SiLU()
        self.conv2 = conv3x3(out_channels, out_channels)
        self.nin_shortcut = (
            nn.Identity() if in_channels == out_channels else conv1x1(in_channels, out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H, W)."""
        h: Tensor = self.conv1(self.act1(self.norm1(x)))  # (B, D, H, W)
        h = self.conv2(self.act2(self.norm2(h)))  # (B, D, H, W)
        h = h + self.nin_shortcut(x)  # (B, D, H, W)
        return h


class VaeAttention(nn.Module):
    """Self-attention of one head over all positions, with a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.q = conv1x1(channels, channels)
        self.k = conv1x1(channels, channels)
        self.v = conv1x1(channels, channels)
        self.proj_out = conv1x1(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        h = self.norm(x)  # (B, C, H, W)
        q = to_sequence(self.q(h))  # (B, H*W, C)
        k = to_sequence(self.k(h))  # (B, H*W, C)
        v = to_sequence(self.v(h))  # (B, H*W, C)
        h = attend(q, k, v, heads=1)  # (B, H*W, C)
        h = h.transpose(1, 2).reshape(x.shape)  # (B, C, H, W)
        x = x + self.proj_out(h)  # (B, C, H, W)
        return x


class VaeMiddle(nn.Module):
    """The coarsest level of either half: res block, attention, res block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = VaeResBlock(channels, channels)
        self.attn_1 = VaeAttention(channels)
        self.block_2 = VaeResBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        x = self.block_1(x)
        x = self.attn_1(x)
        x = self.block_2(x)
        return x


def res_blocks(in_channels: int, out_channels: int, count: int) -> nn.Sequential:
    """``count`` res blocks in a row, the first of which changes the channels."""
    first = VaeResBlock(in_channels, out_channels)
    return nn.Sequential(first, *(VaeResBlock(out_channels, out_channels) for _ in range(count - 1)))


class VaeDownsample(nn.Module):
    """Halves the resolution; the convolution is padded at the right and the bottom alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H/2, W/2)."""
        x = F.pad(x, (0, 1, 0, 1))  # (B, C, H + 1, W + 1)
        x = self.conv(x)  # (B, C, H/2, W/2)
        return x


class DownLevel(nn.Module):
    """One level of the encoder: res blocks, then a downsampling unless the level is the last."""

    def __init__(self, in_channels: int, out_channels: int, count: int, *, last: bool) -> None:
        super().__init__()
        self.block = res_blocks(in_channels, out_channels, count)
        self.downsample = nn.Identity() if last else VaeDownsample(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H/2, W/2), or (B, D, H, W) in the last level."""
        x = self.block(x)
        x = self.downsample(x)
        return x


class UpLevel(nn.Module):
    """One level of the decoder: res blocks, then an upsampling unless the level is the last to run."""

    def __init__(self, in_channels: int, out_channels: int, count: int, *, last: bool) -> None:
        super().__init__()
        self.block = res_blocks(in_channels, out_channels, count)
        self.upsample = nn.Identity() if last else Upsample(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, 2H, 2W), or (B, D, H, W) in the last level."""
        x = self.block(x)
        x = self.upsample(x)
        return x


class Encoder(nn.Module):
    """Pixels to an eighth of their resolution."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        levels = config.level_channels
        before = (config.base_channels, *levels[:-1])
        self.conv_in = conv3x3(config.image_channels, config.base_channels)
        self.down = nn.ModuleList(
            DownLevel(before[level], channels, config.res_blocks, last=level == len(levels) - 1)
            for level, channels in enumerate(levels)
        )
        self.mid = VaeMiddle(levels[-1])
        self.norm_out = group_norm(levels[-1])
        self.act_out = nn.SiLU()
        self.conv_out = conv3x3(levels[-1], config.moment_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 8, H/8, W/8)."""
        h: Tensor = self.conv_in(image)  # (B, 128, H, W)
        for level in self.down:
            h = level(h)  # (B, C, H/d, W/d)
        h = self.mid(h)  # (B, 512, H/8, W/8)
        h = self.conv_out(self.act_out(self.norm_out(h)))  # (B, 8, H/8, W/8)
        return h


class Decoder(nn.Module):
    """A latent to eight times its resolution; ``up`` is numbered like ``down``, so its last runs first."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        levels = config.level_channels
        before = (*levels[1:], levels[-1])
        self.conv_in = conv3x3(config.latent_channels, levels[-1])
        self.mid = VaeMiddle(levels[-1])
        self.up = nn.ModuleList(
            UpLevel(before[level], channels, config.res_blocks + 1, last=level == 0)
            for level, channels in enumerate(levels)
        )
        self.norm_out = group_norm(levels[0])
        self.act_out = nn.SiLU()
        self.conv_out = conv3x3(levels[0], config.image_channels)

    def forward(self, z: Tensor) -> Tensor:
        """(B, 4, H, W) to (B, 3, 8H, 8W)."""
        h: Tensor = self.conv_in(z)  # (B, 512, H, W)
        h = self.mid(h)  # (B, 512, H, W)
        for level in reversed(self.up):
            h = level(h)  # (B, C, dH, dW)
        h = self.conv_out(self.act_out(self.norm_out(h)))  # (B, 3, 8H, 8W)
        return h


class VaeEncoder(nn.Module):
    """Pixels to the raw moments of the latent; clamp, sampling and scale factor belong to the pipeline."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.quant_conv = conv1x1(config.moment_channels, config.moment_channels)

    def forward(self, image: Tensor) -> Tensor:
        """The image (B, 3, H, W), -1 to 1, to mean and log-variance, (B, 8, H/8, W/8)."""
        moments: Tensor = self.encoder(image)  # (B, 8, H/8, W/8)
        moments = self.quant_conv(moments)  # (B, 8, H/8, W/8)
        return moments


class VaeDecoder(nn.Module):
    """A latent, already divided by the scale factor, to pixels."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.post_quant_conv = conv1x1(config.latent_channels, config.latent_channels)
        self.decoder = Decoder(config)

    def forward(self, latent: Tensor) -> Tensor:
        """The latent (B, 4, H, W) to the image (B, 3, 8H, 8W), about -1 to 1 and not clamped."""
        latent = self.post_quant_conv(latent)  # (B, 4, H, W)
        image: Tensor = self.decoder(latent)  # (B, 3, 8H, 8W)
        return image
