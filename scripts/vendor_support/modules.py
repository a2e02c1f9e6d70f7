"""Write PyTorch modules of one operator as cases, for tools that convert from PyTorch and not from ONNX.

    python scripts/vendor_support/modules.py FOLDER

A case is what ``cases.py`` writes, with the module as ``module.pt2``; its node is the one of the ONNX file
that onnxlens exports of the same module. A module whose file has more nodes is left out: what a tool makes of
it says nothing of one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from cases import plain
from torch import Tensor, nn
from torch.nn import functional as F

from onnxlens import GraphSpec, TensorSpec
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import Settings
from onnxlens.api.traced import write_traced
from onnxlens.errors import OnnxlensError

FLAT, ROWS, TOKENS, PICTURE, CUBE = (8,), (2, 16), (1, 12, 16), (1, 8, 16, 16), (1, 4, 8, 8, 8)

Shape = tuple[int, ...]


class Does(nn.Module):
    """A module of a function of tensors."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Tensor) -> Any:
        """What the function makes."""
        return self.function(*given)


class With(nn.Module):
    """A module of a function of an input and a weight."""

    def __init__(self, function: Callable[..., Any], *shape: int) -> None:
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.rand(shape) + 0.5)

    def forward(self, x: Tensor) -> Any:
        """What the function makes."""
        return self.function(x, self.weight)


LAYERS: Mapping[str, tuple[Callable[[], nn.Module], Shape]] = {
    "conv": (lambda: nn.Conv2d(8, 16, 3, padding=1), PICTURE),
    "conv_without_bias": (lambda: nn.Conv2d(8, 16, 3, bias=False), PICTURE),
    "conv_1x1": (lambda: nn.Conv2d(8, 16, 1), PICTURE),
    "conv_stride_2": (lambda: nn.Conv2d(8, 16, 3, 2, 1), PICTURE),
    "conv_stride_4": (lambda: nn.Conv2d(8, 16, 4, 4), PICTURE),
    "conv_dilation_2": (lambda: nn.Conv2d(8, 16, 3, padding=2, dilation=2), PICTURE),
    "conv_groups": (lambda: nn.Conv2d(8, 16, 3, padding=1, groups=2), PICTURE),
    "conv_depthwise": (lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8), PICTURE),
    "conv_1d": (lambda: nn.Conv1d(12, 8, 3, padding=1), TOKENS),
    "conv_3d": (lambda: nn.Conv3d(4, 8, 3, padding=1), CUBE),
    "conv_transpose": (lambda: nn.ConvTranspose2d(8, 8, 2, 2), PICTURE),
    "conv_transpose_pads": (lambda: nn.ConvTranspose2d(8, 8, 4, 2, 1), PICTURE),
    "conv_transpose_stride_1": (lambda: nn.ConvTranspose2d(8, 8, 3), PICTURE),
    "conv_transpose_groups": (lambda: nn.ConvTranspose2d(8, 8, 2, 2, groups=2), PICTURE),
    "conv_transpose_1d": (lambda: nn.ConvTranspose1d(12, 8, 2, 2), TOKENS),
    "linear": (lambda: nn.Linear(16, 24), ROWS),
    "linear_without_bias": (lambda: nn.Linear(16, 24, bias=False), TOKENS),
    "batch_norm": (lambda: nn.BatchNorm2d(8), PICTURE),
    "layer_norm": (lambda: nn.LayerNorm(16), TOKENS),
    "layer_norm_picture": (lambda: nn.LayerNorm(16), PICTURE),
    "instance_norm": (lambda: nn.InstanceNorm2d(8, affine=True), PICTURE),
    "prelu": (lambda: nn.PReLU(8), PICTURE),
    "max_pool": (lambda: nn.MaxPool2d(2), PICTURE),
    "max_pool_overlapping": (lambda: nn.MaxPool2d(3, 2, 1), PICTURE),
    "max_pool_ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), PICTURE),
    "max_pool_1d": (lambda: nn.MaxPool1d(2), TOKENS),
    "max_pool_3d": (lambda: nn.MaxPool3d(2), CUBE),
    "average_pool": (lambda: nn.AvgPool2d(2), PICTURE),
    "average_pool_pads": (lambda: nn.AvgPool2d(3, 2, 1), PICTURE),
    "average_pool_uncounted": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), PICTURE),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), PICTURE),
    "pixel_unshuffle": (lambda: nn.PixelUnshuffle(2), PICTURE),
    "upsample_nearest": (lambda: nn.Upsample(scale_factor=2), PICTURE),
    "upsample_linear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), PICTURE),
    "upsample_corners": (lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), PICTURE),
    "upsample_cubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), PICTURE),
    "upsample_3": (lambda: nn.Upsample(scale_factor=3), PICTURE),
    "lstm": (lambda: nn.LSTM(16, 8, batch_first=False), TOKENS),
    "gru": (lambda: nn.GRU(16, 8, batch_first=False), TOKENS),
}
"""What has weights or settings of its own."""

