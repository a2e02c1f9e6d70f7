"""Reading the small constants of a file: shapes, axes, scales; never a weight."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, numpy_helper
from onnx.checker import ValidationError

MAX_CONSTANT_ELEMENTS = 4096
"""The largest constant whose value a counting rule may read."""

Reader = Callable[[], np.ndarray | None]


def tensor_reader(tensor: TensorProto, folder: Path | None) -> Reader | None:
    """Reads a small tensor when asked; a large one is None, and so is what a missing file holds.

    Without the model's folder, what stands in a file of its own is not read.
    """
    if prod(tensor.dims) > MAX_CONSTANT_ELEMENTS:
        return None
    if folder is None and tensor.data_location == TensorProto.EXTERNAL:
        return None

    def read() -> np.ndarray | None:
        try:
            return np.asarray(numpy_helper.to_array(tensor, str(folder or "")))
        except (OSError, ValueError, TypeError, ValidationError):  # no such file, or one that ends too early
            return None

    return read


def constant_reader(node: NodeProto, folder: Path | None) -> Reader | None:
    """Reads what a Constant node holds, when that is small."""
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return None
    attribute = node.attribute[0]
    match attribute.name:
        case "value":
            return tensor_reader(attribute.t, folder)
        case "value_int":
            return lambda: np.array(attribute.i, np.int64)
        case "value_ints":
            return lambda: np.array(attribute.ints, np.int64)
        case "value_float":
            return lambda: np.array(attribute.f, np.float32)
        case "value_floats":
            return lambda: np.array(attribute.floats, np.float32)
    return None
