"""HED, soft edges, in its Apache-licensed form (Xie and Tu 2015, arXiv 1504.06375)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from onnxlens.reference_model.layers import conv1x1, conv3x3


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
