"""What is compared at once: as much as fits into a given memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from onnxlens.errors import UsageError
from onnxlens.profile.parity.layers.cutting import Slice
from onnxlens.specs.tensor import TensorSpec

COMPARING_BYTES = 3 * 8
"""For each element of the tensor being compared: both sides and their difference in float64."""


def chunks(
    slices: Sequence[Slice], types: Mapping[str, TensorSpec], memory_bytes: int
) -> Iterator[Sequence[Slice]]:
    """The slices in their order, so many at a time that the tensors held for them fit into ``memory_bytes``.

    Held are PyTorch's tensors, those handed to the slices and those they are compared with, ONNX Runtime's,
    and the float64 copies of the pair that is being compared.

    Raises:
        UsageError: one slice alone does not fit.
    """
    chunk = Chunk(types)
    for part in slices:
        if chunk.slices and chunk.held_bytes_with(part) > memory_bytes:
            yield chunk.slices
            chunk = Chunk(types)
        if (needed := chunk.held_bytes_with(part)) > memory_bytes:
            raise UsageError(
                f"comparing {part.value!r} holds {needed:,} bytes, --memory allows {memory_bytes:,}; "
                "allow more"
            )
        chunk.add(part)
    if chunk.slices:
        yield chunk.slices


class Chunk:
    """Slices, and what comparing them holds."""

    def __init__(self, types: Mapping[str, TensorSpec]) -> None:
        """Begin with none."""
        self.slices: list[Slice] = []
        self._types = types
        self._captured: set[str] = set()
        self._captured_bytes = 0
        self._made_bytes = 0
        self._largest = 0

    def held_bytes_with(self, part: Slice) -> int:
        """The bytes of all tensors that comparing the chunk holds at its peak, with one slice more."""
        captured = self._captured_bytes + sum(map(self._size, self._new(part)))
        made = self._made_bytes + self._size(part.value)
        return captured + made + COMPARING_BYTES * max(self._largest, self._elements(part))

    def add(self, part: Slice) -> None:
        """Take in one slice more."""
        new = self._new(part)
        self._captured_bytes += sum(map(self._size, new))
        self._captured |= new
        self._made_bytes += self._size(part.value)
        self._largest = max(self._largest, self._elements(part))
        self.slices.append(part)

    def _new(self, part: Slice) -> set[str]:
        return {part.value, *part.inputs} - self._captured

    def _size(self, name: str) -> int:
        return self._types[name].size_bytes or 0

    def _elements(self, part: Slice) -> int:
        return self._types[part.value].elements or 0
