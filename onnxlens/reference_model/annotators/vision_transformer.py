"""The transformer half of DPT-hybrid: a vision transformer over the ResNet's last map.

Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words", arXiv 2010.11929 (the hybrid architecture).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model.annotators.resnet_v2 import ResNetV2
from onnxlens.reference_model.attention import attend, to_sequence
from onnxlens.reference_model.config import DptHybridConfig
from onnxlens.reference_model.layers import conv1x1


class SelfAttention(nn.Module):
    """Attention of every token over all of them; one linear layer gives queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)  # 3 x (B, L, C)
        x = attend(q, k, v, self.heads)  # (B, L, C)
        x = self.proj(x)  # (B, L, C)
        return x


class Mlp(nn.Module):
    """Two linear layers around the exact GELU."""

    def __init__(self, width: int, mlp_width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, mlp_width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(mlp_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        x = self.act(self.fc1(x))  # (B, L, 4C)
        x = self.fc2(x)  # (B, L, C)
        return x


class VitBlock(nn.Module):
    """Attention and MLP, each after a layer norm and with its own residual."""

    def __init__(self, config: DptHybridConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = SelfAttention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = Mlp(config.width, config.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        x = x + self.attn(self.norm1(x))  # (B, L, C)
        x = x + self.mlp(self.norm2(x))  # (B, L, C)
        return x


class PatchEmbed(nn.Module):
    """An image to one vector for each patch of 16 x 16 pixels, and the maps on the way to it."""

    def __init__(self, config: DptHybridConfig) -> None:
        super().__init__()
        self.backbone = ResNetV2(config)
        self.proj = conv1x1(config.stage_channels[-1], config.width)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to (B, 256, H/4, W/4), (B, 512, H/8, W/8) and patches (B, 768, H/16, W/16)."""
        map_4, map_8, map_16 = self.backbone(image)
        patches = self.proj(map_16)  # (B, 768, H/16, W/16)
        return map_4, map_8, patches


class VitTaps(NamedTuple):
    """What the decoder reads: two maps of the ResNet, and the tokens after two transformer blocks."""

    map_4: Tensor  # (B, 256, H/4, W/4)
    map_8: Tensor  # (B, 512, H/8, W/8)
    tokens_early: Tensor  # (B, 1 + H/16 * W/16, 768)
    tokens_late: Tensor  # (B, 1 + H/16 * W/16, 768)


class HybridVit(nn.Module):
    """A class token and the patches, refined together.

    ``norm`` and ``head`` are in the published file and belong to its training as a classifier: the decoder
    reads the tokens before them, and they never run.
    """

    def __init__(self, config: DptHybridConfig) -> None:
        super().__init__()
        self.taps = config.taps
        self.grid = config.pretrained_grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid**2, config.width))
        self.patch_embed = PatchEmbed(config)
        self.blocks = nn.ModuleList(VitBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.head = nn.Linear(config.width, config.classes)

    def forward(self, image: Tensor) -> VitTaps:
        """See what an image (B, 3, H, W) shows, near and as a whole."""
        map_4, map_8, patches = self.patch_embed(image)
        x = to_sequence(patches)  # (B, H/16 * W/16, 768)
        cls_token = self.cls_token.expand(x.shape[0], -1, -1)  # (B, 1, 768)
        x = torch.cat([cls_token, x], dim=1)  # (B, 1 + H/16 * W/16, 768)
        x = x + self._positions(patches.shape[2], patches.shape[3])
        tapped = []
        for index, block in enumerate(self.blocks):
            x = block(x)  # (B, 1 + H/16 * W/16, 768)
            if index in self.taps:
                tapped.append(x)
        return VitTaps(map_4, map_8, *tapped)

    def _positions(self, height: int, width: int) -> Tensor:
        """The learned embeddings at another grid: (1, 1 + height * width, 768), the class token's first."""
        cls_position, positions = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = positions.transpose(1, 2).reshape(1, -1, self.grid, self.grid)  # (1, 768, 24, 24)
        grid = F.interpolate(grid, size=(height, width), mode="bilinear", align_corners=False)
        return torch.cat([cls_position, to_sequence(grid)], dim=1)
