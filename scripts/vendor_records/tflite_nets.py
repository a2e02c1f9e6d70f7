"""Int8 TFLite files of layers and of small public networks, with random weights, for ethos-u-vela 5.2.0.

Written with the schema that Vela brings, so that its virtual environment suffices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers
import numpy as np
from ethosu.vela.tflite import (
    AddOptions,
    Buffer,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    Model,
    Operator,
    OperatorCode,
    Pool2DOptions,
    QuantizationParameters,
    ReshapeOptions,
    SubGraph,
    Tensor,
)
from ethosu.vela.tflite.BuiltinOperator import BuiltinOperator as Op
from ethosu.vela.tflite.BuiltinOptions import BuiltinOptions as Options
from ethosu.vela.tflite.Padding import Padding
from ethosu.vela.tflite.TensorType import TensorType

KINDS = {
    "int8": TensorType.INT8,
    "int16": TensorType.INT16,
    "int32": TensorType.INT32,
    "int64": TensorType.INT64,
}


Sides = int | tuple[int, int]
"""Height and width; a number for both."""


def _sides(sides: Sides) -> tuple[int, int]:
    return sides if isinstance(sides, tuple) else (sides, sides)


@dataclass
class Net:
    """A network that grows layer by layer; ``at`` is the last tensor.

    ``layers`` keeps what every layer with MACs is: its kind, input, output, kernel, stride and dilation.
    """

    shape: tuple[int, ...]
    bits: int = 8
    tensors: list[tuple[tuple[int, ...], str, np.ndarray | None, float]] = field(default_factory=list)
    operators: list[tuple[int, Sequence[int], int, int, dict[str, int]]] = field(default_factory=list)
    layers: list[tuple[object, ...]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        """Start with the input, if any."""
        self.random = np.random.default_rng(0)
        if self.shape:
            self.start(self.shape)

    def start(self, shape: tuple[int, ...]) -> Net:
        """Go on from a further input: what follows stands beside the layers before."""
        self.at = self._tensor(shape, f"int{self.bits}", None, 0.02)
        self.inputs.append(self.at)
        return self

    def _weights(self, shape: tuple[int, ...]) -> int:
        values = self.random.integers(-99, 99, shape).astype(np.int8)
        return self._tensor(shape, "int8", values, 0.01)

    def _tensor(self, shape: tuple[int, ...], kind: str, data: np.ndarray | None, scale: float) -> int:
        self.tensors.append((shape, kind, data, scale))
        return len(self.tensors) - 1

    def _bias(self, channels: int) -> int:
        kind = "int32" if self.bits == 8 else "int64"
        return self._tensor((channels,), kind, np.zeros(channels, kind), 0.0002)

    def _add(self, op: int, inputs: Sequence[int], shape: tuple[int, ...], option: int, **fields: int) -> Net:
        self.at = self._tensor(shape, f"int{self.bits}", None, 0.05)
        self.operators.append((op, [*inputs], self.at, option, fields))
        return self

    def conv(self, channels: int, kernel: Sides = 1, stride: Sides = 1, dilation: Sides = 1) -> Net:
        """A convolution with SAME padding and a ReLU of TFLite's own."""
        c = self.tensors[self.at][0][3]
        out, fields = self._window("convolution", channels, kernel, stride, dilation)
        inputs = (self.at, self._weights((channels, *_sides(kernel), c)), self._bias(channels))
        return self._add(Op.CONV_2D, inputs, out, Options.Conv2DOptions, **fields)

    def depthwise(self, kernel: Sides = 3, stride: Sides = 1, dilation: Sides = 1) -> Net:
        """A depthwise convolution with SAME padding."""
        channels = self.tensors[self.at][0][3]
        out, fields = self._window("depthwise", channels, kernel, stride, dilation)
        inputs = (self.at, self._weights((1, *_sides(kernel), channels)), self._bias(channels))
        option = Options.DepthwiseConv2DOptions
        return self._add(Op.DEPTHWISE_CONV_2D, inputs, out, option, DepthMultiplier=1, **fields)

    def _window(
        self, kind: str, channels: int, kernel: Sides, stride: Sides, dilation: Sides
    ) -> tuple[tuple[int, ...], dict[str, int]]:
        """The output of a layer with SAME padding, and the fields of its options."""
        n, h, w, c = self.tensors[self.at][0]
        (down, right), (high, wide) = _sides(stride), _sides(dilation)
        out = (n, -(-h // down), -(-w // right), channels)
        self.layers.append((kind, (h, w, c), out[1:], kernel, stride, dilation))
        fields = dict(StrideH=down, StrideW=right, DilationHFactor=high, DilationWFactor=wide)
        return out, {**fields, "Padding": Padding.SAME}

    def full(self, columns: int) -> Net:
        """A fully connected layer, of one row where the input is a plane."""
        shape = self.tensors[self.at][0]
        rows = shape[0]
        inner = int(np.prod(shape[1:]))
        self.layers.append(("matmul", (1, rows, inner), (1, rows, columns), 1, 1, 1))
        inputs = (self.at, self._weights((columns, inner)), self._bias(columns))
        return self._add(Op.FULLY_CONNECTED, inputs, (rows, columns), Options.FullyConnectedOptions)

    def pool(self, kind: str, kernel: int, stride: int) -> Net:
        """A MaxPool or AveragePool without padding."""
        n, h, w, c = self.tensors[self.at][0]
        out = (n, (h - kernel) // stride + 1, (w - kernel) // stride + 1, c)
        op = Op.MAX_POOL_2D if kind == "max" else Op.AVERAGE_POOL_2D
        fields = dict(StrideH=stride, StrideW=stride, FilterHeight=kernel, FilterWidth=kernel)
        return self._add(op, (self.at,), out, Options.Pool2DOptions, Padding=Padding.VALID, **fields)

    def add(self, other: int) -> Net:
        """The sum with an earlier tensor."""
        return self._add(Op.ADD, (self.at, other), self.tensors[self.at][0], Options.AddOptions)

    def write(self, path: Path) -> None:
        """The file."""
        path.write_bytes(_model(self))


MODULES = {
    Options.Conv2DOptions: Conv2DOptions,
    Options.DepthwiseConv2DOptions: DepthwiseConv2DOptions,
    Options.FullyConnectedOptions: FullyConnectedOptions,
    Options.Pool2DOptions: Pool2DOptions,
    Options.AddOptions: AddOptions,
    Options.ReshapeOptions: ReshapeOptions,
}


def _table(builder: flatbuffers.Builder, module: object, **fields: object) -> int:
    name = module.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    getattr(module, f"{name}Start")(builder)
    for key, value in fields.items():
        getattr(module, f"{name}Add{key}")(builder, value)
    return int(getattr(module, f"{name}End")(builder))


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _ints(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))


def _model(net: Net) -> bytes:
    builder = flatbuffers.Builder(1024)
    data = [b"", *(held.tobytes() for _, _, held, _ in net.tensors if held is not None)]
    vectors = [builder.CreateNumpyVector(np.frombuffer(each, np.uint8)) if each else None for each in data]
    buffers = [_table(builder, Buffer, **({"Data": each} if each else {})) for each in vectors]
    tensors, buffer = [], 0
    for index, (shape, kind, held, scale) in enumerate(net.tensors):
        buffer += held is not None
        name = builder.CreateString(f"t{index}")
        scales = builder.CreateNumpyVector(np.array([scale], np.float32))
        zeros = builder.CreateNumpyVector(np.array([0], np.int64))
        quantized = _table(builder, QuantizationParameters, Scale=scales, ZeroPoint=zeros)
        sizes = _ints(builder, shape)
        fields = {"Shape": sizes, "Type": KINDS[kind], "Buffer": buffer if held is not None else 0}
        tensors.append(_table(builder, Tensor, **fields, Name=name, Quantization=quantized))
    codes = sorted({operator[0] for operator in net.operators})
    operators = []
    for op, inputs, output, option, fields in net.operators:
        options = _table(builder, MODULES[option], **fields)
        given, made = _ints(builder, inputs), _ints(builder, [output])
        operators.append(
            _table(
                builder,
                Operator,
                OpcodeIndex=codes.index(op),
                Inputs=given,
                Outputs=made,
                BuiltinOptionsType=option,
                BuiltinOptions=options,
            )  # fmt: skip
        )
    read = {each for _, inputs, _, _, _ in net.operators for each in inputs}
    made = [output for _, _, output, _, _ in net.operators if output not in read]
    first, last = _ints(builder, net.inputs), _ints(builder, made)
    held, run = _vector(builder, tensors), _vector(builder, operators)
    graph = _table(builder, SubGraph, Tensors=held, Inputs=first, Outputs=last, Operators=run)
    named = [
        _table(builder, OperatorCode, DeprecatedBuiltinCode=code, BuiltinCode=code, Version=1)
        for code in codes
    ]
    parts = {"OperatorCodes": _vector(builder, named), "Subgraphs": _vector(builder, [graph])}
    buffers_at = _vector(builder, buffers)
    builder.Finish(_table(builder, Model, Version=3, **parts, Buffers=buffers_at), b"TFL3")
    return bytes(builder.Output())


def layers() -> dict[str, Net]:
    """The layers of docs/bounds.md, one net each."""
    plane = (1, 32, 32, 64)
    return {
        "c64": Net(plane).conv(64, 3),
        "c16": Net((1, 32, 32, 16)).conv(16, 3),
        "rgb": Net((1, 64, 64, 3)).conv(16, 3, 2),
        "dw64": Net(plane).depthwise(),
        "pw64": Net(plane).conv(128),
        "d5": Net((1, 32, 32, 16)).conv(16, 3, dilation=5),
        "k1co20": Net((1, 32, 32, 20)).conv(20),
        "fc": Net((1, 512)).full(256),
        "maxpool": Net(plane).pool("max", 2, 2),
        "c64_16": Net(plane, 16).conv(64, 3),
    }


CONVOLUTIONS: Sequence[tuple[int, int, int, int, Sides, Sides, Sides]] = (
    # height, width, channels, output channels, kernel, stride, dilation
    (32, 32, 16, 16, 3, 1, 2), (28, 28, 48, 96, 3, 1, 4), (33, 31, 96, 40, 3, 1, 3),
    (17, 23, 70, 90, 5, 1, 1),
    (56, 56, 24, 72, 1, 1, 1), (14, 14, 256, 512, 1, 1, 1), (14, 14, 256, 256, 3, 2, 1),
    (7, 7, 512, 512, 3, 1, 1), (7, 7, 960, 320, 1, 1, 1), (112, 112, 3, 64, 7, 2, 1),
    (128, 128, 1, 8, 3, 1, 1),
    (49, 10, 1, 64, 4, 2, 1), (40, 40, 2, 24, 5, 1, 1), (20, 20, 9, 4, 1, 1, 1), (19, 19, 33, 65, 3, 1, 1),
    (24, 24, 32, 32, 9, 1, 1), (30, 30, 16, 8, 11, 1, 1), (1, 1, 128, 64, 1, 1, 1), (1, 40, 64, 32, 1, 1, 1),
    (1, 64, 40, 80, (1, 3), 1, 1), (64, 1, 40, 80, (3, 1), 1, 1), (35, 35, 48, 64, (1, 7), 1, 1),
    (35, 35, 48, 64, (7, 1), 1, 1), (16, 50, 80, 24, 3, (2, 1), 1), (16, 50, 80, 24, 3, (1, 2), 1),
    (3, 3, 128, 256, 3, 1, 1), (8, 8, 64, 1000, 1, 1, 1), (64, 64, 64, 1, 1, 1, 1), (96, 96, 4, 32, 3, 3, 1),
    (5, 5, 300, 7, 2, 1, 1), (10, 10, 1280, 1280, 1, 1, 1), (28, 28, 192, 64, 3, 1, (2, 1)),
    (28, 28, 192, 64, 3, 1, (3, 2)), (13, 13, 8, 16, 3, 1, 1), (13, 13, 5, 16, 3, 1, 1),
    (200, 300, 16, 16, 3, 1, 1), (2, 2, 2048, 17, 1, 1, 1), (4, 4, 100, 100, 3, 1, 1),
    (60, 80, 12, 36, 1, 1, 1),
    (9, 9, 36, 16, 1, 2, 1), (300, 7, 40, 12, 1, 1, 1), (6, 6, 672, 21, 3, 1, 1),
)  # fmt: skip
DEPTHWISE: Sequence[tuple[int, int, int, Sides, Sides, Sides]] = (
    (56, 56, 24, 3, 2, 1), (14, 14, 512, 3, 1, 1), (7, 7, 960, 5, 1, 1), (112, 112, 32, 3, 1, 1),
    (28, 28, 40, 5, 2, 1), (25, 5, 64, 3, 1, 1), (33, 17, 100, 7, 1, 1), (1, 100, 64, (1, 9), 1, 1),
    (16, 16, 20, 3, 1, 2), (20, 20, 256, 9, 1, 1), (3, 3, 1024, 3, 1, 1), (150, 150, 8, 3, 1, 1),
    (12, 12, 4, 3, 1, 1), (30, 40, 48, 3, 1, 4), (64, 64, 128, 3, (2, 1), 1), (40, 3, 300, 1, 1, 1),
    (300, 20, 40, 5, 3, 1),
)  # fmt: skip
FULL: Sequence[tuple[int, int, int]] = (  # rows, terms, columns
    (1, 1000, 10), (1, 8000, 12), (1, 64, 10), (1, 3, 5), (1, 2048, 1000), (1, 100, 1001), (1, 1, 16),
    (77, 768, 320), (64, 128, 96), (2, 512, 256), (197, 192, 576), (49, 96, 3),
)  # fmt: skip


def beside() -> dict[str, Net]:
    """Many layers beside one another, each with an input and an output of its own: int8, and some int16."""
    many, wide = Net(()), Net((), 16)
    for net, step in ((many, 1), (wide, 5)):
        for *shape, outer, kernel, stride, dilation in CONVOLUTIONS[step // 2 :: step]:
            if step == 1 or dilation in (1, 2):  # the tool fills kernels of bytes alone with zeros
                net.start((1, *shape)).conv(outer, kernel, stride, dilation)
        for *shape, kernel, stride, dilation in DEPTHWISE[step // 2 :: step]:
            net.start((1, *shape)).depthwise(kernel, stride, dilation)
        for rows, terms, columns in FULL[step // 2 :: step]:
            net.start((rows, terms)).full(columns)
    return {"many": many, "many_16": wide}


def networks() -> dict[str, Net]:
    """Three networks of MLPerf Tiny, from their published tables of layers."""
    return {"resnet8": _resnet8(), "ds-cnn": _ds_cnn(), "mobilenet-v1-025": _mobilenet()}


def _resnet8() -> Net:
    net = Net((1, 32, 32, 3)).conv(16, 3)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        start = net.at
        net.conv(channels, 3, stride).conv(channels, 3)
        body = net.at
        if stride > 1:
            net.at = start
            net.conv(channels, 1, stride)
            net.add(body)
        else:
            net.add(start)
    return net.pool("average", 8, 8).full(10)


def _ds_cnn() -> Net:
    net = Net((1, 49, 10, 1)).conv(64, 4, 2)
    for _ in range(4):
        net.depthwise().conv(64)
    return net.full(12)


def _mobilenet() -> Net:
    net = Net((1, 96, 96, 3)).conv(8, 3, 2)
    for channels, stride in (
        (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1),
    ):  # fmt: skip
        net.depthwise(3, stride).conv(channels)
    return net.pool("average", 3, 3).full(2)
