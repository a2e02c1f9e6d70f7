"""A network quantized to int8 by ONNX Runtime: the MACs of the float one, and the bytes of the int8 one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

import onnxlens as api
from onnxlens.specs.ledger import Ledger

TARGET = "tests.conformance.nets:classifier"

# (2, 3, 16, 16) through 8 filters of 3 x 3 by 2 to 8 x 8, then 128 pooled values into 10
CONVOLUTION, LINEAR = 2 * 8 * 8 * 8 * (3 * 9), 2 * 128 * 10


class Noise(CalibrationDataReader):
    """Three batches of noise."""

    def __init__(self) -> None:
        draws = np.random.default_rng(0).uniform(-1, 1, (3, 2, 3, 16, 16)).astype(np.float32)
        self._batches: Iterator[dict[str, np.ndarray]] = ({"input_0": draw} for draw in draws)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


@pytest.fixture(scope="module", params=(18, 23))
def ledgers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ledger, Ledger]:
    """The network as exported, and with QuantizeLinear and DequantizeLinear around each operator."""
    folder: Path = tmp_path_factory.mktemp("int8")
    exported = api.export_graph(TARGET, folder, api.Settings(opset=request.param))
    quantized = folder / "int8.onnx"
    quantize_static(exported.onnx_path, quantized, Noise(), QuantFormat.QDQ, per_channel=True)
    return api.profile_graph(exported.onnx_path), api.profile_graph(quantized)


def test_quantization_changes_no_macs(ledgers: tuple[Ledger, Ledger]) -> None:
    floats, ints = ledgers
    assert floats.totals.macs == ints.totals.macs == CONVOLUTION + LINEAR
    assert ints.totals.unknown_nodes == 0


def test_intermediate_tensors_take_one_byte_per_element(ledgers: tuple[Ledger, Ledger]) -> None:
    written = {node.node: node.write_bytes for node in ledgers[1].nodes if node.op_type == "QuantizeLinear"}
    image, features, pooled, logits = 2 * 3 * 16 * 16, 2 * 8 * 8 * 8, 2 * 128, 2 * 10
    assert sorted(written.values(), reverse=True) == [image, features, pooled, pooled, logits]
    read = [
        node for node in ledgers[1].nodes if node.op_type == "DequantizeLinear" and node.status == "counted"
    ]
    assert sum(node.read_bytes for node in read) == sum(written.values())
    assert sum(node.write_bytes for node in read) == 4 * sum(written.values())


def test_weights_are_quantized_before_the_run(ledgers: tuple[Ledger, Ledger]) -> None:
    ints = ledgers[1]
    free = [node.op_type for node in ints.nodes if node.status == "free"]
    assert free == 4 * ["DequantizeLinear"]  # two weights and two biases


def test_weights_are_stored_as_integers_with_their_scales(ledgers: tuple[Ledger, Ledger]) -> None:
    floats, ints = ledgers
    # 8 filters of 27 and as many biases; 128 x 10 and 10
    assert ints.totals.params == floats.totals.params == 8 * 27 + 8 + 128 * 10 + 10
    read = {node.op_type: node.weight_read_bytes for node in ints.nodes if node.op_type in ("Conv", "Gemm")}
    # a byte a weight, four a bias; for each channel a float32 scale and a zero point of the same type
    assert read["Conv"] == (8 * 27 + 8 * (4 + 1)) + (4 * 8 + 8 * (4 + 4))
    assert read["Gemm"] == (128 * 10 + 10 * (4 + 1)) + (4 * 10 + 10 * (4 + 4))
    resident = ints.totals.resident_weight_bytes
    assert read["Conv"] + read["Gemm"] < resident < floats.totals.resident_weight_bytes / 3
