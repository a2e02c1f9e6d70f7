"""Two networks of the reference model, small enough to run in a moment: the UNet, CLIP's text."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from onnxlens.reference_model.clip_text import ClipText
from onnxlens.reference_model.config import ClipTextConfig, UNetConfig
from onnxlens.reference_model.unet import UNet
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

UNET = UNetConfig(
    base_channels=32, multipliers=(1, 2), res_blocks=1, attention_at=(1,), heads=2, context_width=8
)
"""32 channels give each group of the norms one, and fill the blocks of every CPU's convolutions."""

TEXT = ClipTextConfig(vocabulary=20, positions=5, width=16, layers=2, heads=2, mlp_width=32)

BATCH, SIDE = 2, 8


class Denoiser(nn.Module):
    """The UNet without controls."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(UNET)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        return self.unet(x, timesteps, context)  # (B, 4, H, W)


def denoiser() -> GraphSpec:
    latent = (BATCH, UNET.in_channels, SIDE, SIDE)
    inputs = (
        TensorSpec("x", "float32", latent),
        TensorSpec("timesteps", "int64", (BATCH,)),
        TensorSpec("context", "float32", (BATCH, TEXT.positions, UNET.context_width)),
    )
    outputs = (TensorSpec("eps", "float32", latent),)
    ranges = {"x": (-1.0, 1.0), "timesteps": (0.0, 999.0), "context": (-1.0, 1.0)}
    return GraphSpec("denoiser", "user", Denoiser, inputs, outputs, ranges)


def text_encoder() -> GraphSpec:
    tokens = TensorSpec("tokens", "int64", (BATCH, TEXT.positions))
    context = TensorSpec("context", "float32", (BATCH, TEXT.positions, TEXT.width))
    ranges = {"tokens": (0.0, TEXT.vocabulary - 1.0)}
    return GraphSpec("text", "user", partial(ClipText, TEXT), (tokens,), (context,), ranges)
