"""MiDaS DPT-hybrid: depth from one picture.

Ranftl et al. 2019, "Towards Robust Monocular Depth Estimation", arXiv 1907.01341; the architecture is that of
Ranftl et al. 2021, "Vision Transformers for Dense Prediction", arXiv 2103.13413.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from onnxlens.reference_model.annotators.vision_transformer import HybridVit, VitTaps
from onnxlens.reference_model.attention import to_map
from onnxlens.reference_model.config import DptHybridConfig
from onnxlens.reference_model.layers import conv1x1, conv3x3, double


class Readout(nn.Module):
    """Adds what the class token knows to every patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * width, width), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, 1 + L, C) to patches (B, L, C)."""
        cls_token, patches = tokens[:, :1], tokens[:, 1:]  # (B, 1, C), (B, L, C)
        x: Tensor = torch.cat([patches, cls_token.expand_as(patches)], dim=2)  # (B, L, 2C)
        x = self.project(x)  # (B, L, C)
        return x


class Reassemble(nn.ModuleList):
    """Tokens back to a feature map."""

    def __init__(self, width: int, *, halved: bool) -> None:
        super().__init__(
            [
                Readout(width),
                nn.Identity(),  # the published network's transposition and unflattening, which ``forward``
                nn.Identity(),  # does, so that the convolution has index 3
                conv1x1(width, width),
            ]
        )
        if halved:
            self.append(conv3x3(width, width, stride=2))

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Tokens (B, 1 + h * w, C) to (B, C, h, w), or (B, C, h/2, w/2) where halved."""
        readout, _, _, *convs = self
        x: Tensor = readout(tokens)  # (B, h * w, C)
        x = to_map(x, height, width)  # (B, C, h, w)
        for conv in convs:
            x = conv(x)
        return x


class Pretrained(nn.Module):
    """The encoder under the name it has in a checkpoint: four maps of an image, fine to coarse."""

    def __init__(self, config: DptHybridConfig) -> None:
        super().__init__()
        self.patch_pixels = config.patch_pixels
        self.model = HybridVit(config)
        self.act_postprocess3 = Reassemble(config.width, halved=False)
        self.act_postprocess4 = Reassemble(config.width, halved=True)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to maps at 1/4, 1/8, 1/16 and 1/32 of 256, 512, 768 and 768 channels."""
        grid = image.shape[2] // self.patch_pixels, image.shape[3] // self.patch_pixels
        taps: VitTaps = self.model(image)
        map_16 = self.act_postprocess3(taps.tokens_early, *grid)  # (B, 768, H/16, W/16)
        map_32 = self.act_postprocess4(taps.tokens_late, *grid)  # (B, 768, H/32, W/32)
        return taps.map_4, taps.map_8, map_16, map_32


class ResidualUnit(nn.Module):
    """Two convolutions, each after its activation, and a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.act1 = nn.ReLU()
        self.conv1 = conv3x3(channels, channels)
        self.act2 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        h: Tensor = self.conv1(self.act1(x))  # (B, C, H, W)
        h = self.conv2(self.act2(h))  # (B, C, H, W)
        return x + h


class FusionBlock(nn.Module):
    """Adds a finer map to what the coarser ones gave, refines, and doubles the resolution.

    The coarsest block has nothing to add: its ``resConfUnit1`` is in the published file and never runs.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resConfUnit1 = ResidualUnit(channels)
        self.resConfUnit2 = ResidualUnit(channels)
        self.out_conv = conv1x1(channels, channels)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """(B, C, H, W), and the finer map of that shape if there is one, to (B, C, 2H, 2W)."""
        if skip is not None:
            x = x + self.resConfUnit1(skip)  # (B, C, H, W)
        x = self.resConfUnit2(x)  # (B, C, H, W)
        x = double(x)  # (B, C, 2H, 2W)
        x = self.out_conv(x)  # (B, C, 2H, 2W)
        return x


class DepthHead(nn.Sequential):
    """Features at half the image's resolution to one value for each pixel, never negative."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            conv3x3(channels, channels // 2),
            nn.UpsamplingBilinear2d(scale_factor=2),  # the corners kept in place
            conv3x3(channels // 2, 32),
            nn.ReLU(),
            conv1x1(32, 1),
            nn.ReLU(),
        )


class Scratch(nn.Module):
    """The decoder under the name it has in a checkpoint: that part which was trained from scratch."""

    def __init__(self, config: DptHybridConfig) -> None:
        super().__init__()
        channels = config.fusion_channels
        first, second, _ = config.stage_channels
        self.layer1_rn = conv3x3(first, channels, bias=False)
        self.layer2_rn = conv3x3(second, channels, bias=False)
        self.layer3_rn = conv3x3(config.width, channels, bias=False)
        self.layer4_rn = conv3x3(config.width, channels, bias=False)
        self.refinenet1 = FusionBlock(channels)
        self.refinenet2 = FusionBlock(channels)
        self.refinenet3 = FusionBlock(channels)
        self.refinenet4 = FusionBlock(channels)
        self.output_conv = DepthHead(channels)

    def forward(self, map_4: Tensor, map_8: Tensor, map_16: Tensor, map_32: Tensor) -> Tensor:
        """The encoder's maps, by their reduction, to the depth (B, 1, H, W)."""
        layer_1 = self.layer1_rn(map_4)  # (B, 256, H/4, W/4)
        layer_2 = self.layer2_rn(map_8)  # (B, 256, H/8, W/8)
        layer_3 = self.layer3_rn(map_16)  # (B, 256, H/16, W/16)
        layer_4 = self.layer4_rn(map_32)  # (B, 256, H/32, W/32)
        x: Tensor = self.refinenet4(layer_4)  # (B, 256, H/16, W/16)
        x = self.refinenet3(x, layer_3)  # (B, 256, H/8, W/8)
        x = self.refinenet2(x, layer_2)  # (B, 256, H/4, W/4)
        x = self.refinenet1(x, layer_1)  # (B, 256, H/2, W/2)
        x = self.output_conv(x)  # (B, 1, H, W)
        return x


class DptHybrid(nn.Module):
    """Inverse relative depth, larger where nearer, up to a scale and a shift that are unknown."""

    def __init__(self, config: DptHybridConfig) -> None:
        super().__init__()
        self.pretrained = Pretrained(config)
        self.scratch = Scratch(config)

    def forward(self, image: Tensor) -> Tensor:
        """Estimate depth: RGB, -1 to 1, (B, 3, H, W), to (B, H, W)."""
        maps = self.pretrained(image)  # 1/4, 1/8, 1/16, 1/32
        depth: Tensor = self.scratch(*maps)  # (B, 1, H, W)
        return depth.squeeze(1)  # (B, H, W)
