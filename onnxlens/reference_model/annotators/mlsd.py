"""MLSD, straight lines, large and tiny (Gu et al. 2021, arXiv 2106.00186).

Its backbone is MobileNetV2 without its last groups (Sandler et al. 2018, arXiv 1801.04381).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model.config import MobileNetConfig
from onnxlens.reference_model.layers import conv1x1, double


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


WIDTH = 64
"""Channels of the decoder."""

MAPS = 16
"""What the last convolution puts out."""

FIRST_LINE_MAP = 7
"""The maps from here on are the result: lines are read off a score and the offsets of two end points."""


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """A convolution with bias that keeps the size, its batch norm and activation."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation),
        batch_norm(out_channels),
        nn.ReLU(),
    )


class JoinBlock(nn.Module):
    """Concatenates a shallow map of the backbone and a deeper one: block type A."""

    def __init__(self, shallow: int, deep: int, width: int = WIDTH, *, upsampled: bool = True) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(deep, width, kernel=1)
        self.conv2 = conv_bn_relu(shallow, width, kernel=1)
        self.upsampled = upsampled

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """(B, C, H, W) and (B, D, H/2, W/2), or (B, D, H, W) if not upsampled, to (B, 2 width, H, W)."""
        shallow = self.conv2(shallow)  # (B, width, H, W)
        deep = self.conv1(deep)  # (B, width, H/2, W/2)
        if self.upsampled:
            deep = double(deep)  # (B, width, H, W)
        return torch.cat([shallow, deep], dim=1)  # (B, 2 width, H, W)


class RefineBlock(nn.Module):
    """A residual convolution, then one to the decoder's width: block type B."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(channels, channels, kernel=3)
        self.conv2 = conv_bn_relu(channels, WIDTH, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 64, H, W)."""
        x = x + self.conv1(x)  # (B, C, H, W)
        x = self.conv2(x)  # (B, 64, H, W)
        return x


class MapBlock(nn.Module):
    """A dilated convolution for context, and the maps: block type C."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(WIDTH, WIDTH, kernel=3, dilation=5)
        self.conv2 = conv_bn_relu(WIDTH, WIDTH, kernel=3)
        self.conv3 = conv1x1(WIDTH, MAPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 64, H, W) to the maps that are the result, (B, 9, H, W)."""
        x = self.conv1(x)  # (B, 64, H, W)
        x = self.conv2(x)  # (B, 64, H, W)
        x = self.conv3(x)  # (B, 16, H, W)
        return x[:, FIRST_LINE_MAP:]  # (B, 9, H, W)


class MlsdLarge(nn.Module):
    """Line maps at half the image's resolution, from five maps of the backbone."""

    def __init__(self, backbone: MobileNetConfig) -> None:
        super().__init__()
        self.backbone = MobileNetV2(backbone)
        self.block15 = JoinBlock(64, 96, upsampled=False)
        self.block16 = RefineBlock(2 * WIDTH)
        self.block17 = JoinBlock(32, WIDTH)
        self.block18 = RefineBlock(2 * WIDTH)
        self.block19 = JoinBlock(24, WIDTH)
        self.block20 = RefineBlock(2 * WIDTH)
        self.block21 = JoinBlock(16, WIDTH)
        self.block22 = RefineBlock(2 * WIDTH)
        self.block23 = MapBlock()

    def forward(self, image: Tensor) -> Tensor:
        """Find straight lines: RGB and a plane of ones, -1 to 1, (B, 4, H, W), to (B, 9, H/2, W/2)."""
        f1, f3, f6, f10, f13 = self.backbone(image)  # 1/2, 1/4, 1/8, 1/16, 1/16
        x = self.block15(f10, f13)  # (B, 128, H/16, W/16)
        x = self.block16(x)  # (B, 64, H/16, W/16)
        x = self.block17(f6, x)  # (B, 128, H/8, W/8)
        x = self.block18(x)  # (B, 64, H/8, W/8)
        x = self.block19(f3, x)  # (B, 128, H/4, W/4)
        x = self.block20(x)  # (B, 64, H/4, W/4)
        x = self.block21(f1, x)  # (B, 128, H/2, W/2)
        x = self.block22(x)  # (B, 64, H/2, W/2)
        lines: Tensor = self.block23(x)  # (B, 9, H/2, W/2)
        return lines


class MlsdTiny(nn.Module):
    """Line maps at half the image's resolution, from three maps of the backbone; made at a quarter."""

    def __init__(self, backbone: MobileNetConfig) -> None:
        super().__init__()
        self.backbone = MobileNetV2(backbone)
        self.block12 = JoinBlock(32, 64)
        self.block13 = RefineBlock(2 * WIDTH)
        self.block14 = JoinBlock(24, WIDTH, width=32)
        self.block15 = RefineBlock(2 * 32)
        self.block16 = MapBlock()

    def forward(self, image: Tensor) -> Tensor:
        """Find straight lines: RGB and a plane of ones, -1 to 1, (B, 4, H, W), to (B, 9, H/2, W/2)."""
        f3, f6, f10 = self.backbone(image)  # 1/4, 1/8, 1/16
        x = self.block12(f6, f10)  # (B, 128, H/8, W/8)
        x = self.block13(x)  # (B, 64, H/8, W/8)
        x = self.block14(f3, x)  # (B, 64, H/4, W/4)
        x = self.block15(x)  # (B, 64, H/4, W/4)
        x = self.block16(x)  # (B, 9, H/4, W/4)
        lines = double(x)  # (B, 9, H/2, W/2)
        return lines
