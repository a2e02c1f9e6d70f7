"""Tensors by name, element type and shape; and arrays and PyTorch's tensors on one memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import isfinite, prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from onnxlens.errors import UsageError
from onnxlens.specs.record import record

if TYPE_CHECKING:
    import numpy as np
    import torch

Dim = int | str
"""A dimension: a number, or the symbol of a dynamic one."""

DISTINCT_SHAPES = 2**14
"""What is computed of so many shapes is kept: even a large file repeats few."""

DTYPE_BITS: Mapping[str, int] = MappingProxyType(
    {
        "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16,
        "float8e4m3fn": 8, "float8e4m3fnuz": 8, "float8e5m2": 8, "float8e5m2fnuz": 8, "float8e8m0": 8,
        "float6e2m3": 6, "float6e3m2": 6, "float4e2m1": 4,
        "int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2,
        "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "uint2": 2,
        "bool": 8, "complex64": 64, "complex128": 128,
    }
)  # fmt: skip
"""Bits of one element, by the lower-case name of ONNX's TensorProto.DataType (FLOAT is float32)."""

DTYPES = ("float32", "float16", "bfloat16")
"""The element types that a network's weights and floating inputs and outputs can be exported in."""

HALVES = frozenset({"float16", "bfloat16"})
"""Those of 16 bits."""

ML_DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "bfloat16": "bfloat16", "int4": "int4", "uint4": "uint4", "int2": "int2", "uint2": "uint2",
        "float8e4m3fn": "float8_e4m3fn", "float8e4m3fnuz": "float8_e4m3fnuz",
        "float8e5m2": "float8_e5m2", "float8e5m2fnuz": "float8_e5m2fnuz", "float8e8m0": "float8_e8m0fnu",
        "float6e2m3": "float6_e2m3fn", "float6e3m2": "float6_e3m2fn", "float4e2m1": "float4_e2m1fn",
    }
)  # fmt: skip
"""Types that numpy lacks, by what ``ml_dtypes`` and PyTorch call them."""

_NOT_IN_NUMPY = ("bfloat16", "float8")
"""How the names of PyTorch's types begin that numpy lacks."""

_NUMPY_NAMES: Mapping[str, str] = MappingProxyType({"float": "float32", "double": "float64"})


def dtype_name(onnx_name: str) -> str:
    """``float32`` for ONNX's FLOAT, ``int64`` for INT64: the name that numpy, torch and these specs use."""
    return _NUMPY_NAMES.get(onnx_name.lower(), onnx_name.lower())


def numpy_type(dtype: str) -> np.dtype[Any]:
    """The type of arrays of ``dtype``; ``ml_dtypes`` has those that numpy lacks, such as bfloat16.

    Raises:
        TypeError: neither has such a type.
    """
    import ml_dtypes
    import numpy as np

    return np.dtype(getattr(ml_dtypes, ML_DTYPES.get(dtype, dtype), dtype))


def torch_type(dtype: str) -> torch.dtype:
    """PyTorch's type of that name.

    Raises:
        UsageError: it has none.
    """
    import torch

    found = getattr(torch, ML_DTYPES.get(dtype, dtype), None)
    if not isinstance(found, torch.dtype):
        raise UsageError(f"element type {dtype!r} is none of PyTorch's; give one such as float32 or int64")
    return found


def type_name(dtype: torch.dtype) -> str:
    """``float8e4m3fn`` for ``torch.float8_e4m3fn``: the name that ONNX and these specs use."""
    return short_name(str(dtype))


def short_name(dtype: str) -> str:
    """The same for what PyTorch prints, with or without ``torch.``."""
    name = dtype.removeprefix("torch.")
    return next((short for short, long in ML_DTYPES.items() if long == name), name)


def is_floating(dtype: str) -> bool:
    """Whether values of the type are fractions."""
    return dtype.startswith(("float", "bfloat"))


def storage_bytes(dtype: str, elements: int) -> int | None:
    """Bytes that ``elements`` values of ``dtype`` occupy, packed; None for strings and the like."""
    bits = DTYPE_BITS.get(dtype)
    return None if bits is None else (elements * bits + 7) // 8


@record(frozen=True, slots=True)
class TensorSpec:
    """A tensor's name, element type (numpy's name for it) and shape; a dynamic dimension is its symbol."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]

    def __post_init__(self) -> None:
        for dim in self.shape:
            if (isinstance(dim, int) and dim < 0) or dim == "":
                raise ValueError(
                    f"tensor {self.name!r}: dimension {dim!r} of {self.shape} is not a size or a symbol"
                )

    @property
    def elements(self) -> int | None:
        """The number of elements, or None where a dimension is dynamic."""
        sizes = [dim for dim in self.shape if isinstance(dim, int)]
        return prod(sizes) if len(sizes) == len(self.shape) else None

    @property
    def size_bytes(self) -> int | None:
        """The bytes its elements occupy, or None where that is not known."""
        elements = self.elements
        return None if elements is None else storage_bytes(self.dtype, elements)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}{self.shape_text()}"

    def shape_text(self) -> str:
        """The shape as Python prints it: ``(2, 77, 768)``, ``(77,)``, ``()``."""
        return _text_of(self.shape)


@lru_cache(DISTINCT_SHAPES)
def _text_of(shape: tuple[Dim, ...]) -> str:
    inner = ", ".join(map(str, shape))
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def spec_of(name: str, tensor: torch.Tensor) -> TensorSpec:
    """The tensor's element type and shape under a name."""
    return TensorSpec(name, type_name(tensor.dtype), tuple(tensor.shape))


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """The array's memory as a tensor; of a type that numpy lacks too, which PyTorch's conversion refuses."""
    import numpy as np
    import torch

    name = array.dtype.name
    if not name.startswith(_NOT_IN_NUMPY):
        return torch.from_numpy(array)
    bits = torch.from_numpy(array.view(np.dtype(f"i{array.dtype.itemsize}")))
    return bits.view(getattr(torch, name))


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """The memory of a tensor on the host as an array; of a type that numpy lacks too."""
    import numpy as np
    import torch

    name = type_name(tensor.dtype)
    if not name.startswith(_NOT_IN_NUMPY):
        return np.asarray(tensor.numpy())
    bits = tensor.view(torch.int16 if tensor.element_size() == 2 else torch.int8)
    return np.asarray(bits.numpy()).view(numpy_type(name))


def bad_range(ranges: Mapping[str, tuple[float, float]]) -> str:
    """What is wrong with the first range that no sample can be drawn from; "" if there is none."""
    for name, (low, high) in ranges.items():
        if not (isfinite(low) and isfinite(high) and low <= high):
            return f"the range of input {name!r} is ({low}, {high}); give two finite numbers, the lower first"
    return ""
