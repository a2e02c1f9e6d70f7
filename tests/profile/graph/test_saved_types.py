"""Files that ONNX Runtime's optimizer and quantizers wrote: every type found is that of the real value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from onnxlens.profile.graph.loading.inference.surrogates import BLOCKED, MICROSOFT
from tests.profile.graph.real_types import found, run
from tests.profile.models import op, save, value
from tests.profile.ort_files import optimized, without_types

Net = Callable[[Path], Path]


def drawn(**shapes: Sequence[int]) -> list[TensorProto]:
    """Weights from a seed: an optimizer may drop nodes on zeros."""
    source = np.random.default_rng(0)
    return [
        numpy_helper.from_array(source.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]


ASYMMETRIC: Mapping[str, Any] = {"coordinate_transformation_mode": "asymmetric"}


def convolutions(folder: Path) -> Path:
    """Whole, depthwise and grouped convolutions, some of channels that fill no block, pools and a Resize."""
    pads: Mapping[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        op("Conv", "x w1 b1", "a", strides=[2, 2], **pads),
        op("Relu", "a", "b"),
        op("MaxPool", "b", "c", kernel_shape=[2, 2], strides=[2, 2]),
        op("Conv", "c w2", "d", group=32, **pads),
        op("LeakyRelu", "d", "e", alpha=0.1),
        op("Add", "e c", "f"),
        op("Resize", "f - scales", "g", mode="nearest", nearest_mode="floor", **ASYMMETRIC),
        op("Conv", "g w3", "h", kernel_shape=[1, 1]),
        op("Erf", "h", "i"),  # has no blocked form
        op("Conv", "i w4", "j", **pads),
        op("Conv", "j w5", "k", group=2, **pads),
        op("AveragePool", "k", "l", kernel_shape=[2, 2], strides=[2, 2]),
        op("Concat", "l f", "m", axis=1),
        op("GlobalAveragePool", "m", "n"),
        op("Flatten", "n", "o"),
        op("Gemm", "o w6 b6", "p", transB=1),
        op("Softmax", "p", "y", axis=-1),
    ]
    held = drawn(
        w1=(32, 3, 3, 3), b1=(32,), w2=(32, 1, 3, 3), w3=(20, 32, 1, 1), w4=(64, 20, 3, 3), w5=(64, 32, 3, 3),
        w6=(5, 96), b6=(5,),
    )  # fmt: skip
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    inputs, outputs = [value("x", ("n", 3, 32, 32))], [value("y", None)]
    return save(folder, nodes, inputs, outputs, [*held, scales], opsets={"": 17})


def projected(name: str, source: str) -> list[NodeProto]:
    """Four heads of 8 out of (n, 6, 32)."""
    return [
        op("MatMul", f"{source} w{name}", f"{name}1"),
        op("Add", f"{name}1 b{name}", f"{name}2"),
        op("Reshape", f"{name}2 heads", f"{name}3"),
        op("Transpose", f"{name}3", name, perm=[0, 2, 1, 3]),
    ]


def transformer(folder: Path) -> Path:
    """Attention in single steps with the keys' last axes turned, a normalized sum, a Gelu by Erf."""
    nodes = [
        *projected("q", "x"), *projected("k", "x"), *projected("v", "x"),
        op("Transpose", "k", "kt", perm=[0, 1, 3, 2]),
        op("MatMul", "q kt", "s1"),
        op("Mul", "s1 scale", "s2"),
        op("Softmax", "s2", "s3", axis=-1),
        op("MatMul", "s3 v", "o1"),
        op("Transpose", "o1", "o2", perm=[0, 2, 1, 3]),
        op("Reshape", "o2 whole", "o3"),
        op("MatMul", "o3 wo", "o4"),
        op("Add", "x o4", "r"),
        op("LayerNormalization", "r gain shift", "n", axis=-1),
        op("MatMul", "n wf", "f1"),
        op("Add", "f1 bf", "f2"),
        op("Div", "f2 root", "g1"),
        op("Erf", "g1", "g2"),
        op("Add", "g2 one", "g3"),
        op("Mul", "f2 g3", "g4"),
        op("Mul", "g4 half", "g5"),
        op("MatMul", "g5 wp", "y"),
    ]  # fmt: skip
    held = drawn(
        **{f"w{name}": (32, 32) for name in "qkvo"}, **{f"b{name}": (32,) for name in "qkv"},
        gain=(32,), shift=(32,), wf=(32, 64), bf=(64,), wp=(64, 32),
    )  # fmt: skip
    numbers = {"scale": 8**-0.5, "root": 2**0.5, "one": 1.0, "half": 0.5}
    held += [numpy_helper.from_array(np.array(number, np.float32), name) for name, number in numbers.items()]
    shapes = {"heads": [0, 6, 4, 8], "whole": [0, 6, 32]}
    held += [numpy_helper.from_array(np.array(shape, np.int64), name) for name, shape in shapes.items()]
    return save(folder, nodes, [value("x", ("n", 6, 32))], [value("y", None)], held, opsets={"": 17})