UNARY: Mapping[str, Callable[[Tensor], Any]] = {
    "abs": torch.abs, "acos": torch.acos, "atan": torch.atan, "ceil": torch.ceil, "cos": torch.cos,
    "elu": F.elu, "erf": torch.erf, "exp": torch.exp, "floor": torch.floor, "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish, "leaky_relu": F.leaky_relu, "log": torch.log, "mish": F.mish,
    "neg": torch.neg, "reciprocal": torch.reciprocal, "relu": F.relu, "relu6": F.relu6, "round": torch.round,
    "selu": F.selu, "sigmoid": torch.sigmoid, "sign": torch.sign, "sin": torch.sin, "softplus": F.softplus,
    "softsign": F.softsign, "sqrt": torch.sqrt, "tan": torch.tan, "tanh": torch.tanh, "celu": F.celu,
    "clamp": lambda x: torch.clamp(x, 0.2, 0.7), "pow_2": lambda x: x**2, "pow_3": lambda x: x**3,
    "isnan": torch.isnan, "cast": lambda x: x.to(torch.int32),
}  # fmt: skip
"""Of every rank: the same of every element."""

ONE: Mapping[str, tuple[Callable[[Tensor], Any], Shape]] = {
    "softmax": (lambda x: x.softmax(-1), TOKENS),
    "softmax_rows": (lambda x: x.softmax(-1), ROWS),
    "softmax_picture": (lambda x: x.softmax(-1), PICTURE),
    "softmax_channels": (lambda x: x.softmax(1), PICTURE),
    "log_softmax": (lambda x: x.log_softmax(-1), ROWS),
    "mean_picture": (lambda x: x.mean((2, 3), keepdim=True), PICTURE),
    "mean_picture_dropped": (lambda x: x.mean((2, 3)), PICTURE),
    "mean_last": (lambda x: x.mean(-1, keepdim=True), TOKENS),
    "mean_channels": (lambda x: x.mean(1, keepdim=True), PICTURE),
    "sum_last": (lambda x: x.sum(-1, keepdim=True), TOKENS),
    "sum_picture": (lambda x: x.sum((2, 3)), PICTURE),
    "amax_last": (lambda x: x.amax(-1, keepdim=True), TOKENS),
    "amax_picture": (lambda x: x.amax((2, 3)), PICTURE),
    "amin_last": (lambda x: x.amin(-1, keepdim=True), TOKENS),
    "argmax_last": (lambda x: x.argmax(-1), ROWS),
    "argmax_channels": (lambda x: x.argmax(1), PICTURE),
    "topk": (lambda x: x.topk(3), ROWS),
    "cumsum": (lambda x: x.cumsum(-1), TOKENS),
    "prod_last": (lambda x: x.prod(-1), ROWS),
    "reshape_flat": (lambda x: x.reshape(1, -1), PICTURE),
    "reshape_heads": (lambda x: x.reshape(1, 12, 4, 4), TOKENS),
    "reshape_tokens": (lambda x: x.reshape(1, 8, 256), PICTURE),
    "transpose_last": (lambda x: x.transpose(1, 2), TOKENS),
    "transpose_rows": (lambda x: x.t(), ROWS),
    "transpose_to_last": (lambda x: x.permute(0, 2, 3, 1), PICTURE),
    "transpose_to_first": (lambda x: x.permute(0, 3, 1, 2), PICTURE),
    "transpose_heads": (lambda x: x.transpose(1, 2), PICTURE),
    "transpose_shuffle": (lambda x: x.permute(0, 2, 1, 3, 4), CUBE),
    "squeeze": (lambda x: x.squeeze(0), TOKENS),
    "unsqueeze": (lambda x: x.unsqueeze(1), TOKENS),
    "unsqueeze_last": (lambda x: x.unsqueeze(-1), TOKENS),
    "split_channels": (lambda x: x.split(4, 1), PICTURE),
    "split_last": (lambda x: x.chunk(2, -1), TOKENS),
    "slice_picture": (lambda x: x[:, :, 2:14, 2:14], PICTURE),
    "slice_steps": (lambda x: x[:, :, ::2], PICTURE),
    "slice_channels": (lambda x: x[:, 2:6], PICTURE),
    "slice_tokens": (lambda x: x[:, 3:], TOKENS),
    "select_token": (lambda x: x[:, 0], TOKENS),
    "flip": (lambda x: x.flip(-1), PICTURE),
    "expand": (lambda x: x.expand(4, 12, 16), TOKENS),
    "repeat": (lambda x: x.repeat(1, 2, 1), TOKENS),
    "pad_zeros": (lambda x: F.pad(x, (1, 1, 1, 1)), PICTURE),
    "pad_value": (lambda x: F.pad(x, (0, 1, 0, 1), value=1.0), PICTURE),
    "pad_channels": (lambda x: F.pad(x, (0, 0, 0, 0, 0, 4)), PICTURE),
    "pad_reflect": (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), PICTURE),
    "pad_replicate": (lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"), PICTURE),
    "tril": (lambda x: x.tril(), ROWS),
    "global_average_pool": (lambda x: F.adaptive_avg_pool2d(x, 1), PICTURE),
    "add_number": (lambda x: x + 0.3, PICTURE),
    "mul_number": (lambda x: x * 0.3, PICTURE),
    "div_number": (lambda x: x / 0.3, PICTURE),
    "number_sub": (lambda x: 1.0 - x, PICTURE),
    "greater_number": (lambda x: x > 0.5, PICTURE),
    "einsum": (lambda x: torch.einsum("bij,bkj->bik", x, x), TOKENS),
}
"""Of one input."""

