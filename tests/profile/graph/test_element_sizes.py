"""Bytes at the true element type: the size of a tensor that ONNX itself packs."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.profile.graph.loading.value_types import DTYPES
from onnxlens.specs.tensor import DTYPE_BITS, storage_bytes

NUMBERS = sorted(set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING})


def test_every_number_type_of_onnx_has_a_size_and_no_other_type_has() -> None:
    assert {DTYPES[kind] for kind in NUMBERS} == set(DTYPE_BITS)
    assert DTYPES[TensorProto.STRING] == "string"


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: DTYPES[kind])
@pytest.mark.parametrize("elements", [0, 1, 4, 11])
def test_a_tensor_takes_the_bytes_that_onnx_packs_it_into(kind: int, elements: int) -> None:
    array = np.zeros(elements, helper.tensor_dtype_to_np_dtype(kind))
    packed = numpy_helper.from_array(array)
    assert packed.data_type == kind
    assert storage_bytes(DTYPES[kind], elements) == len(packed.raw_data)
