"""One checkpoint has the same params in every format, and in each of them the bytes of that format.

The oracle is the module: what its parameters are does not change with what they are written in.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto
from torch import Tensor, nn

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.parameters import parameter_sizes
from onnxlens.profile.graph.loading import load_graph

IDS, TOKENS, WIDTH, INNER = 24, 4, 72, 128


class Block(nn.Module):
    """A table of ids, a gated product, a norm and a head; 72 is no multiple of a block of 16 or 32."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(IDS, WIDTH)
        self.up, self.gate = nn.Linear(WIDTH, INNER), nn.Linear(WIDTH, INNER, bias=False)
        self.down, self.norm = nn.Linear(INNER, WIDTH), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, IDS, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids)
        return self.head(self.norm(x + self.down(self.up(x) * self.gate(x).sigmoid())))


OWNED = IDS * WIDTH + 3 * WIDTH * INNER + INNER + WIDTH + 2 * WIDTH + WIDTH * IDS
MATRICES = 3 * WIDTH * INNER + WIDTH * IDS
REST = OWNED - MATRICES  # the table, biases and norm, in floats


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    module = Block().eval()
    path = tmp_path_factory.mktemp("formats") / "plain.onnx"
    ids = torch.arange(TOKENS)[None]
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (ids,), str(path), dynamo=False, opset_version=17, input_names=["ids"])
    assert sum(parameter.numel() for parameter in module.parameters()) == OWNED
    return path


def half(path: Path) -> ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(onnx.load(path))


def blocks(bits: int = 4, **settings: Any) -> Callable[[Path], ModelProto]:
    """By ONNX Runtime's quantizer of products with weights in blocks."""

    def made(path: Path) -> ModelProto:
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        quantizer = MatMulNBitsQuantizer(onnx.load(path), bits=bits, **{"block_size": 32, **settings})
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            quantizer.process()
        return quantizer.model.model

    return made


def qdq4(path: Path) -> ModelProto:
    from onnxruntime.quantization import QuantFormat

    return blocks(is_symmetric=True, quant_format=QuantFormat.QDQ, op_types_to_quantize=("MatMul",))(path)


def bnb4(path: Path) -> ModelProto:
    from onnxruntime.quantization.matmul_bnb4_quantizer import MatMulBnb4Quantizer

    quantizer = MatMulBnb4Quantizer(onnx.load(path), MatMulBnb4Quantizer.NF4, 16)
    quantizer.process()
    return quantizer.model.model


def dynamic(path: Path) -> ModelProto:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(str(path), str(out := path.with_name("dynamic.onnx")))
    return onnx.load(out)


def static(form: str, **settings: Any) -> Callable[[Path], ModelProto]:
    def made(path: Path) -> ModelProto:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

        class Samples(CalibrationDataReader):
            def __init__(self) -> None:
                self.left = iter([{"ids": np.arange(TOKENS)[None]}])

            def get_next(self) -> dict[str, np.ndarray] | None:
                return next(self.left, None)

        out = path.with_name("static.onnx")
        quantize_static(str(path), str(out), Samples(), quant_format=QuantFormat[form], **settings)
        return onnx.load(out)

    return made


def packed(bits: int, block: int, depth: int, width: int) -> int:
    """The bytes of a matrix whose columns are padded to whole blocks."""
    return width * -(-depth // block) * (block * bits // 8)


def all_packed(bits: int, block: int, scale: int) -> int:
    shapes = [(WIDTH, INNER)] * 2 + [(INNER, WIDTH), (WIDTH, IDS)]
    scales = sum(width * -(-depth // block) for depth, width in shapes) * scale
    return sum(packed(bits, block, *shape) for shape in shapes) + scales + 4 * REST


FORMATS: Mapping[str, tuple[Callable[[Path], ModelProto], int | None]] = {
    "fp32": (onnx.load, 4 * OWNED),
    "fp16": (half, 2 * OWNED),
    # a scale of 4 bytes for each block; zero points of half a byte, whole bytes for each column
    "int4": (blocks(is_symmetric=True), all_packed(4, 32, 4)),
    "int4, asymmetric": (
        blocks(is_symmetric=False), all_packed(4, 32, 4) + 2 * INNER * 2 + WIDTH * 2 + IDS * 2,
    ),
    "int4, blocks of 16": (blocks(is_symmetric=True, block_size=16), all_packed(4, 16, 4)),
    "int8 in blocks": (blocks(bits=8, is_symmetric=True), all_packed(8, 32, 4)),
    # a tensor of INT4, not padded, and its scales
    "int4, QDQ": (qdq4, MATRICES // 2 + (all_packed(0, 32, 4) - 4 * REST) + 4 * REST),
    "nf4": (bnb4, MATRICES // 2 + MATRICES // 16 * 4 + 4 * REST),
    "int8, dynamic": (dynamic, None),
    "int8, QDQ": (static("QDQ"), None),
    "int8, QOperator": (static("QOperator"), None),
    "int8 by channel": (static("QDQ", per_channel=True), None),
}  # fmt: skip


def cases() -> Iterator[Any]:
    for name, (made, size) in FORMATS.items():
        slow = ("int4, blocks of 16", "int8, QOperator", "int8 by channel")
        yield pytest.param(made, size, id=name, marks=[pytest.mark.slow] if name in slow else [])


@pytest.mark.parametrize(("made", "size"), list(cases()))
def test_a_format_changes_bytes_and_not_params(
    made: Callable[[Path], ModelProto], size: int | None, plain: Path, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(made(plain), path)
    graph = load_graph(path)
    totals = build_ledger(graph).totals
    assert sum(parameter_sizes(graph).values()) == totals.params == OWNED
    assert totals.unknown_nodes == 0
    assert totals.macs == TOKENS * MATRICES
    if size is not None:  # indices and scalars of the export are some bytes more
        assert 0 <= totals.resident_weight_bytes - size <= 16
