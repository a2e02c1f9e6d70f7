"""The file of weights next to the graph, written tensor by tensor from a weight source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxlens.errors import ExportError
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.progress import Progress
from onnxlens.specs.tensor import TensorSpec

ALIGNMENT_BYTES = 4096
"""A page: what memory mapping wants, and what ONNX's external data format recommends for large tensors."""

AHEAD = 4
"""How many tensors are read ahead of the one being written: enough for two cores, little memory."""


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


def write(model: ir.Model, source: WeightSource, path: Path, progress: Progress) -> None:
    """Write the weights of ``model`` to ``path``, each at the offset that ``point_at_file`` gave it."""
    references = {
        name: weight.const_value
        for name, weight in model.graph.initializers.items()
        if isinstance(weight.const_value, ir.ExternalTensor)
    }
    total = sum(reference.length or 0 for reference in references.values())
    done = 0
    with path.open("wb") as file:
        for name, values in _read_ahead(source, list(references)):
            reference = references[name]
            file.seek(reference.offset or 0)
            # as bytes: a buffer cannot be of bfloat16
            file.write(np.ascontiguousarray(values).view(np.uint8).data if values.size else b"")
            done += reference.length or 0
            progress("writing weights", done, total)
        file.truncate(-(-file.tell() // ALIGNMENT_BYTES) * ALIGNMENT_BYTES)


def _read_ahead(source: WeightSource, names: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Each weight in turn; the next few are being read meanwhile."""
    with ThreadPoolExecutor(max_workers=AHEAD // 2) as pool:
        pending: dict[str, Future[np.ndarray]] = {}
        for index, name in enumerate(names):
            for ahead in names[index : index + AHEAD]:
                if ahead not in pending:
                    pending[ahead] = pool.submit(source.read, ahead)
            yield name, pending.pop(name).result()
