"""The peaks: the highest rate of a plain matrix product and of a plain convolution, by the same runtime."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import NodeProto, TensorProto, helper, numpy_helper

from onnxlens.profile.runtime.latency import seconds_of
from onnxlens.profile.runtime.session import SessionRequest, bound, open_session
from onnxlens.specs.bench import ConvolutionPeak, MatmulPeak
from onnxlens.specs.temporary import temporary_folder

SIDES: Mapping[str, int] = {"cpu": 1024}
DEVICE_SIDE = 8192
"""A device needs more work than a processor before the launch overhead is negligible."""

KERNEL = 3
CONVOLUTIONS: Mapping[str, tuple[int, int]] = {"cpu": (128, 28)}
DEVICE_CONVOLUTION = (1024, 128)
"""Channels and side of the picture. A processor's is short, so that one of many is not interrupted."""

REPEATS = 10
SHORT_REPEATS = 200

BUDGET_S = 0.3
"""No product begins after so much time: a slow machine makes fewer than ``REPEATS``."""

DTYPES = ("float32", "float16", "float64")
"""Element types of the product; for any other type the peak is that of float32."""

OPSET, IR_VERSION = 18, 10


@cache
def matmul_peak(
    provider: str, threads: int, dtype: str = "float32", repeats: int = REPEATS, budget_s: float = BUDGET_S
) -> MatmulPeak:
    """MACs per second of the fastest of several products of two square matrices, one of them a weight.

    A product of side n is n^3 MACs. There are up to ``repeats`` products, and one of any duration. It is
    measured once in a process.

    Raises:
        ToolError: the provider is not available.
    """
    side = SIDES.get(provider, DEVICE_SIDE)
    kind = dtype if dtype in DTYPES else DTYPES[0]
    session = _product_session(side, kind, provider, SessionRequest(threads=threads))
    taken = _fastest(session, _drawn((side, side), kind), provider, repeats, budget_s)
    return MatmulPeak(side**3 / taken, side, kind)


def integer_peak(threads: int, budget_s: float, repeats: int = 10**6) -> MatmulPeak:
    """As the peak of float32, of a MatMulInteger of int8 on the processor."""
    side, kind = SIDES["cpu"], "int8"
    session = _product_session(side, kind, "cpu", SessionRequest(threads=threads))
    return MatmulPeak(
        side**3 / _fastest(session, _drawn((side, side), kind), "cpu", repeats, budget_s), side, kind
    )


@cache
def convolution_peak(
    provider: str,
    threads: int,
    dtype: str = "float32",
    repeats: int = SHORT_REPEATS,
    budget_s: float = BUDGET_S,
) -> ConvolutionPeak | None:
    """MACs per second of the fastest of several padded 3 x 3 convolutions, with as many channels out as in.

    One is side^2 x channels^2 x 9 MACs, padded positions counted. None in float64, which the processor lacks.
    It is measured once in a process.

    Raises:
        ToolError: the provider is not available.
    """
    channels, side = CONVOLUTIONS.get(provider, DEVICE_CONVOLUTION)
    kind = dtype if dtype in DTYPES else DTYPES[0]
    if kind == "float64":
        return None
    with temporary_folder() as folder:
        path = folder / "convolution.onnx"
        write_convolution(path, channels, side, kind)
        session = open_session(path, provider, SessionRequest(threads=threads))
    taken = _fastest(session, _drawn((1, channels, side, side), kind), provider, repeats, budget_s)
    return ConvolutionPeak(side**2 * channels**2 * KERNEL**2 / taken, channels, side, KERNEL, kind)


def _fastest(
    session: ort.InferenceSession, x: np.ndarray, provider: str, repeats: int, budget_s: float
) -> float:
    call = bound(session, {"x": x}, provider)
    call()
    taken = [seconds_of(call)]
    while len(taken) < repeats and sum(taken) < budget_s:
        taken.append(seconds_of(call))
    return min(taken)


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
    """Write a model of one MatMul, or MatMulInteger: ``y`` is input ``x`` times a weight."""
    op_type = "MatMulInteger" if dtype == "int8" else "MatMul"
    node = helper.make_node(op_type, ["x", "w"], ["y"], name="product")
    _write(path, node, (side, side), (side, side), dtype)


def write_convolution(path: Path, channels: int, side: int, dtype: str) -> None:
    """Write a model of one Conv: ``y`` has the shape of input ``x``."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="convolution", pads=[KERNEL // 2] * 4)
    _write(path, node, (1, channels, side, side), (channels, channels, KERNEL, KERNEL), dtype)


def _write(path: Path, node: NodeProto, shape: tuple[int, ...], weight: tuple[int, ...], dtype: str) -> None:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    result = TensorProto.INT32 if dtype == "int8" else element
    ends = [helper.make_tensor_value_info(*end, shape) for end in (("x", element), ("y", result))]
    held = numpy_helper.from_array(_drawn(weight, dtype), "w")
    graph = helper.make_graph([node], node.name, ends[:1], ends[1:], [held])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    path.write_bytes(model.SerializeToString())


def _drawn(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(shape[-1]).random(shape, np.float32)
    return (values * 100).astype(dtype) if dtype == "int8" else values.astype(dtype)
