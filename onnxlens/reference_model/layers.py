"""The layers of the UNet and the ControlNet; convolutions and upsampling serve other networks too."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32
"""Every group normalization of the latent diffusion model has this many groups."""

LONGEST_PERIOD = 10_000
"""The slowest sinusoid of a timestep's embedding takes about this many steps for one radian."""


def conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A convolution that mixes channels and leaves positions apart."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, *, bias: bool = True) -> nn.Conv2d:
    """A convolution padded by 1 on each side: it keeps the size, or halves it at a stride of 2."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=bias)


def double(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, C, 2H, 2W), bilinear, the corners kept in place."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


def sinusoids(timesteps: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of the timestep times f_i = exp(-ln(10000) * i / h), i < h = ``width / 2``.

    Args:
        timesteps: (B,), unscaled.
        width: an even number.

    Returns:
        (B, width) in float32 whatever the network's dtype: half precision cannot hold the angles.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    frequencies = torch.exp(-math.log(LONGEST_PERIOD) / half * steps)  # (half,)
    angles = timesteps.to(torch.float32)[:, None] * frequencies  # (B, half)
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)  # (B, width)


class TimestepEmbedding(nn.Sequential):
    """Sinusoids of the timestep, then two linear layers."""

    def __init__(self, base_channels: int, emb_channels: int) -> None:
        super().__init__(
            nn.Linear(base_channels, emb_channels),
            nn.SiLU(),
            nn.Linear(emb_channels, emb_channels),
        )
        self.base_channels = base_channels

    def forward(self, timesteps: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Embed ``timesteps`` (B,) in ``dtype``: (B, emb_channels)."""
        emb = sinusoids(timesteps, self.base_channels).to(dtype)  # (B, base_channels)
        for layer in self:
            emb = layer(emb)  # (B, emb_channels)
        return emb


class ResBlock(nn.Module):
    """Two convolutions around the timestep's embedding, and a shortcut: skip(x) + out(in(x) + emb)."""

    def __init__(self, in_channels: int, out_channels: int, emb_channels: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, in_channels, eps=1e-5),
            nn.SiLU(),
            conv3x3(in_channels, out_channels),
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb_channels, out_channels))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, out_channels, eps=1e-5),
            nn.SiLU(),
            nn.Identity(),  # the published network's dropout, so that the convolution has index 3
            conv3x3(out_channels, out_channels),
        )
        self.skip_connection = (
            nn.Identity() if in_channels == out_channels else conv1x1(in_channels, out_channels)
        )

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H, W), given the timestep's embedding (B, E)."""
        h: Tensor = self.in_layers(x)  # (B, D, H, W)
        h = h + self.emb_layers(emb)[:, :, None, None]  # (B, D, H, W)
        h = self.out_layers(h)  # (B, D, H, W)
        h = h + self.skip_connection(x)  # (B, D, H, W)
        return h


class Downsample(nn.Module):
    """Halves the resolution with a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = conv3x3(channels, channels, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H/2, W/2), halves rounded up."""
        x = self.op(x)
        return x


class Upsample(nn.Module):
    """Doubles the resolution by repeating each position, then smooths with a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 2H, 2W)."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.conv(x)
        return x
