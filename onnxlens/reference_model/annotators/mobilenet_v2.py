"""MobileNetV2 as MLSD uses it, without its last groups (Sandler et al. 2018, arXiv 1801.04381)."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model.config import MobileNetConfig


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Every batch normalization of MLSD, in the backbone and in the heads."""
    return nn.BatchNorm2d(channels, eps=1e-5)


class ConvBnReLU6(nn.Sequential):
    """A convolution, its batch norm and activation; at a stride of 2 padded right and bottom alone."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        padding = 0 if stride == 2 else kernel // 2
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False),
            batch_norm(out_channels),
            nn.ReLU6(),
        )
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H/s, W/s)."""
        if self.stride == 2:
            x = F.pad(x, (0, 1, 0, 1))  # (B, C, H + 1, W + 1)
        for layer in self:
            x = layer(x)  # (B, D, H/s, W/s)
        return x


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; the input is added where the shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = expansion * in_channels
        expand = [] if expansion == 1 else [ConvBnReLU6(in_channels, inner, kernel=1)]
        self.conv = nn.Sequential(
            *expand,
            ConvBnReLU6(inner, inner, kernel=3, stride=stride, groups=inner),
            nn.Conv2d(inner, out_channels, kernel_size=1, bias=False),
            batch_norm(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H/s, W/s)."""
        h: Tensor = self.conv(x)  # (B, D, H/s, W/s)
        if self.residual:
            h = h + x
        return h


def features(config: MobileNetConfig) -> Iterator[nn.Module]:
    """The stem, then the inverted residuals, group by group."""
    yield ConvBnReLU6(config.in_channels, config.stem_channels, kernel=3, stride=2)
    channels = config.stem_channels
    for group in config.groups:
        for index in range(group.blocks):
            stride = group.stride if index == 0 else 1
            yield InvertedResidual(channels, group.channels, group.expansion, stride)
            channels = group.channels


class MobileNetV2(nn.Module):
    """An image to the outputs of those features that ``config.taps`` names."""

    def __init__(self, config: MobileNetConfig) -> None:
        super().__init__()
        self.taps = config.taps
        self.features = nn.ModuleList(features(config))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 4, H, W) to one map for each tap, shallow to deep: (B, C, H/d, W/d)."""
        tapped = []
        for index, feature in enumerate(self.features):
            x = feature(x)  # (B, C, H/d, W/d)
            if index in self.taps:
                tapped.append(x)
        return tuple(tapped)
