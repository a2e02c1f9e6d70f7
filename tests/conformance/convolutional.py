"""Small networks whose work is convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def classifier() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )


def depthwise_separable() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.Conv2d(6, 10, 1),
    )


def grouped() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 12, 3, groups=4), nn.LeakyReLU(), nn.Conv2d(12, 6, (1, 3), groups=2))


def transposed() -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))


def transposed_in_groups() -> nn.Module:
    return nn.ConvTranspose2d(6, 9, 3, stride=3, output_padding=1, groups=3, bias=False)


def dilated() -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=rate, dilation=rate) for rate in (1, 2, 4)))


def wraps_around() -> nn.Module:
    return nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular")


def transposed_sequence() -> nn.Module:
    return nn.Sequential(nn.ConvTranspose1d(4, 8, 5, stride=2), nn.Tanh(), nn.Conv1d(8, 2, 3))


def volume() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1),
        nn.BatchNorm3d(4),
        nn.ReLU(),
        nn.AvgPool3d(2),
        nn.ConvTranspose3d(4, 2, 2),
    )


class CausalSequence(nn.Module):
    """A stack of one-dimensional convolutions that see the past alone, as in WaveNet."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(4, 8, 2, dilation=2**layer) for layer in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            past = F.pad(x, (layer.dilation[0], 0))
            value, gate = layer(past).chunk(2, dim=1)
            x = x + torch.tanh(value) * torch.sigmoid(gate)  # (B, 4, T)
        return x


class UNet(nn.Module):
    """Two levels down and up again, with skips."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(1, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.middle = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.SiLU())
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.leave = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skip = F.relu(self.enter(x))  # (B, 4, H, W)
        x = self.middle(self.down(skip))  # (B, 8, H/2, W/2)
        x = torch.cat((self.up(x), skip), dim=1)  # (B, 8, H, W)
        return self.leave(x)


class Upsampler(nn.Module):
    """Group normalization, then twice the size: by nearest neighbor, and by interpolation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 4)
        self.near = nn.Conv2d(4, 4, 3, padding=1)
        self.smooth = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.near(F.interpolate(F.silu(self.norm(x)), scale_factor=2.0, mode="nearest"))
        return self.smooth(F.interpolate(x, scale_factor=2.0, mode="bilinear"))


def pixel_shuffle() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2), nn.PReLU(), nn.Conv2d(3, 3, 1))


class ConvNeXtBlock(nn.Module):
    """Depthwise 7 x 7, layer norm, two linear layers, a scale per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(6, 6, 7, padding=3, groups=6)
        self.norm = nn.LayerNorm(6)
        self.widen = nn.Linear(6, 24)
        self.narrow = nn.Linear(24, 6)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        y = self.narrow(F.gelu(self.widen(self.norm(y))))
        return x + (self.scale * y).permute(0, 3, 1, 2)


class SqueezeExcite(nn.Module):
    """Squeeze and excitation: channels weighted by their global averages."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.squeeze = nn.Conv2d(8, 2, 1)
        self.excite = nn.Conv2d(2, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.conv(x))
        weights = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(weights))))


class SharedWeights(nn.Module):
    """One convolution that runs three times."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = F.relu(self.conv(x)) + x
        return x
