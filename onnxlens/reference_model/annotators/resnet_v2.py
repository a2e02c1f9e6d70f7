"""The convolutional half of DPT-hybrid: a ResNet with weight-standardized convolutions and group norms.

He et al. 2016, arXiv 1603.05027; weight standardization: Qiao et al. 2019, arXiv 1903.10520. As in BiT
(Kolesnikov et al. 2020, arXiv 1912.11370), padding is TensorFlow's; unlike there, norms follow the
convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model.config import DptHybridConfig
from onnxlens.reference_model.layers import GROUPS

WEIGHT_EPSILON = 1e-8
"""Added to a weight's variance before its root is taken."""


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """What to pad before and after a side for ceil(size / stride) positions; an odd one goes after."""
    positions = -(-size // stride)
    total = max((positions - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad x (B, C, H, W) so that an unpadded operator gives ceil(H / stride) x ceil(W / stride)."""
    top, bottom = same_padding(x.shape[2], kernel, stride)
    left, right = same_padding(x.shape[3], kernel, stride)
    if top + bottom + left + right == 0:
        return x
    return F.pad(x, (left, right, top, bottom), value=value)


class StandardizedConv(nn.Conv2d):
    """A convolution without bias whose weights have mean 0 and variance 1 for each output channel."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H/s, W/s), rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        centered = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)  # (D, C, k, k)
        variance = centered.square().mean(dim=(1, 2, 3), keepdim=True)  # (D, 1, 1, 1)
        weight = centered / torch.sqrt(variance + WEIGHT_EPSILON)  # (D, C, k, k)
        x = pad_same(x, kernel, stride)
        return F.conv2d(x, weight, stride=stride)  # (B, D, H/s, W/s)


def group_norm(channels: int) -> nn.GroupNorm:
    """The normalization after every standardized convolution."""
    return nn.GroupNorm(GROUPS, channels, eps=1e-5)


class ResNetStem(nn.Module):
    """A wide convolution and a pooling: the image to a quarter of its resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = StandardizedConv(3, channels, kernel=7, stride=2)
        self.norm = group_norm(channels)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 64, H/4, W/4)."""
        x: Tensor = self.act(self.norm(self.conv(image)))  # (B, 64, H/2, W/2)
        x = pad_same(x, kernel=3, stride=2, value=float("-inf"))
        x = self.pool(x)  # (B, 64, H/4, W/4)
        return x


class Shortcut(nn.Module):
    """What a stage's first bottleneck adds in place of its input, whose shape is another."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = StandardizedConv(in_channels, out_channels, kernel=1, stride=stride)
        self.norm = group_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H/s, W/s)."""
        x = self.norm(self.conv(x))
        return x


class Bottleneck(nn.Module):
    """Narrow, filter, widen, and add the shortcut; the stride is the filter's."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, first: bool) -> None:
        super().__init__()
        middle = out_channels // 4
        self.downsample = Shortcut(in_channels, out_channels, stride) if first else nn.Identity()
        self.conv1 = StandardizedConv(in_channels, middle, kernel=1)
        self.norm1 = group_norm(middle)
        self.act1 = nn.ReLU()
        self.conv2 = StandardizedConv(middle, middle, kernel=3, stride=stride)
        self.norm2 = group_norm(middle)
        self.act2 = nn.ReLU()
        self.conv3 = StandardizedConv(middle, out_channels, kernel=1)
        self.norm3 = group_norm(out_channels)
        self.act3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H/s, W/s)."""
        shortcut = self.downsample(x)  # (B, D, H/s, W/s)
        x = self.act1(self.norm1(self.conv1(x)))  # (B, D/4, H, W)
        x = self.act2(self.norm2(self.conv2(x)))  # (B, D/4, H/s, W/s)
        x = self.norm3(self.conv3(x))  # (B, D, H/s, W/s)
        x = self.act3(x + shortcut)  # (B, D, H/s, W/s)
        return x


class ResNetStage(nn.Module):
    """Bottlenecks at one resolution, which the first of them reaches."""

    def __init__(self, in_channels: int, out_channels: int, count: int, stride: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            Bottleneck(in_channels, out_channels, stride, first=True),
            *(Bottleneck(out_channels, out_channels, 1, first=False) for _ in range(count - 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H/s, W/s)."""
        x = self.blocks(x)
        return x


def stages(config: DptHybridConfig) -> Iterator[ResNetStage]:
    """The stages; the first keeps the stem's resolution, each later one halves it."""
    widths = pairwise((config.stem_channels, *config.stage_channels))
    for index, (width, count) in enumerate(zip(widths, config.stage_blocks, strict=True)):
        yield ResNetStage(*width, count, stride=2 if index else 1)


class ResNetV2(nn.Module):
    """An image to one map for each stage."""

    def __init__(self, config: DptHybridConfig) -> None:
        super().__init__()
        self.stem = ResNetStem(config.stem_channels)
        self.stages = nn.ModuleList(stages(config))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) to (B, 256, H/4, W/4), (B, 512, H/8, W/8) and (B, 1024, H/16, W/16)."""
        x = self.stem(image)  # (B, 64, H/4, W/4)
        maps = []
        for stage in self.stages:
            x = stage(x)  # (B, D, H/d, W/d)
            maps.append(x)
        return tuple(maps)
