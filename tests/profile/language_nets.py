"""Small language models in the builder's layout, with weights, and what they cost by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks.language_graphs import Config, write_language_model

SMALL = Config(64, 2, 4, 2, 16, 96, 200, 128, dtype="FLOAT")

LAYER = 64 * 8 * 16 + 64 * 64 + 3 * 64 * 96
"""MACs per token of one layer's products: Q, K and V of 4 + 2 + 2 heads of 16, the output, the MLP."""

PER_TOKEN = 2 * LAYER + 64 * 200
"""With the head."""

CACHE_ROW = 2 * 2 * 2 * 16 * 4
"""Bytes per token: 2 layers, keys and values, 2 heads of 16, 4 bytes each."""

WEIGHTS = PER_TOKEN // 2 + PER_TOKEN // 32 * 4 + 200 * 64 * 4 + 5 * 64 * 4 + 2 * 128 * 8 * 4 + 2 * 8
"""Bytes: 4 bits each and a scale per 32, the table, five norms, cosines and sines, two small constants."""


def scores(queries: int, keys: int) -> int:
    """MACs of both products of all layers."""
    return 2 * 2 * 4 * 16 * queries * keys


def language_model(folder: Path, config: Config = SMALL, *, runs: bool = False) -> Path:
    """The file; ``runs``: with weights to run it on."""
    path = write_language_model(folder / "small.onnx", config)
    if runs:
        random = np.random.default_rng(5)
        data = b""
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            if tensor.data_type == TensorProto.UINT8:
                array = random.integers(0, 255, tuple(tensor.dims), endpoint=True, dtype=np.uint8)
            else:
                array = random.uniform(-1, 1, tuple(tensor.dims)).astype(
                    helper.tensor_dtype_to_np_dtype(tensor.data_type)
                )
            data += array.tobytes()
        (folder / "model.onnx.data").write_bytes(data)
    return path
