"""UPerNet over UniFormer: what each pixel shows, in 150 classes of ADE20K.

Xiao et al. 2018, "Unified Perceptual Parsing for Scene Understanding", arXiv 1807.10221; the pyramid
pooling is that of Zhao et al. 2017, arXiv 1612.01105.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model.annotators.uniformer import UniFormer
from onnxlens.reference_model.config import UniFormerConfig, UperNetConfig
from onnxlens.reference_model.layers import conv1x1


class ConvBnReLU(nn.Module):
    """A convolution that keeps the size, its batch norm and activation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.activate = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H, W)."""
        x = self.activate(self.bn(self.conv(x)))  # (B, D, H, W)
        return x


def resized(x: Tensor, like: Tensor) -> Tensor:
    """(B, C, h, w) to the sides of ``like``: bilinear, pixels taken at their centers."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class UperHead(nn.Module):
    """Pools the coarsest map at four scales, then adds each map to the finer one, and reads all together."""

    def __init__(self, in_channels: tuple[int, ...], config: UperNetConfig) -> None:
        super().__init__()
        *finer, coarsest = in_channels
        width = config.width
        self.conv_seg = conv1x1(width, config.classes)
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), ConvBnReLU(coarsest, width, kernel=1))
            for side in config.pooled_sides
        )
        pooled = coarsest + len(config.pooled_sides) * width
        self.bottleneck = ConvBnReLU(pooled, width, kernel=3)
        self.lateral_convs = nn.ModuleList(ConvBnReLU(channels, width, kernel=1) for channels in finer)
        self.fpn_convs = nn.ModuleList(ConvBnReLU(width, width, kernel=3) for _ in finer)
        self.fpn_bottleneck = ConvBnReLU(len(in_channels) * width, width, kernel=3)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Maps at 1/4 to 1/32 to the score of every class at 1/4, (B, 150, H/4, W/4)."""
        *finer, coarsest = maps
        x: Tensor = self.pooled(coarsest)  # (B, 512, H/32, W/32)
        refined = [x]
        for index in reversed(range(len(finer))):  # 1/16, 1/8, 1/4
            lateral = self.lateral_convs[index](finer[index])  # (B, 512, H/d, W/d)
            x = lateral + resized(x, lateral)  # (B, 512, H/d, W/d)
            refined.append(self.fpn_convs[index](x))
        *coarser, finest = refined
        fine = [finest, *(resized(each, finest) for each in reversed(coarser))]
        x = self.fpn_bottleneck(torch.cat(fine, dim=1))  # (B, 512, H/4, W/4)
        x = self.conv_seg(x)  # (B, 150, H/4, W/4)
        return x

    def pooled(self, coarsest: Tensor) -> Tensor:
        """The coarsest map with its means over four grids, read together: (B, 512, H/32, W/32)."""
        pooled = [resized(module(coarsest), coarsest) for module in self.psp_modules]
        x: Tensor = self.bottleneck(torch.cat([coarsest, *pooled], dim=1))  # (B, 512, H/32, W/32)
        return x


class AuxiliaryHead(nn.Module):
    """A second classifier on the third map, which training alone uses: it is in the published file."""

    def __init__(self, in_channels: int, config: UperNetConfig) -> None:
        super().__init__()
        self.conv_seg = conv1x1(config.auxiliary_width, config.classes)
        self.convs = nn.Sequential(ConvBnReLU(in_channels, config.auxiliary_width, kernel=3))


class UniFormerSeg(nn.Module):
    """Scores of 150 classes at a quarter of the image's sides."""

    def __init__(self, backbone: UniFormerConfig, head: UperNetConfig) -> None:
        super().__init__()
        self.backbone = UniFormer(backbone)
        self.decode_head = UperHead(backbone.channels, head)
        self.auxiliary_head = AuxiliaryHead(backbone.channels[head.auxiliary_stage], head)

    def forward(self, image: Tensor) -> Tensor:
        """Tell what is where: RGB, standardized, (B, 3, H, W), to (B, 150, H/4, W/4)."""
        maps = self.backbone(image)  # 1/4, 1/8, 1/16, 1/32
        scores: Tensor = self.decode_head(maps)  # (B, 150, H/4, W/4)
        return scores
