"""Networks whose files have lost the names of their modules, as files of other exporters."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import onnx
from torch import Tensor, nn
from torch.nn.functional import relu

from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec


class Residual(nn.Module):
    """Two convolutions with a shortcut, which is a third where the shape changes."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, out_channels, 3, stride, 1)
        self.refine = nn.Conv2d(out_channels, out_channels, 3, 1, 1)
        self.shortcut = nn.Conv2d(channels, out_channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.refine(relu(self.reduce(x)))  # (B, D, H/stride, W/stride)
        return relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet-18's plan at a sixteenth of its width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        widths = (4, 4, 4, 8, 8, 16, 16, 32, 32)
        self.blocks = nn.Sequential(
            *(Residual(before, after, after // before) for before, after in pairwise(widths))
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 4, H/4, W/4)
        x = self.blocks(x)  # (B, 32, H/32, W/32)
        return self.head(x.mean((2, 3)))  # (B, 10)


def resnet() -> GraphSpec:
    image, classes = TensorSpec("x", "float32", (1, 3, 64, 64)), TensorSpec("y", "float32", (1, 10))
    return GraphSpec("resnet", "user", ResNet, (image,), (classes,), {"x": (0.0, 1.0)})


def stripped(path: Path) -> Path:
    """The file without module metadata, and without its manifest."""
    model = onnx.load(path, load_external_data=False)
    for named in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del named.metadata_props[:]
    for node in model.graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
    plain = path.parent / "plain" / path.name
    plain.parent.mkdir()
    plain.write_bytes(model.SerializeToString())
    return plain
