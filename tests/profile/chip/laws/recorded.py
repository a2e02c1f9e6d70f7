"""What vendors' tools and simulators gave for layers: tests/data/vendor, made by scripts/vendor_records."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onnxlens.profile.chip.laws.ethos_u import layer_of
from onnxlens.profile.chip.laws.ethos_u_parts import PARTS, EthosLayer
from onnxlens.specs.array_fit import MatrixWork

DATA = Path(__file__).parents[3] / "data" / "vendor"
TRAVERSALS = {"PartKernel": "part-kernel", "DepthFirst": "depth-first", "Depthwise": "depthwise"}
TYPES = {"INT8": "int8xint8", "FLOAT16": "float16xfloat16", "8": "int8xint8", "16": "int8xint16"}

Row = dict[str, str]


def rows(name: str) -> Sequence[Row]:
    """The rows of a recorded table."""
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def sizes(text: str) -> tuple[int, ...]:
    """``3x5`` as numbers."""
    return tuple(map(int, text.split("x"))) if text else ()


def block(text: str) -> tuple[int, int, int]:
    """Height, width, channels."""
    height, width, channels = sizes(text)
    return height, width, channels


def ethos_layer(row: Row) -> EthosLayer:
    """A row of Vela's as it is scheduled; a pooling as the row says."""
    part, bricks = PARTS[row["config"]], (row["ifm_format"] == "NHCWB16", row["ofm_format"] == "NHCWB16")
    if row["kind"] == "pooling":
        kernel, stride = (int(row["kernel"]),) * 2, (int(row["stride"]),) * 2
        given, made = block(row["input"]), block(row["output"])
        return EthosLayer("pooling", given, made, kernel, stride, int(row["bits"]), is_max=True)
    return replace(layer_of(vela_work(row), part, int(row["bits"])), in_bricks=bricks)


def vela_work(row: Row) -> MatrixWork:
    """A row of Vela's as the file's graph has it."""
    (*given, inner), (height, width, outer) = block(row["input"]), block(row["output"])
    if row["kind"] == "matmul":
        return MatrixWork("matmul", 1, 1, inner, outer, height, width)
    kernel, stride, dilation = (sides(row[name]) for name in ("kernel", "stride", "dilation"))
    windows = (height, width, kernel, stride, dilation)
    if row["kind"] == "depthwise":
        return MatrixWork("depthwise", 1, inner, 1, outer // inner, *windows, given=tuple(given))
    return MatrixWork("convolution", 1, 1, inner, outer, *windows, given=tuple(given))


def sides(text: str) -> tuple[int, int]:
    """``3`` or ``3x1`` as height and width."""
    high, _, wide = text.partition("x")
    return int(high), int(wide or high)


def rknn_work(row: Row) -> MatrixWork:
    """A row of Rockchip's table; the toolkit stores depthwise weights as (1, C, h, w)."""
    given, weights, output = (sizes(row[name]) for name in ("input", "weights", "output"))
    if weights[0] == 1 and weights[1] == given[1] == output[1]:
        return MatrixWork("depthwise", 1, given[1], 1, 1, *output[2:], weights[2:], (1, 1), (1, 1))
    groups = given[1] // weights[1]
    channels = weights[1], weights[0] // groups
    return MatrixWork("convolution", 1, groups, *channels, *output[2:], weights[2:], (1, 1), (1, 1))


def tpu_mlir_work(row: Row) -> MatrixWork:
    """A row of the BM1684X's trace."""
    layer = "convolution" if row["kind"] == "Conv2D" else "matmul"
    times, inner, outer, height, width = (int(row[n]) for n in ("times", "inner", "outer", "height", "width"))
    kernel = sizes(row["kernel"])
    ones = (1,) * len(kernel)
    return MatrixWork(layer, times, 1, inner, outer, height, width, kernel, ones, ones)  # type: ignore[arg-type]
