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
    at: int = 0

    def __post_init__(self) -> None:
        """Start with the input."""
        self.random = np.random.default_rng(0)
        self.tensors.append((self.shape, f"int{self.bits}", None, 0.02))

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

    def conv(self, channels: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> Net:
        """A convolution with SAME padding and a ReLU of TFLite's own."""
        n, h, w, c = self.tensors[self.at][0]
        out = (n, -(-h // stride), -(-w // stride), channels)
        self.layers.append(("convolution", (h, w, c), out[1:], kernel, stride, dilation))
        inputs = (self.at, self._weights((channels, kernel, kernel, c)), self._bias(channels))
        fields = dict(StrideH=stride, StrideW=stride, DilationHFactor=dilation, DilationWFactor=dilation)
        return self._add(Op.CONV_2D, inputs, out, Options.Conv2DOptions, Padding=Padding.SAME, **fields)

    def depthwise(self, kernel: int = 3, stride: int = 1) -> Net:
        """A depthwise convolution with SAME padding."""
        n, h, w, c = self.tensors[self.at][0]
        out = (n, -(-h // stride), -(-w // stride), c)
        self.layers.append(("depthwise", (h, w, c), out[1:], kernel, stride, 1))
        inputs = (self.at, self._weights((1, kernel, kernel, c)), self._bias(c))
        fields = dict(StrideH=stride, StrideW=stride, DepthMultiplier=1, DilationHFactor=1, DilationWFactor=1)
        option = Options.DepthwiseConv2DOptions
        return self._add(Op.DEPTHWISE_CONV_2D, inputs, out, option, Padding=Padding.SAME, **fields)

    def full(self, columns: int) -> Net:
        """A fully connected layer of one row."""
        inner = int(np.prod(self.tensors[self.at][0]))
        self.layers.append(("matmul", (1, 1, inner), (1, 1, columns), 1, 1, 1))
        inputs = (self.at, self._weights((columns, inner)), self._bias(columns))
        return self._add(Op.FULLY_CONNECTED, inputs, (1, columns), Options.FullyConnectedOptions)

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
    first, last = _ints(builder, [0]), _ints(builder, [net.at])
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