TWO: Mapping[str, tuple[Callable[[Tensor, Tensor], Any], Shape, Shape]] = {
    "matmul": (torch.matmul, (1, 12, 16), (1, 16, 12)),
    "matmul_rows": (torch.matmul, (12, 16), (16, 12)),
    "matmul_heads": (torch.matmul, (1, 4, 12, 16), (1, 4, 16, 12)),
    "concat_channels": (lambda x, y: torch.cat((x, y), 1), PICTURE, PICTURE),
    "concat_last": (lambda x, y: torch.cat((x, y), -1), TOKENS, TOKENS),
    "concat_first": (lambda x, y: torch.cat((x, y), 0), TOKENS, TOKENS),
    "where": (lambda x, y: torch.where(x > y, x, y), PICTURE, PICTURE),
    "grid_sample": (lambda x, y: F.grid_sample(x, y, align_corners=False), PICTURE, (1, 6, 6, 2)),
}
"""Of two inputs."""

BINARY: Mapping[str, Callable[[Tensor, Tensor], Any]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum,
    "minimum": torch.minimum, "pow": torch.pow, "greater": torch.gt, "less": torch.lt, "equal": torch.eq,
    "greater_equal": torch.ge, "less_equal": torch.le,
}  # fmt: skip
"""Of two inputs of every rank; some also of an input and a weight, or with sizes of 1."""

