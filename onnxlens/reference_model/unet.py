"""The UNet of Stable Diffusion 1.5, and the encoder that a ControlNet has in common with it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from onnxlens.errors import UsageError
from onnxlens.reference_model.attention import SpatialTransformer
from onnxlens.reference_model.config import UNetConfig
from onnxlens.reference_model.layers import GROUPS, Downsample, ResBlock, TimestepEmbedding, Upsample, conv3x3


class UNetBlock(nn.ModuleList):
    """Layers that run one after the other, each given the condition that it takes."""

    def forward(self, x: Tensor, emb: Tensor, context: Tensor) -> Tensor:
        """Run x (B, C, H, W) through, with the timestep's embedding (B, E) and the text's (B, S, D)."""
        for layer in self:
            match layer:
                case ResBlock():
                    x = layer(x, emb)
                case SpatialTransformer():
                    x = layer(x, context)
                case _:
                    x = layer(x)
        return x


class EncoderBlock(UNetBlock):
    """One of ``input_blocks``: the stem, a res block with or without a transformer, or a downsampling."""


class MiddleBlock(UNetBlock):
    """The block between encoder and decoder: res block, transformer, res block."""


class DecoderBlock(UNetBlock):
    """One of ``output_blocks``: res block, transformer on the finer levels, upsampling where a level ends."""


def res_layers(in_channels: int, level: int, config: UNetConfig) -> list[nn.Module]:
    """A res block to the channels of ``level``, and a transformer where the level has attention."""
    channels = config.level_channels[level]
    layers: list[nn.Module] = [ResBlock(in_channels, channels, config.emb_channels)]
    if 2**level in config.attention_at:
        layers.append(SpatialTransformer(channels, config.context_width, config.heads))
    return layers


def encoder_blocks(config: UNetConfig) -> Iterator[EncoderBlock]:
    """The stem, then level by level, finest first, the res blocks and the downsampling to the next level."""
    yield EncoderBlock([conv3x3(config.in_channels, config.base_channels)])
    channels = config.base_channels
    for level, level_channels in enumerate(config.level_channels):
        for _ in range(config.res_blocks):
            yield EncoderBlock(res_layers(channels, level, config))
            channels = level_channels
        if level + 1 < len(config.level_channels):
            yield EncoderBlock([Downsample(channels)])


def middle_block(config: UNetConfig) -> MiddleBlock:
    """The layers of the coarsest level, where every position sees all others."""
    channels = config.level_channels[-1]
    return MiddleBlock(
        [
            ResBlock(channels, channels, config.emb_channels),
            SpatialTransformer(channels, config.context_width, config.heads),
            ResBlock(channels, channels, config.emb_channels),
        ]
    )


def decoder_blocks(config: UNetConfig) -> Iterator[DecoderBlock]:
    """Level by level, coarsest first: a res block for each skip; a level's last block ends by upsampling."""
    skips = [skip.channels for skip in config.skips]
    channels = config.level_channels[-1]
    for level, level_channels in reversed(list(enumerate(config.level_channels))):
        for index in range(config.res_blocks + 1):
            layers = res_layers(channels + skips.pop(), level, config)
            channels = level_channels
            if level > 0 and index == config.res_blocks:
                layers.append(Upsample(channels))
            yield DecoderBlock(layers)


class UNetEncoder(nn.Module):
    """The part that UNet and ControlNet have in common: timestep embedding, encoder and middle block."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.time_embed = TimestepEmbedding(config.base_channels, config.emb_channels)
        self.input_blocks = nn.ModuleList(encoder_blocks(config))
        self.middle_block = middle_block(config)

    def encode(
        self, x: Tensor, emb: Tensor, context: Tensor, guide: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Run the input blocks one at a time: what the caller does with an output runs before the next block.

        Args:
            x: the latent, (B, 4, H, W).
            emb: the timestep's embedding, (B, E).
            context: the text's embedding, (B, S, D).
            guide: added to the stem's output, (B, C, H, W); None adds nothing.

        Yields:
            The output of each block, as ``UNetConfig.skips`` lists them.
        """
        stem, *stages = self.input_blocks
        h = stem(x, emb, context)
        if guide is not None:
            h = h + guide
        yield h
        for block in stages:
            h = block(h, emb, context)
            yield h


class UNet(UNetEncoder):
    """Predicts the noise in a latent from the timestep and the text, steered by controls if there are any.

    Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models", arXiv 2112.10752.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.output_blocks = nn.ModuleList(decoder_blocks(config))
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, config.base_channels, eps=1e-5),
            nn.SiLU(),
            conv3x3(config.base_channels, config.out_channels),
        )

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, *controls: Tensor) -> Tensor:
        """One denoising step: the last control is added after the middle block, those before it to the skips.

        Args:
            x: the latent, (B, 4, H, W).
            timesteps: (B,).
            context: the text's embedding, (B, 77, 768).
            *controls: none, the middle block's alone, or one for each skip and then the middle block's.

        Returns:
            The noise, (B, 4, H, W).

        Raises:
            UsageError: the number of controls is another.
        """
        waiting = self._checked(controls)
        emb = self.time_embed(timesteps, x.dtype)  # (B, 1280)
        skips = list(self.encode(x, emb, context))  # 12 x (B, C, H/d, W/d)
        h: Tensor = self.middle_block(skips[-1], emb, context)  # (B, 1280, H/8, W/8)
        if waiting:
            h = h + waiting.pop()
        for block in self.output_blocks:
            skip = skips.pop()
            if waiting:
                skip = skip + waiting.pop()
            h = torch.cat([h, skip], dim=1)  # (B, C + C_skip, H/d, W/d)
            h = block(h, emb, context)  # (B, C', H/d', W/d')
        h = self.out(h)  # (B, 4, H, W)
        return h

    def _checked(self, controls: tuple[Tensor, ...]) -> list[Tensor]:
        """The controls as a list to take from, once their number is known to be right."""
        full = len(self.input_blocks) + 1
        if len(controls) not in (0, 1, full):
            raise UsageError(
                f"the UNet was given {len(controls)} controls; give none, the middle one alone, or all {full}"
            )
        return list(controls)
