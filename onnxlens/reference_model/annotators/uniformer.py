"""UniFormer, small: the backbone of the segmentation annotator, its maps at four resolutions.

Li et al. 2022, "UniFormer: Unifying Convolution and Self-attention for Visual Recognition", arXiv 2201.09450;
for dense prediction all tokens of a picture attend to each other.
"""

from __future__ import annotations

from torch import Tensor, nn

from onnxlens.reference_model.annotators.vision_transformer import Mlp, SelfAttention
from onnxlens.reference_model.attention import to_map, to_sequence
from onnxlens.reference_model.config import UniFormerConfig
from onnxlens.reference_model.layers import conv1x1

LAYER_NORM_EPS = 1e-6


def depthwise(channels: int, kernel: int) -> nn.Conv2d:
    """A convolution of each channel by itself that keeps the size."""
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)


def normalized(norm: nn.Module, x: Tensor) -> Tensor:
    """A layer norm of each position's channels: (B, C, H, W) to (B, C, H, W)."""
    height, width = x.shape[2:]
    return to_map(norm(to_sequence(x)), height, width)


class PatchEmbed(nn.Module):
    """One vector for each patch of a map, normalized."""

    def __init__(self, in_channels: int, out_channels: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, kernel_size=patch, stride=patch)
        self.norm = nn.LayerNorm(out_channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H/p, W/p)."""
        x = self.proj(x)  # (B, D, H/p, W/p)
        x = normalized(self.norm, x)  # (B, D, H/p, W/p)
        return x


class ConvMlp(nn.Module):
    """The MLP of a transformer at every position: two 1 x 1 convolutions around the exact GELU."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.fc1 = conv1x1(channels, inner)
        self.act = nn.GELU()
        self.fc2 = conv1x1(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        x = self.act(self.fc1(x))  # (B, 4C, H, W)
        x = self.fc2(x)  # (B, C, H, W)
        return x


class LocalBlock(nn.Module):
    """A transformer block whose attention is one set of weights over 5 x 5 neighbors, learned, for all."""

    def __init__(self, channels: int, config: UniFormerConfig) -> None:
        super().__init__()
        self.pos_embed = depthwise(channels, 3)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = conv1x1(channels, channels)
        self.attn = depthwise(channels, config.neighbors)
        self.conv2 = conv1x1(channels, channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = ConvMlp(channels, config.mlp_ratio * channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        x = x + self.pos_embed(x)  # (B, C, H, W)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))  # (B, C, H, W)
        x = x + self.mlp(self.norm2(x))  # (B, C, H, W)
        return x


class GlobalBlock(nn.Module):
    """A transformer block; where a token stands is told by a convolution with its neighbors."""

    def __init__(self, channels: int, config: UniFormerConfig) -> None:
        super().__init__()
        self.pos_embed = depthwise(channels, 3)
        self.norm1 = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)
        self.attn = SelfAttention(channels, channels // config.head_width)
        self.norm2 = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(channels, config.mlp_ratio * channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        x = x + self.pos_embed(x)  # (B, C, H, W)
        height, width = x.shape[2:]
        x = to_sequence(x)  # (B, H * W, C)
        x = x + self.attn(self.norm1(x))  # (B, H * W, C)
        x = x + self.mlp(self.norm2(x))  # (B, H * W, C)
        return to_map(x, height, width)


def blocks(block: type[LocalBlock | GlobalBlock], stage: int, config: UniFormerConfig) -> nn.Sequential:
    """The blocks of a stage, counted from 0."""
    return nn.Sequential(*(block(config.channels[stage], config) for _ in range(config.depths[stage])))


class UniFormer(nn.Module):
    """An image to the normalized maps of its four stages: two look near, two at all of it."""

    def __init__(self, config: UniFormerConfig) -> None:
        super().__init__()
        first, second, third, fourth = config.channels
        self.patch_embed1 = PatchEmbed(config.in_channels, first, config.first_patch)
        self.blocks1 = blocks(LocalBlock, 0, config)
        self.norm1 = nn.LayerNorm(first, eps=LAYER_NORM_EPS)
        self.patch_embed2 = PatchEmbed(first, second, 2)
        self.blocks2 = blocks(LocalBlock, 1, config)
        self.norm2 = nn.LayerNorm(second, eps=LAYER_NORM_EPS)
        self.patch_embed3 = PatchEmbed(second, third, 2)
        self.blocks3 = blocks(GlobalBlock, 2, config)
        self.norm3 = nn.LayerNorm(third, eps=LAYER_NORM_EPS)
        self.patch_embed4 = PatchEmbed(third, fourth, 2)
        self.blocks4 = blocks(GlobalBlock, 3, config)
        self.norm4 = nn.LayerNorm(fourth, eps=LAYER_NORM_EPS)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to 64, 128, 320 and 512 channels at 1/4, 1/8, 1/16 and 1/32 of its sides."""
        x = self.blocks1(self.patch_embed1(image))  # (B, 64, H/4, W/4)
        map_4 = normalized(self.norm1, x)
        x = self.blocks2(self.patch_embed2(x))  # (B, 128, H/8, W/8)
        map_8 = normalized(self.norm2, x)
        x = self.blocks3(self.patch_embed3(x))  # (B, 320, H/16, W/16)
        map_16 = normalized(self.norm3, x)
        x = self.blocks4(self.patch_embed4(x))  # (B, 512, H/32, W/32)
        map_32 = normalized(self.norm4, x)
        return map_4, map_8, map_16, map_32
