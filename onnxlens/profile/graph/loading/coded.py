"""An export of a network at one size as its graph at any size.

A network that is exported at a fixed size has that size in constants: the shapes of reshapes, the sizes of
resizings. It is exported at sizes whose factors are large primes, which no channel count has: so a constant
that one of them divides is a multiple of that size, and every other constant is none (docs/decisions/0016).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, numpy_helper

from onnxlens.errors import GraphError
from onnxlens.profile.graph.graph import Graph, uncollected
from onnxlens.profile.graph.loading.loader import LoadedFile
from onnxlens.profile.graph.loading.protobuf import MAX_CONSTANT_ELEMENTS
from onnxlens.specs.bounds import MOST_PIXELS, in_file
from onnxlens.specs.record import record
from onnxlens.specs.tensor import TensorSpec

PRIMES: Mapping[str, int] = {"batch": 53, "height": 59, "width": 61}
"""The factor of each size in an export that is to be given at others."""


@record(frozen=True, slots=True)
class _Coded:
    """A constant that hangs on sizes: the tensor, and what it holds in the export."""

    tensor: TensorProto
    values: np.ndarray


class CodedFile(LoadedFile):
    """An export at coded sizes, read once: the graph at any sizes."""

    def __init__(self, path: Path, sizes: Mapping[str, int]) -> None:
        """Read the file and find its coded constants.

        Args:
            path: of the export.
            sizes: that it was exported at, multiples of ``PRIMES``.

        Raises:
            GraphError: sizes stand where they cannot be changed.
        """
        super().__init__(path)
        self._coded_at = sizes
        graph = self._model.graph
        self._coded = [
            _Coded(tensor, values)
            for tensor in graph.initializer
            for values in [_small_integers(tensor)]
            if values is not None and any(map(_is_coded, values.flat))
        ]
        for node in self._read.nodes:
            _require_plain(path, node.proto)
        for tensor in graph.initializer:
            if any(map(_is_coded, tensor.dims)):
                raise GraphError(
                    f"{path.name}: the constant {tensor.name} grows with the size of the picture"
                )

    @uncollected()
    def sized(self, sizes: Mapping[str, int], inputs: Sequence[TensorSpec]) -> Graph:
        """The graph at other sizes.

        Args:
            sizes: batch, height and width.
            inputs: of the network at these.
        """
        for coded in self._coded:
            values = [self._decoded(int(value), sizes) for value in coded.values.flat]
            array = np.array(values, coded.values.dtype).reshape(coded.values.shape)
            coded.tensor.CopyFrom(numpy_helper.from_array(array, coded.tensor.name))
            self._memo.held.pop(coded.tensor.name, None)
        with in_file(self._path):
            shapes = {tensor.name: [dim for dim in tensor.shape if isinstance(dim, int)] for tensor in inputs}
            return self.at(shapes, fitting=True)

    def _decoded(self, value: int, sizes: Mapping[str, int]) -> int:
        """The constant at these sizes: for each prime in it the size is put in place of the export's."""
        if not _is_multiple(value):
            return value if not _has_token(value) else self._decoded(value - 1, sizes) + 1
        for name, prime in PRIMES.items():
            while value % prime == 0:
                value = value // prime * sizes[name] * prime // self._coded_at[name]
        return value


def _small_integers(tensor: TensorProto) -> np.ndarray | None:
    whole = tensor.data_type in (TensorProto.INT64, TensorProto.INT32)
    if (
        not whole
        or tensor.data_location == TensorProto.EXTERNAL
        or np.prod(tensor.dims) > MAX_CONSTANT_ELEMENTS
    ):
        return None
    return numpy_helper.to_array(tensor)


def _is_coded(value: int) -> bool:
    return _is_multiple(value) or _has_token(value)


def _is_multiple(value: int) -> bool:
    return 0 < value < MOST_PIXELS**4 and any(value % prime == 0 for prime in PRIMES.values())


def _has_token(value: int) -> bool:
    """Whether it counts all positions of a picture, and one token more: that of a transformer's class."""
    return 1 < value < MOST_PIXELS**4 and (value - 1) % (PRIMES["height"] * PRIMES["width"]) == 0


def _require_plain(path: Path, node: NodeProto) -> None:
    """Raises GraphError where an attribute holds a size."""
    for attribute in node.attribute:
        numbers = attribute.ints if attribute.type == AttributeProto.INTS else (attribute.i,)
        if any(map(_is_coded, numbers)):
            raise GraphError(f"{path.name}: {node.op_type} {node.name} has a size in its {attribute.name}")
