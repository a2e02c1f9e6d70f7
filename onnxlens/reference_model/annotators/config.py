"""The sizes of the annotators' networks, free of torch; the defaults are those of the published files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenPoseBodyConfig:
    """Body poses.

    Attributes:
        pafs: part affinity fields, two maps for each of 19 limbs.
        heatmaps: 18 joints and the background.
        features: channels of what every stage sees of the image.
        stages: the first guess, and one for each refinement.
    """

    pafs: int = 38
    heatmaps: int = 19
    features: int = 128
    stages: int = 6


@dataclass(frozen=True, slots=True)
class OpenPoseHandConfig:
    """Hand poses: 21 joints and the background, and no part affinity fields."""

    heatmaps: int = 22
    features: int = 128
    stages: int = 6


@dataclass(frozen=True, slots=True)
class InvertedResiduals:
    """A group of inverted residuals of MobileNetV2: t, c, n and s in its paper's table 2.

    Attributes:
        expansion: the inner width, as a multiple of the input's.
        channels: of the output.
        blocks: how many.
        stride: of the first one.
    """

    expansion: int
    channels: int
    blocks: int
    stride: int


STEM_GROUPS = (
    InvertedResiduals(1, 16, 1, 1),
    InvertedResiduals(6, 24, 2, 2),
    InvertedResiduals(6, 32, 3, 2),
    InvertedResiduals(6, 64, 4, 2),
)


@dataclass(frozen=True, slots=True)
class MobileNetConfig:
    """The backbone of MLSD: the first groups of MobileNetV2, for an image with a plane of ones.

    Attributes:
        taps: the features whose outputs the decoder reads, shallow to deep, counted with the stem as 0.
    """

    taps: tuple[int, ...]
    groups: tuple[InvertedResiduals, ...] = STEM_GROUPS
    in_channels: int = 4
    stem_channels: int = 32


@dataclass(frozen=True, slots=True)
class MlsdLargeConfig:
    """Straight lines, large."""

    backbone: MobileNetConfig = MobileNetConfig(
        taps=(1, 3, 6, 10, 13), groups=(*STEM_GROUPS, InvertedResiduals(6, 96, 3, 1))
    )


@dataclass(frozen=True, slots=True)
class MlsdTinyConfig:
    """Straight lines, tiny."""

    backbone: MobileNetConfig = MobileNetConfig(taps=(3, 6, 10))


@dataclass(frozen=True, slots=True)
class DptHybridConfig:
    """MiDaS DPT-hybrid: a ResNetV2 whose last map a vision transformer refines, and a convolutional decoder.

    Attributes:
        stage_channels: outputs of the ResNet's stages; their bottlenecks' middle is a quarter of it.
        stage_blocks: bottlenecks in each stage.
        pretrained_grid: the positions along each side that position embeddings were learned for.
        patch_pixels: pixels to one token along each side: what the ResNet's downsampling comes to.
        depth: transformer blocks.
        taps: the blocks whose tokens the decoder reads.
        classes: of a classifier that the file holds and nothing uses.
        fusion_channels: of the decoder.
    """

    stem_channels: int = 64
    stage_channels: tuple[int, ...] = (256, 512, 1024)
    stage_blocks: tuple[int, ...] = (3, 4, 9)
    pretrained_grid: int = 24
    patch_pixels: int = 16
    width: int = 768
    heads: int = 12
    mlp_width: int = 3072
    depth: int = 12
    taps: tuple[int, int] = (8, 11)
    classes: int = 1000
    fusion_channels: int = 256
