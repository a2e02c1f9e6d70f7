"""The UNet in a small configuration: every kind of layer that the large one has, in two levels."""

from __future__ import annotations

from torch import nn

from onnxlens.reference_model.config import UNetConfig
from onnxlens.reference_model.unet import UNet
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

TARGET = "tests.small_unet:network"

CONFIG = UNetConfig(
    base_channels=32, multipliers=(1, 2), res_blocks=1, attention_at=(1,), heads=2, context_width=8
)
SIDE = 8
TOKENS = 5


def unet() -> nn.Module:
    return UNet(CONFIG)


def network() -> GraphSpec:
    return GraphSpec(
        "small-unet",
        "user",
        unet,
        inputs=(
            TensorSpec("x", "float32", (1, 4, SIDE, SIDE)),
            TensorSpec("timesteps", "int64", (1,)),
            TensorSpec("context", "float32", (1, TOKENS, CONFIG.context_width)),
        ),
        outputs=(TensorSpec("eps", "float32", (1, 4, SIDE, SIDE)),),
        input_ranges={"x": (-2.0, 2.0), "timesteps": (0, 999), "context": (-1.0, 1.0)},
    )
