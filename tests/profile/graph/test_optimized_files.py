"""A net rewritten by ONNX Runtime's optimizer and quantizers has the same MACs, and no unknown nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from onnxlens.specs.ledger import Ledger
from tests.profile.models import integers, ledger_of, op, save, value
from tests.profile.ort_files import optimized

# 16 channels fill the blocks of every CPU; 10 of the last layer are left to Gemm
CONV_NET = [
    op("Conv", "x w1 b1", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    op("Relu", "a", "b"),
    op("Conv", "b w2 b2", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    op("Add", "c b", "d"),
    op("Relu", "d", "e"),
    op("MaxPool", "e", "f", kernel_shape=[2, 2], strides=[2, 2]),
    op("Conv", "f w3", "g", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=16),
    op("Sigmoid", "g", "h"),
    op("GlobalAveragePool", "h", "i"),
    op("Flatten", "i", "j"),
    op("Gemm", "j w4 b4", "y", transB=1),
]
CONV_WEIGHTS = {
    "w1": (16, 3, 3, 3), "b1": (16,), "w2": (16, 16, 3, 3), "b2": (16,), "w3": (16, 1, 3, 3), "w4": (10, 16),
    "b4": (10,),
}  # fmt: skip
# 2 images: 64 positions of 16 channels from 3, then from 16; 16 of them from one; 10 from 16
CONV_MACS = 2 * (64 * 16 * 27 + 64 * 16 * 144 + 16 * 16 * 9 + 10 * 16)

# 2 x 6 tokens of 32; 4 heads of 8; 64 inside the MLP
ENCODER = [
    *(
        step
        for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3]))
        for step in (
            op("MatMul", f"x w{name}", f"{name}1"),
            op("Add", f"{name}1 b{name}", f"{name}2"),
            op("Reshape", f"{name}2 heads", f"{name}3"),
            op("Transpose", f"{name}3", f"{name}4", perm=order),
        )
    ),
    op("MatMul", "q4 k4", "scores"),
    op("Mul", "scores scale", "scaled"),
    op("Softmax", "scaled", "weights", axis=-1),
    op("MatMul", "weights v4", "mixed"),
    op("Transpose", "mixed", "turned", perm=[0, 2, 1, 3]),
    op("Reshape", "turned whole", "joined"),
    op("MatMul", "joined wo", "o1"),
    op("Add", "o1 bo", "o2"),
    op("Add", "o2 x", "s1"),
    op("LayerNormalization", "s1 gamma beta", "n1", axis=-1),
    op("MatMul", "n1 wi", "i1"),
    op("Add", "i1 bi", "i2"),
    op("Gelu", "i2", "i3"),
    op("MatMul", "i3 wf", "f1"),
    op("Add", "f1 bf", "f2"),
    op("Add", "f2 n1", "s2"),
    op("LayerNormalization", "s2 gamma beta", "y", axis=-1),
]
ENCODER_WEIGHTS = {
    **{f"w{name}": (32, 32) for name in "qkvo"}, **{f"b{name}": (32,) for name in "qkvof"},
    "wi": (32, 64), "bi": (64,), "wf": (64, 32), "gamma": (32,), "beta": (32,), "scale": (),
}  # fmt: skip
# four projections, two products over 2 x 4 x 6 x 6 scores, the MLP
ENCODER_MACS = 12 * 4 * 32 * 32 + 2 * 288 * 8 + 12 * 2 * 32 * 64


def drawn(shapes: dict[str, tuple[int, ...]]) -> list[TensorProto]:
    """Weights that no optimizer can take for zeros or ones."""
    draw = np.random.default_rng(7)
    return [
        numpy_helper.from_array(np.asarray(draw.normal(size=shape), np.float32), name)
        for name, shape in shapes.items()
    ]


def conv_net(folder: Path) -> Path:
    return save(folder, CONV_NET, [value("x", (2, 3, 8, 8))], [value("y", (2, 10))], drawn(CONV_WEIGHTS))


def encoder(folder: Path) -> Path:
    sizes = [integers("heads", [2, 6, 4, 8]), integers("whole", [2, 6, 32])]
    weights = [*drawn(ENCODER_WEIGHTS), *sizes]
    return save(folder, ENCODER, [value("x", (2, 6, 32))], [value("y", (2, 6, 32))], weights, opsets={"": 20})


def foreign(ledger: Ledger) -> set[str]:
    """The operators in it that are not ONNX's."""
    return {node.op_type for node in ledger.nodes if node.domain}


