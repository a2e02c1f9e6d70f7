"""The matmul peak: the highest rate of a plain matrix product, through the same runtime and provider."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import helper, numpy_helper

from onnxlens.profile.runtime.latency import seconds_of
from onnxlens.profile.runtime.session import SessionRequest, bound, open_session
from onnxlens.specs.bench import MatmulPeak
from onnxlens.specs.temporary import temporary_folder

SIDES: Mapping[str, int] = {"cpu": 1024}
DEVICE_SIDE = 8192
"""A device needs more work than a processor before the launch overhead is negligible."""

REPEATS = 10

BUDGET_S = 0.3
"""No product begins after so much time: a slow machine makes fewer than ``REPEATS``."""

DTYPES = ("float32", "float16", "float64")
"""Element types of the product; for any other type the peak is that of float32."""

OPSET, IR_VERSION = 18, 10


@cache
def matmul_peak(provider: str, threads: int, dtype: str) -> MatmulPeak:
    """The matmul peak, measured once in a process."""
    return measure_matmul_peak(provider, threads, dtype)


def measure_matmul_peak(
    provider: str, threads: int, dtype: str = "float32", repeats: int = REPEATS, budget_s: float = BUDGET_S
) -> MatmulPeak:
    """MACs per second of the fastest of several products of two square matrices, one of them a weight.

    A product of side n is n^3 MACs. There are up to ``repeats`` products, and one of any duration.

    Raises:
        ToolError: the provider is not available.
    """
    side = SIDES.get(provider, DEVICE_SIDE)
    kind = dtype if dtype in DTYPES else DTYPES[0]
    session = _product_session(side, kind, provider, SessionRequest(threads=threads))
    call = bound(session, {"x": _matrix(side, kind)}, provider)
    call()
    taken = [seconds_of(call)]
    while len(taken) < repeats and sum(taken) < budget_s:
        taken.append(seconds_of(call))
    return MatmulPeak(side**3 / min(taken), side, kind)


def require_runnable(provider: str, level: str) -> None:
    """Open a session on a tiny model, so that a missing provider is known before anything is exported.

    Raises:
        ToolError: the provider or the level is unknown, or the provider is not available.
    """
    _product_session(1, DTYPES[0], provider, SessionRequest(level))


def _product_session(side: int, dtype: str, provider: str, request: SessionRequest) -> ort.InferenceSession:
    with temporary_folder() as folder:
        path = folder / "product.onnx"
        write_product(path, side, dtype)
        return open_session(path, provider, request)


def write_product(path: Path, side: int, dtype: str) -> None:
    """Write a model of one MatMul: ``y`` is input ``x`` times a weight."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    ends = [helper.make_tensor_value_info(name, element, [side, side]) for name in "xy"]
    weight = numpy_helper.from_array(_matrix(side, dtype), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    graph = helper.make_graph([node], "product", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    path.write_bytes(model.SerializeToString())


def _matrix(side: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(side).random((side, side), np.float32).astype(dtype)