def recurrent(folder: Path) -> Path:
    nodes = [
        op("LSTM", "x w r b", "a last", hidden_size=8, direction="bidirectional"),
        op("Transpose", "a", "c", perm=[0, 2, 1, 3]),
        op("Reshape", "c rows", "d"),
        op("MatMul", "d p", "y"),
    ]
    held = drawn(w=(2, 32, 5), r=(2, 32, 8), b=(2, 64), p=(16, 3))
    rows = numpy_helper.from_array(np.array([0, 0, 16], np.int64), "rows")
    return save(folder, nodes, [value("x", ("n", 2, 5))], [value("y", None)], [*held, rows], opsets={"": 17})


SIZES = {convolutions: (2, 3, 32, 32), transformer: (2, 6, 32), recurrent: (7, 2, 5)}


def feed(net: Net) -> Mapping[str, np.ndarray]:
    return {"x": np.random.default_rng(1).normal(size=SIZES[net]).astype(np.float32)}


class Samples(CalibrationDataReader):
    """One input, for the ranges that a static quantization needs."""

    def __init__(self, net: Net) -> None:
        self._left = [feed(net)]

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


def static(form: QuantFormat) -> Callable[[Path, Path, Net], None]:
    return lambda source, target, net: quantize_static(source, target, Samples(net), quant_format=form)


def dynamic(source: Path, target: Path, net: Net) -> None:
    quantize_dynamic(source, target)


def in_blocks(source: Path, target: Path, net: Net) -> None:
    quantizer = MatMulNBitsQuantizer(onnx.load(source), block_size=16)
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))


def compare(path: Path, net: Net) -> set[tuple[str, str]]:
    """Compares the found type of every value with the real one; returns the operators of the file."""
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = SIZES[net][0]
    assert found(model, path.parent) == run(model, feed(net))
    return {(node.domain, node.op_type) for node in model.graph.node}


FUSIONS = {(MICROSOFT, name) for name in ("FusedMatMul", "BiasGelu", "SkipLayerNormalization")}
BLOCKS = {
    (BLOCKED, name)
    for name in ("Conv", "MaxPool", "AveragePool", "Upsample", "ReorderInput", "ReorderOutput")
}
QUANTIzED = {
    f"QLinear{name}" for name in ("Add", "Concat", "Conv", "LeakyRelu", "AveragePool", "GlobalAveragePool")
} | {"QGemm"}  # fmt: skip


@pytest.mark.parametrize(
    ("net", "level", "written"),
    [
        (convolutions, "basic", set()),
        (convolutions, "extended", {(MICROSOFT, "FusedConv")}),
        (convolutions, "all", BLOCKS),
        (transformer, "basic", set()),
        (transformer, "extended", FUSIONS),
        (transformer, "all", FUSIONS),
        (recurrent, "all", set()),
    ],
)  # fmt: skip
def test_types_in_an_optimized_file_are_those_of_its_values(
    net: Net, level: str, written: set[tuple[str, str]], tmp_path: Path
) -> None:
    assert written <= compare(optimized(net(tmp_path), level), net)


@pytest.mark.parametrize(
    ("net", "quantize", "written"),
    [
        (convolutions, static(QuantFormat.QOperator), QUANTIzED),
        (convolutions, static(QuantFormat.QDQ), {"QLinearConv"}),
        (convolutions, dynamic, set()),
        (transformer, static(QuantFormat.QOperator), {"QLinearMul", "QLinearSoftmax"}),
        (transformer, dynamic, {"MatMulIntegerToFloat"}),
        (transformer, in_blocks, {"MatMulNBits"}),
        (recurrent, dynamic, {"DynamicQuantizeLSTM", "DynamicQuantizeMatMul"}),
    ],
)  # fmt: skip
def test_types_in_a_quantized_file_are_those_of_its_values(
    net: Net, quantize: Callable[[Path, Path, Net], None], written: set[str], tmp_path: Path
) -> None:
    target = tmp_path / "quantized.onnx"
    quantize(net(tmp_path), target, net)
    compare(without_types(target), net)
    assert written <= {name for _, name in compare(optimized(target, "all"), net)}
