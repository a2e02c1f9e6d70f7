"""HED, soft edges, in both published forms (Xie and Tu 2015, arXiv 1504.06375).

Each is the convolutional part of a VGG with an edge map read off every block. They differ in what is around
it: ``Hed`` is the Apache-licensed one, whose maps the pipeline merges; ``HedBsds`` merges them itself.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model.layers import conv1x1, conv3x3

MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
"""Of the pictures that the VGG was trained on, 0 to 255."""


class HedBlock(nn.Module):
    """Convolutions at one resolution, and the edge map that is read off their result."""

    def __init__(self, in_channels: int, out_channels: int, count: int, *, pooled: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(kernel_size=2) if pooled else nn.Identity()
        self.convs = nn.ModuleList(
            conv3x3(out_channels if index else in_channels, out_channels) for index in range(count)
        )
        self.relu = nn.ReLU()
        self.projection = conv1x1(out_channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to features (B, D, H/2, W/2) and edge map (B, 1, H/2, W/2); block 1 keeps H, W."""
        x = self.pool(x)  # (B, C, H/2, W/2), halves rounded down
        for conv in self.convs:
            x = self.relu(conv(x))  # (B, D, H/2, W/2)
        edge = self.projection(x)  # (B, 1, H/2, W/2)
        return x, edge


class Hed(nn.Module):
    """A VGG of five blocks with one edge map each; the pipeline averages them and takes the sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.block1 = HedBlock(3, 64, count=2, pooled=False)
        self.block2 = HedBlock(64, 128, count=2, pooled=True)
        self.block3 = HedBlock(128, 256, count=3, pooled=True)
        self.block4 = HedBlock(256, 512, count=3, pooled=True)
        self.block5 = HedBlock(512, 512, count=3, pooled=True)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Find edges in an image.

        Args:
            image: RGB, 0 to 255, (B, 3, H, W).

        Returns:
            Five maps, fine to coarse: (B, 1, H/d, W/d) for d = 1, 2, 4, 8, 16.
        """
        h = image - self.norm  # (B, 3, H, W)
        h, edge_1 = self.block1(h)  # (B, 64, H, W)
        h, edge_2 = self.block2(h)  # (B, 128, H/2, W/2)
        h, edge_3 = self.block3(h)  # (B, 256, H/4, W/4)
        h, edge_4 = self.block4(h)  # (B, 512, H/8, W/8)
        h, edge_5 = self.block5(h)  # (B, 512, H/16, W/16)
        return edge_1, edge_2, edge_3, edge_4, edge_5


def vgg_block(in_channels: int, out_channels: int, count: int, *, pooled: bool) -> nn.Sequential:
    """A pooling unless the block is the first, then ``count`` convolutions, each with its activation."""
    layers: list[nn.Module] = [nn.MaxPool2d(kernel_size=2)] if pooled else []
    for before, channels in pairwise((in_channels, *[out_channels] * count)):
        layers += [conv3x3(before, channels), nn.ReLU()]
    return nn.Sequential(*layers)


class HedBsds(nn.Module):
    """The form trained on BSDS500: five scores, brought to the image's size and merged to one edge map."""

    def __init__(self) -> None:
        super().__init__()
        self.moduleVggOne = vgg_block(3, 64, count=2, pooled=False)
        self.moduleVggTwo = vgg_block(64, 128, count=2, pooled=True)
        self.moduleVggThr = vgg_block(128, 256, count=3, pooled=True)
        self.moduleVggFou = vgg_block(256, 512, count=3, pooled=True)
        self.moduleVggFiv = vgg_block(512, 512, count=3, pooled=True)
        self.moduleScoreOne = conv1x1(64, 1)
        self.moduleScoreTwo = conv1x1(128, 1)
        self.moduleScoreThr = conv1x1(256, 1)
        self.moduleScoreFou = conv1x1(512, 1)
        self.moduleScoreFiv = conv1x1(512, 1)
        self.moduleCombine = nn.Sequential(conv1x1(5, 1), nn.Sigmoid())

    def forward(self, image: Tensor) -> Tensor:
        """Find edges in an image: BGR, 0 to 1, (B, 3, H, W) to (B, 1, H, W), 0 to 1."""
        mean = torch.tensor(MEAN_BGR, dtype=image.dtype, device=image.device)  # (3,)
        h = image * 255 - mean[:, None, None]  # (B, 3, H, W)
        one = self.moduleVggOne(h)  # (B, 64, H, W)
        two = self.moduleVggTwo(one)  # (B, 128, H/2, W/2), halves rounded down
        three = self.moduleVggThr(two)  # (B, 256, H/4, W/4)
        four = self.moduleVggFou(three)  # (B, 512, H/8, W/8)
        five = self.moduleVggFiv(four)  # (B, 512, H/16, W/16)
        scores = (
            self.moduleScoreOne(one),  # (B, 1, H, W)
            self.moduleScoreTwo(two),  # (B, 1, H/2, W/2)
            self.moduleScoreThr(three),  # (B, 1, H/4, W/4)
            self.moduleScoreFou(four),  # (B, 1, H/8, W/8)
            self.moduleScoreFiv(five),  # (B, 1, H/16, W/16)
        )
        size = image.shape[2:]
        h = torch.cat(
            [F.interpolate(score, size=size, mode="bilinear", align_corners=False) for score in scores], dim=1
        )  # (B, 5, H, W)
        edge: Tensor = self.moduleCombine(h)  # (B, 1, H, W)
        return edge
