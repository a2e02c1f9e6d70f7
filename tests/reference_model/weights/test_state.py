"""The tensors of a module are listed without allocating them, and filling it sets them all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from onnxlens.errors import UsageError
from onnxlens.reference_model.weights.choice import (
    SeededWeights,
    filled,
    seeded_tensor,
    state_tensors,
)
from onnxlens.specs.tensor import TensorSpec
from tests.export.tiny import Tied, Tiny


def on_meta(module_class: type[nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return module_class().eval()


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_entries_are_the_state_dicts_in_its_order_on_any_device(device: str) -> None:
    with torch.device(device):
        module = Tiny()
    tensors = state_tensors(module)
    assert list(tensors) == list(module.state_dict())
    assert tensors["conv.weight"] == TensorSpec("conv.weight", "float32", (8, 3, 3, 3))
    assert tensors["position_ids"] == TensorSpec("position_ids", "int64", (1, 7))


class OddTypes(nn.Module):
    """Buffers whose type has another name in torch than in ONNX."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("small", torch.zeros(2, dtype=torch.float8_e4m3fn))
        self.register_buffer("flag", torch.zeros(2, dtype=torch.bool))


def test_types_go_by_their_onnx_name() -> None:
    assert {name: spec.dtype for name, spec in state_tensors(OddTypes()).items()} == {
        "small": "float8e4m3fn",
        "flag": "bool",
    }


def test_tied_weights_are_refused_by_both_names() -> None:
    with pytest.raises(UsageError, match=r"^first\.weight and second\.weight are one tensor; .* untie them"):
        state_tensors(on_meta(Tied))


def test_a_filled_module_has_every_value_of_the_source_and_nothing_on_meta() -> None:
    module = on_meta(Tiny)
    source = SeededWeights(state_tensors(module), "tiny.")
    result = filled(module, source)
    state = result.state_dict()
    assert not any(tensor.is_meta for tensor in (*result.parameters(), *result.buffers()))
    assert not any(parameter.requires_grad for parameter in result.parameters())
    assert set(state) == set(source.tensors)
    for name, tensor in state.items():
        assert np.array_equal(tensor.numpy(), seeded_tensor(f"tiny.{name}", tuple(tensor.shape)))


def test_a_filled_module_runs() -> None:
    module = on_meta(Tiny)
    filled(module, SeededWeights(state_tensors(module)))
    assert module(torch.zeros(1, 3, 6, 6)).shape == (1, 36, 4)
