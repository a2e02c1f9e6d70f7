"""The networks that the tools compiled, how they are made, and what each tool is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from onnxlens import GraphSpec, TensorSpec
from onnxlens.api.extract import extract_module
from onnxlens.api.target import Settings, Target
from onnxlens.specs.progress import Progress, silent

PIXELS = 128


@dataclass(frozen=True)
class Network:
    """One of them.

    Attributes:
        title: its heading on the page.
        target: of the catalog, or a factory.
        module: the part of it that is compiled; "" for all.
        depth: of the modules in the table.
        is_of_pixels: whether it is compiled at ``PIXELS``, and not at a size of its own.
        opset: of a factory: tpu-mlir takes no ReduceMean of 18, whose axes are an input.
    """

    name: str
    title: str
    target: str
    depth: int
    module: str = ""
    is_of_pixels: bool = True
    opset: int | None = None

    def settings(self, weights: str) -> Settings:
        """One picture of a small size, which the simulators are done with in minutes."""
        if ":" in self.target:  # a factory decides itself
            return Settings(weights=weights, opset=self.opset)
        pixels = PIXELS if self.is_of_pixels else None
        return Settings(weights=weights, batch=1, height=pixels, width=pixels)

    def given(
        self, folder: Path, weights: str, progress: Progress = silent
    ) -> tuple[Target, Settings | None]:
        """What the tools are given: the graph, or a file of its part in the folder."""
        if not self.module:
            return self.target, self.settings(weights)
        path = folder / f"{self.name}.onnx"
        extract_module(self.target, self.module, path, self.settings(weights), progress=progress)
        return path, None


NETWORKS: Sequence[Network] = (
    Network("hed", "HED, 128 x 128", "hed", 2),
    Network("mlsd-tiny", "M-LSD tiny, 128 x 128", "mlsd-tiny", 2),
    Network("clip-text", "CLIP's text encoder, 77 tokens", "clip-text", 5, is_of_pixels=False),
    Network("unet-block", "A block of the UNet, 128 x 128", "sd-unet", 4, module="input_blocks.1"),
    Network(
        "resnet-18", "ResNet-18 of transformers, 224 x 224",
        "reference_report.vendors.networks:resnet_18", 4, opset=17,
    ),
)  # fmt: skip

CHIPS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "k230": ("",),
        "ethos-u": ("u55-256", "u85-512"),
        "qnn": ("v75",),
        "tpu-mlir": ("bm1684x",),
        "rknn": ("rk3588",),
        "openvino": ("",),
    }
)
"""By tool what it compiles for."""


@dataclass(frozen=True)
class Measured:
    """How often a tool runs whose figures are of this machine: what else that does only makes them larger."""

    runs: int
    unit: str


MEASURED: Mapping[str, Measured] = MappingProxyType(
    {"openvino": Measured(5, "ms"), "qnn": Measured(3, "million cycles")}
)
"""The HTP's simulator counts the cycles of the processor that it runs on."""


def resnet_18() -> GraphSpec:
    """The ResNet-18 that the package ``transformers`` builds, without its weights."""
    from transformers import ResNetConfig, ResNetForImageClassification

    def build() -> ResNetForImageClassification:
        config = ResNetConfig(
            hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic", num_labels=1000
        )
        return ResNetForImageClassification(config)

    pixels = TensorSpec("pixel_values", "float32", (1, 3, 224, 224))
    logits = TensorSpec("logits", "float32", (1, 1000))
    return GraphSpec(
        "resnet-18", "user", build, (pixels,), (logits,), input_ranges={"pixel_values": (-2.0, 2.0)}
    )
