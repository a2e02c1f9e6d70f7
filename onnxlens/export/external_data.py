"""The file of weights next to the graph, written tensor by tensor from a weight source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxlens.errors import ExportError
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.progress import Progress
from onnxlens.specs.tensor import TensorSpec

ALIGNMENT_BYTES = 4096
"""A page: what memory mapping wants, and what ONNX's external data format recommends for large tensors."""

PART_BYTES = 64 * 2**20
"""What a core digests in one go."""

AHEAD = 8
"""How many tensors are read ahead of the one being written: large ones in a row keep two cores busy."""


def point_at_file(model: ir.Model, tensors: Mapping[str, TensorSpec], location: str) -> None:
    """Give every weight of the graph its offset in the file ``location``, in the graph's own order.

    Constants that the exporter folded have no entry in ``tensors`` and stay in the graph.

    Raises:
        ExportError: an initializer without a value is not in ``tensors``, or has another dtype or shape
            there.
    """
    offset = 0
    for name, weight in model.graph.initializers.items():
        if name not in tensors:
            if not _has_values(weight):
                raise ExportError(
                    f"{model.graph.name}: {name!r} is not in the module's state_dict, and the factory makes "
                    "it on the meta device, without a value; make it on the CPU"
                )
            continue
        spec, size = tensors[name], tensors[name].size_bytes or 0
        parts = (2,) if spec.dtype.startswith("complex") else ()  # ONNX has real and imaginary parts
        if weight.dtype is None or weight.shape is None or tuple(weight.shape) != (*spec.shape, *parts):
            raise ExportError(
                f"{model.graph.name}: weight {name!r} is {weight.shape} here, {spec} in the source"
            )
        weight.const_value = ir.ExternalTensor(
            location, offset, size, weight.dtype, shape=weight.shape, name=name, base_dir=""
        )
        offset += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _has_values(constant: ir.Value) -> bool:
    """Whether the tensor is really there: not left out, and not one of the fakes that tracing ran on."""
    from torch._subclasses.fake_tensor import FakeTensor

    return constant.const_value is not None and not isinstance(constant.const_value.raw, FakeTensor)


class DataDigest:
    """The digest of a data file: the SHA-256 of the SHA-256 of each part, so that all cores can take part."""

    def __init__(self, part_bytes: int = PART_BYTES) -> None:
        """Of no bytes yet."""
        self._part_bytes = part_bytes
        self._parts: list[bytes] = []
        self._part, self._left = sha256(), part_bytes

    def add(self, content: memoryview) -> None:
        """The bytes that follow."""
        while len(content):
            begun = content[: self._left]
            self._part.update(begun)
            self._left -= len(begun)
            content = content[len(begun) :]
            if not self._left:
                self._end_part()

    def text(self) -> str:
        """The digest of all bytes; none may follow."""
        if self._left < self._part_bytes:
            self._end_part()
        return sha256(b"".join(self._parts)).hexdigest()

    def _end_part(self) -> None:
        self._parts.append(self._part.digest())
        self._part, self._left = sha256(), self._part_bytes


def write(model: ir.Model, source: WeightSource, path: Path, progress: Progress) -> str:
    """Write the weights of ``model`` to ``path``, each at the offset that ``point_at_file`` gave it.

    Returns:
        The digest of the file, made beside the writing.
    """
    references = {
        name: weight.const_value
        for name, weight in model.graph.initializers.items()
        if isinstance(weight.const_value, ir.ExternalTensor)
    }
    in_order = sorted(references, key=lambda name: references[name].offset or 0)
    total = sum(reference.length or 0 for reference in references.values())
    done, end, digest = 0, 0, DataDigest()
    with path.open("wb") as file, ThreadPoolExecutor(max_workers=1) as beside:
        digesting: Future[None] | None = None
        for name, values in _read_ahead(source, in_order):
            # as bytes: a buffer cannot be of bfloat16
            content = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
            gap = (references[name].offset or 0) - end
            padded = (memoryview(bytes(gap)), content, memoryview(bytes(-len(content) % ALIGNMENT_BYTES)))
            end += sum(map(len, padded))
            if digesting is not None:
                digesting.result()  # one tensor waits at most
            digesting = beside.submit(_add_all, digest, padded)
            file.writelines(padded)
            done += references[name].length or 0
            progress("writing weights", done, total)
    return digest.text()


def _add_all(digest: DataDigest, contents: Sequence[memoryview]) -> None:
    for content in contents:
        digest.add(content)


def _read_ahead(source: WeightSource, names: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Each weight in turn; the next few are being read meanwhile."""
    with ThreadPoolExecutor(max_workers=AHEAD // 2) as pool:
        pending: dict[str, Future[np.ndarray]] = {}
        for index, name in enumerate(names):
            for ahead in names[index : index + AHEAD]:
                if ahead not in pending:
                    pending[ahead] = pool.submit(source.read, ahead)
            yield name, pending.pop(name).result()
