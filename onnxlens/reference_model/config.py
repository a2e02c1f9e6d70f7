"""The sizes of the networks, free of torch; the defaults are those of the published files."""

from __future__ import annotations

from dataclasses import dataclass

from onnxlens.errors import UsageError


@dataclass(frozen=True, slots=True)
class Skip:
    """What the UNet's decoder takes from an input block: channels, at 1/``downsampling`` of the latent."""

    channels: int
    downsampling: int


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """The denoising UNet; a ControlNet shares all of it but the decoder.

    Attributes:
        multipliers: for each level, finest first, its channels as a multiple of ``base_channels``.
        res_blocks: in each level of the encoder; the decoder has one more.
        attention_at: the downsamplings whose levels have a spatial transformer after each res block.
        context_width: the channels of the text encoder's output.
    """

    in_channels: int = 4
    out_channels: int = 4
    base_channels: int = 320
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 2
    attention_at: tuple[int, ...] = (1, 2, 4)
    heads: int = 8
    context_width: int = 768

    @property
    def level_channels(self) -> tuple[int, ...]:
        """The channels of each level, finest first."""
        return tuple(self.base_channels * multiplier for multiplier in self.multipliers)

    @property
    def emb_channels(self) -> int:
        """The width of the timestep's embedding."""
        return 4 * self.base_channels

    @property
    def skips(self) -> tuple[Skip, ...]:
        """What each input block puts out: the stem, then each level's res blocks and downsampling."""
        skips = [Skip(self.base_channels, 1)]
        for level, channels in enumerate(self.level_channels):
            skips += [Skip(channels, 2**level)] * self.res_blocks
            if level + 1 < len(self.multipliers):
                skips.append(Skip(channels, 2 ** (level + 1)))
        return tuple(skips)

    @property
    def controls(self) -> tuple[Skip, ...]:
        """What a ControlNet puts out: one control for each skip, then one for the middle block."""
        return (*self.skips, self.skips[-1])


@dataclass(frozen=True, slots=True)
class ControlLdmConfig:
    """A ControlNet and the UNet it steers.

    Attributes:
        control_scales: what each control is multiplied by, in the ControlNet's order; 1 leaves it as it is.
        only_mid_control: the UNet takes the middle block's control alone.
    """

    unet: UNetConfig = UNetConfig()
    control_scales: tuple[float, ...] = (1.0,) * 13
    only_mid_control: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError where there is not one scale for each control."""
        expected = len(self.unet.controls)
        if len(self.control_scales) != expected:
            raise UsageError(
                f"control_scales has {len(self.control_scales)} entries, "
                f"but the ControlNet has {expected} outputs; give one scale to each"
            )


@dataclass(frozen=True, slots=True)
class VaeConfig:
    """The autoencoder between pixels and latents; its middle attention has one head.

    Attributes:
        multipliers: for each level, finest first, its channels as a multiple of ``base_channels``.
        res_blocks: in each level of the encoder; the decoder has one more.
    """

    image_channels: int = 3
    latent_channels: int = 4
    base_channels: int = 128
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 2

    @property
    def level_channels(self) -> tuple[int, ...]:
        """The channels of each level, finest first."""
        return tuple(self.base_channels * multiplier for multiplier in self.multipliers)

    @property
    def moment_channels(self) -> int:
        """The encoder's output: a mean and a log-variance for each latent channel."""
        return 2 * self.latent_channels


@dataclass(frozen=True, slots=True)
class ClipTextConfig:
    """The text encoder of CLIP ViT-L/14."""

    vocabulary: int = 49408
    positions: int = 77
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp_width: int = 3072


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


MLSD_LARGE_BACKBONE = MobileNetConfig(
    taps=(1, 3, 6, 10, 13), groups=(*STEM_GROUPS, InvertedResiduals(6, 96, 3, 1))
)
MLSD_TINY_BACKBONE = MobileNetConfig(taps=(3, 6, 10))


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


@dataclass(frozen=True, slots=True)
class UniFormerConfig:
    """UniFormer, small, for dense prediction.

    Attributes:
        channels, depths: of each stage.
        first_patch: pixels to one token of the first stage along each side; later stages halve.
        neighbors: the side of what a local block looks at.
        head_width: channels of one attention head.
    """

    in_channels: int = 3
    channels: tuple[int, ...] = (64, 128, 320, 512)
    depths: tuple[int, ...] = (3, 4, 8, 3)
    first_patch: int = 4
    neighbors: int = 5
    head_width: int = 64
    mlp_ratio: int = 4


@dataclass(frozen=True, slots=True)
class UperNetConfig:
    """The head that segments.

    Attributes:
        width: of every map of the pyramid.
        pooled_sides: the grids that the coarsest map is averaged over.
        auxiliary_stage: which map the classifier for training reads, from 0.
    """

    classes: int = 150
    width: int = 512
    pooled_sides: tuple[int, ...] = (1, 2, 3, 6)
    auxiliary_width: int = 256
    auxiliary_stage: int = 2
