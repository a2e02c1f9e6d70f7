"""External data as a file refers to it."""

from __future__ import annotations

from onnx import TensorProto

from onnxlens.profile.graph.loading.value_types import tensor_type
from onnxlens.specs.tensor import storage_bytes


def with_length(tensor: TensorProto) -> TensorProto:
    """A copy that says how long its external data is, as far as its type and shape do.

    The format lets a file leave the length out, and writers put 0 there; onnx then reads to the file's end.
    """
    copy = TensorProto()
    copy.CopyFrom(tensor)
    kind = tensor_type(tensor)
    size = storage_bytes(kind.dtype or "", kind.elements or 0)
    given = {entry.key: entry.value for entry in tensor.external_data}
    if size is not None and given.get("length", "0") == "0":
        kept = [entry for entry in copy.external_data if entry.key != "length"]
        del copy.external_data[:]
        copy.external_data.extend(kept)
        copy.external_data.add(key="length", value=str(size))
    return copy