@pytest.mark.parametrize("level", ["none", "extended", "all"])
@pytest.mark.parametrize(("net", "macs"), [(conv_net, CONV_MACS), (encoder, ENCODER_MACS)])
def test_an_optimized_net_has_the_macs_of_the_net(
    tmp_path: Path, net: Callable[[Path], Path], macs: int, level: str
) -> None:
    _, ledger = ledger_of(optimized(net(tmp_path), level))
    assert (ledger.totals.macs, ledger.totals.unknown_nodes) == (macs, 0)
    assert bool(foreign(ledger)) == (level != "none")


@pytest.mark.parametrize(
    ("net", "written"),
    [(conv_net, {"FusedConv"}), (encoder, {"FusedMatMul", "SkipLayerNormalization"})],
)
def test_the_optimizer_writes_operators_of_its_own(
    tmp_path: Path, net: Callable[[Path], Path], written: set[str]
) -> None:
    _, ledger = ledger_of(optimized(net(tmp_path), "extended"))
    assert foreign(ledger) == written


class OneBatch(CalibrationDataReader):  # type: ignore[misc]
    """The only batch that the net is calibrated with."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._batches = iter(
            [{"x": np.linspace(-1, 1, num=int(np.prod(shape)), dtype=np.float32).reshape(shape)}]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def integer_net(folder: Path) -> Path:
    """The convolutional net, with QLinear operators."""
    result = folder / "integer.onnx"
    batch = OneBatch((2, 3, 8, 8))
    quantize_static(conv_net(folder), result, batch, quant_format=QuantFormat.QOperator)
    return result


def dynamic_encoder(folder: Path) -> Path:
    """The encoder, its activations quantized at run time."""
    result = folder / "dynamic.onnx"
    quantize_dynamic(encoder(folder), result)
    return result


def four_bit_encoder(folder: Path) -> Path:
    """The encoder, its weights packed in blocks of 16 and four bits."""
    quantizer = MatMulNBitsQuantizer(onnx.load(encoder(folder)), bits=4, block_size=16)
    quantizer.process()
    result = folder / "four_bit.onnx"
    quantizer.model.save_model_to_file(str(result))
    return result


@pytest.mark.parametrize("level", ["none", "extended", "all"])
@pytest.mark.parametrize(
    ("net", "macs", "written"),
    [
        (integer_net, CONV_MACS, "QGemm"),
        (dynamic_encoder, ENCODER_MACS, "DynamicQuantizeMatMul"),
        (four_bit_encoder, ENCODER_MACS, "MatMulNBits"),
    ],
)
def test_a_quantized_net_has_the_macs_of_the_net(
    tmp_path: Path, net: Callable[[Path], Path], macs: int, written: str, level: str
) -> None:
    _, ledger = ledger_of(optimized(net(tmp_path), level))
    assert (ledger.totals.macs, ledger.totals.unknown_nodes) == (macs, 0)
    assert written in foreign(ledger) or (level, written) == ("none", "DynamicQuantizeMatMul")


def test_a_packed_weight_is_read_as_it_is_stored(tmp_path: Path) -> None:
    _, ledger = ledger_of(four_bit_encoder(tmp_path))
    packed = [node for node in ledger.nodes if node.op_type == "MatMulNBits"]
    # K x N of four bits; for each block of 16 a float32 scale and a zero point of four bits
    sizes = [32 * 32] * 4 + [32 * 64] * 2
    expected = [size // 2 + 4 * size // 16 + size // 16 // 2 for size in sizes]
    assert [node.weight_read_bytes for node in packed] == expected
