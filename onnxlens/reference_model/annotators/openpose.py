"""OpenPose: where the joints of bodies and of a hand are (Cao et al. 2019, arXiv 1812.08008).

The published checkpoints hold layer names alone, such as ``Mconv7_stage6_L2``. The networks are therefore
flat: each layer is a submodule under its published name, which says stage and branch, and what runs in a row
is a tuple of names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from onnxlens.reference_model.config import OpenPoseBodyConfig, OpenPoseHandConfig


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution that keeps the size, by its published name; ``relu`` follows it or not."""

    name: str
    channels: int
    kernel: int = 3
    relu: bool = True


@dataclass(frozen=True, slots=True)
class Pool:
    """A 2x2 maximum, which halves the resolution; it has no weights, so the name is our own."""

    name: str


Row = tuple[Layer | Pool, ...]
"""Layers that run one after the other."""

VGG: Row = (
    Layer("conv1_1", 64),
    Layer("conv1_2", 64),
    Pool("pool1"),
    Layer("conv2_1", 128),
    Layer("conv2_2", 128),
    Pool("pool2"),
    *(Layer(f"conv3_{index}", 256) for index in range(1, 5)),
    Pool("pool3"),
)
"""What both networks begin with: (B, 3, H, W) to (B, 256, H/8, W/8)."""


def body_features(channels: int) -> Row:
    """What both branches of every stage see of the image."""
    return (
        *VGG,
        Layer("conv4_1", 512),
        Layer("conv4_2", 512),
        Layer("conv4_3_CPM", 256),
        Layer("conv4_4_CPM", channels),
    )


def hand_features(channels: int) -> Row:
    """What every stage sees of the image."""
    return (
        *VGG,
        *(Layer(f"conv4_{index}", 512) for index in range(1, 5)),
        Layer("conv5_1", 512),
        Layer("conv5_2", 512),
        Layer("conv5_3_CPM", channels),
    )


def body_first_stage(branch: str, maps: int) -> Row:
    """The first guess of one branch, from the features alone."""
    return (
        *(Layer(f"conv5_{index}_CPM_{branch}", 128) for index in range(1, 4)),
        Layer(f"conv5_4_CPM_{branch}", 512, kernel=1),
        Layer(f"conv5_5_CPM_{branch}", maps, kernel=1, relu=False),
    )


def hand_first_stage(maps: int) -> Row:
    """The first guess, from the features alone."""
    return (
        Layer("conv6_1_CPM", 512, kernel=1),
        Layer("conv6_2_CPM", maps, kernel=1, relu=False),
    )


def refinement(stage: str, maps: int, *, ends_in_relu: bool = False) -> Row:
    """A better guess, from the last one and the features; ``stage`` is as the layers' names have it."""
    return (
        *(Layer(f"Mconv{index}_{stage}", 128, kernel=7) for index in range(1, 6)),
        Layer(f"Mconv6_{stage}", 128, kernel=1),
        Layer(f"Mconv7_{stage}", maps, kernel=1, relu=ends_in_relu),
    )


class PoseConv(nn.Conv2d):
    """A convolution that keeps the size, and its activation."""

    def __init__(self, in_channels: int, layer: Layer) -> None:
        super().__init__(in_channels, layer.channels, layer.kernel, padding=layer.kernel // 2)
        self.relu = nn.ReLU() if layer.relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H, W)."""
        x = super().forward(x)  # (B, D, H, W)
        x = self.relu(x)  # (B, D, H, W)
        return x


class PoseNetwork(nn.Module):
    """Layers side by side under their published names, and how to run a row of them."""

    def add_row(self, in_channels: int, row: Row) -> tuple[str, ...]:
        """Make the layers of a row as submodules of this one; their names are what ``run`` takes."""
        for layer in row:
            match layer:
                case Pool(name):
                    self.add_module(name, nn.MaxPool2d(kernel_size=2))
                case Layer(name, channels):
                    self.add_module(name, PoseConv(in_channels, layer))
                    in_channels = channels
        return tuple(layer.name for layer in row)

    def run(self, row: tuple[str, ...], x: Tensor) -> Tensor:
        """What the layers of the row make of x, one after the other."""
        for name in row:
            x = self.get_submodule(name)(x)
        return x


class OpenPoseBody(PoseNetwork):
    """Part affinity fields (L1) and joint heatmaps (L2) of bodies, guessed once and refined five times."""

    def __init__(self, config: OpenPoseBodyConfig) -> None:
        super().__init__()
        pafs, heatmaps, features = config.pafs, config.heatmaps, config.features
        self.features = self.add_row(3, body_features(features))
        self.paf_stages = [self.add_row(features, body_first_stage("L1", pafs))]
        self.heatmap_stages = [self.add_row(features, body_first_stage("L2", heatmaps))]
        seen = pafs + heatmaps + features
        for stage in range(2, config.stages + 1):
            # the published network has this one activation too many: its heatmaps are never negative
            last = stage == config.stages
            self.paf_stages.append(self.add_row(seen, refinement(f"stage{stage}_L1", pafs)))
            self.heatmap_stages.append(
                self.add_row(seen, refinement(f"stage{stage}_L2", heatmaps, ends_in_relu=last))
            )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Find joints and limbs in an image.

        Args:
            image: BGR, value / 256 - 0.5, (B, 3, H, W).

        Returns:
            Part affinity fields (B, 38, H/8, W/8) and heatmaps (B, 19, H/8, W/8), of the last stage.
        """
        features = self.run(self.features, image)  # (B, 128, H/8, W/8)
        paf = self.run(self.paf_stages[0], features)  # (B, 38, H/8, W/8)
        heatmap = self.run(self.heatmap_stages[0], features)  # (B, 19, H/8, W/8)
        for paf_stage, heatmap_stage in zip(self.paf_stages[1:], self.heatmap_stages[1:], strict=True):
            x = torch.cat([paf, heatmap, features], dim=1)  # (B, 185, H/8, W/8)
            paf = self.run(paf_stage, x)  # (B, 38, H/8, W/8)
            heatmap = self.run(heatmap_stage, x)  # (B, 19, H/8, W/8)
        return paf, heatmap


class OpenPoseHand(PoseNetwork):
    """Joint heatmaps of a hand, guessed once and refined five times (Simon et al. 2017, arXiv 1704.07809)."""

    def __init__(self, config: OpenPoseHandConfig) -> None:
        super().__init__()
        heatmaps, features = config.heatmaps, config.features
        self.features = self.add_row(3, hand_features(features))
        self.stages = [self.add_row(features, hand_first_stage(heatmaps))]
        for stage in range(2, config.stages + 1):
            self.stages.append(self.add_row(heatmaps + features, refinement(f"stage{stage}", heatmaps)))

    def forward(self, image: Tensor) -> Tensor:
        """Find joints in an image of a hand: BGR, value / 256 - 0.5, (B, 3, H, W) to (B, 22, H/8, W/8)."""
        features = self.run(self.features, image)  # (B, 128, H/8, W/8)
        heatmap = self.run(self.stages[0], features)  # (B, 22, H/8, W/8)
        for stage in self.stages[1:]:
            x = torch.cat([heatmap, features], dim=1)  # (B, 150, H/8, W/8)
            heatmap = self.run(stage, x)  # (B, 22, H/8, W/8)
        return heatmap