BROADCAST = ("add", "sub", "mul", "div")


def entries() -> Mapping[str, tuple[Callable[[], nn.Module], tuple[Shape, ...]]]:
    """Every module by its name, with the shapes of its inputs."""
    found: dict[str, tuple[Callable[[], nn.Module], tuple[Shape, ...]]] = {}
    for name, (make, shape) in LAYERS.items():
        found[name] = make, (shape,)
    ranks = {"rows": ROWS, "tokens": TOKENS, "picture": PICTURE}
    for name, function in UNARY.items():
        for rank, shape in ranks.items():
            found[f"{name}_of_{rank}"] = (lambda function=function: Does(function)), (shape,)
    for name, (one, shape) in ONE.items():
        found[name] = (lambda one=one: Does(one)), (shape,)
    for name, (two, *shapes) in TWO.items():
        found[name] = (lambda two=two: Does(two)), tuple(shapes)
    for name, both in BINARY.items():
        for rank, shape in ranks.items():
            found[f"{name}_of_{rank}"] = (lambda both=both: Does(both)), (shape, shape)
        if name in BROADCAST:
            channels = (1, 8, 1, 1)
            found[f"{name}_channels"] = (lambda both=both: Does(both)), (PICTURE, channels)
            found[f"{name}_weight"] = (lambda both=both: With(both, 8, 1, 1)), (PICTURE,)
            found[f"{name}_weight_of_tokens"] = (lambda both=both: With(both, 16)), (TOKENS,)
    found["gather_rows"] = (lambda: With(lambda x, weight: weight[x], 32, 16)), ((1, 12),)
    found["matmul_weight"] = (lambda: With(torch.matmul, 16, 24)), (TOKENS,)
    return found


def __getattr__(name: str) -> Any:
    """The factory of each module, as a target names it."""
    make, shapes = entries()[name]

    def spec() -> GraphSpec:
        kind = "int64" if name == "gather_rows" else "float32"
        inputs = tuple(TensorSpec(f"x{at}", kind, shape) for at, shape in enumerate(shapes))
        ranges = {each.name: (0.0, 31.0) if kind == "int64" else (0.1, 0.9) for each in inputs}
        return GraphSpec(name, "user", make, inputs, (), input_ranges=ranges)

    return spec


def main(folder: Path) -> None:
    """Write all cases."""
    for name in entries():
        out = folder / name
        if out.exists():
            continue
        try:
            with opened(f"modules:{name}", Settings(weights="seeded", cache=False)) as it:
                write(it, out)
        except OnnxlensError as error:
            print(f"{name}: {error}")


def write(it: OpenedTarget, out: Path) -> None:
    """One case, if one node runs."""
    running = [node.view for node in it.graph.nodes if not node.constant_folded]
    if len(running) != 1:
        print(f"{out.name}: {', '.join(view.op_type for view in running)}")
        return
    (view,) = running
    case = {
        "op_type": view.op_type,
        "domain": view.domain,
        "opset": onnx.defs.get_schema(view.op_type, view.version, view.domain).since_version,
        "types": [value.dtype if value else "" for value in view.inputs],
        "ranks": [len(value.shape) if value else -1 for value in view.inputs],
        "constant": [at for at, value in enumerate(view.inputs) if value and value.is_weight],
        "attributes": {name: plain(value) for name, value in view.attributes.items()},
        "inputs": list(it.inputs),
        "outputs": [value.name for value in view.outputs if value],
    }
    out.mkdir(parents=True)
    write_traced(it, out / "module.pt2")
    np.savez(out / "data.npz", **{f"in_{name}": array for name, array in it.inputs.items()})
    (out / "case.json").write_text(json.dumps(case, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
