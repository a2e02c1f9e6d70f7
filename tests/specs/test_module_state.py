"""The tensors of a module are listed without allocating them, each once; and filling it sets them all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from onnxlens.errors import CheckpointError
from onnxlens.reference_model.weights.choice import SeededWeights, seeded_tensor
from onnxlens.specs.module_state import ModuleState, filled, slots, state_of
from onnxlens.specs.tensor import TensorSpec
from tests.export.tiny import Tied, Tiny


def on_meta(module_class: type[nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return module_class().eval()


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_entries_are_the_state_dicts_in_its_order_on_any_device(device: str) -> None:
    with torch.device(device):
        module = Tiny()
    tensors = state_of(module).tensors
    assert list(tensors) == list(module.state_dict())
    assert tensors["conv.weight"] == TensorSpec("conv.weight", "float32", (8, 3, 3, 3))
    assert tensors["position_ids"] == TensorSpec("position_ids", "int64", (1, 7))


class OddTypes(nn.Module):
    """Buffers whose type has another name in torch than in ONNX; and what a ``state_dict`` does not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("small", torch.zeros(2, dtype=torch.float8_e4m3fn))
        self.register_buffer("flag", torch.zeros(2, dtype=torch.bool))
        self.register_buffer("unsaved", torch.zeros(2), persistent=False)
        self.register_buffer("absent", None)
        self.attribute = torch.zeros(3)


def test_types_go_by_their_onnx_name() -> None:
    assert {name: spec.dtype for name, spec in state_of(OddTypes()).tensors.items()} == {
        "small": "float8e4m3fn",
        "flag": "bool",
    }


def test_what_the_state_dict_does_not_hold_is_a_constant() -> None:
    assert {slot.name: slot.kind for slot in slots(OddTypes())} == {
        "small": "buffer",
        "flag": "buffer",
        "unsaved": "constant",
        "attribute": "constant",
    }


def test_a_tied_weight_is_one_entry_under_its_first_name() -> None:
    state = state_of(on_meta(Tied))
    assert list(state.tensors) == ["first.weight", "first.bias", "second.bias"]
    assert state.aliases == {"second.weight": "first.weight"}


def test_a_module_with_two_names_has_each_weight_once() -> None:
    layer = nn.Linear(2, 2)
    state = state_of(nn.ModuleList([layer, layer]))
    assert list(state.tensors) == ["0.weight", "0.bias"]
    assert state.aliases == {"1.weight": "0.weight", "1.bias": "0.bias"}


def test_running_statistics_are_not_computed_values_and_tables_are() -> None:
    module = nn.Sequential(nn.BatchNorm1d(3))
    module.register_buffer("table", torch.arange(3))
    assert list(state_of(module).computed) == ["table", "0.num_batches_tracked"]


def test_a_filled_module_has_every_value_of_the_source_and_nothing_on_meta() -> None:
    module = on_meta(Tiny)
    source = SeededWeights(state_of(module), "tiny.")
    result = filled(module, source)
    state = result.state_dict()
    assert not any(tensor.is_meta for tensor in (*result.parameters(), *result.buffers()))
    assert not any(parameter.requires_grad for parameter in result.parameters())
    assert set(state) == set(source.tensors)
    for name, tensor in state.items():
        assert np.array_equal(tensor.numpy(), seeded_tensor(f"tiny.{name}", tuple(tensor.shape)))


def test_a_filled_module_runs() -> None:
    module = on_meta(Tiny)
    filled(module, SeededWeights(state_of(module)))
    assert module(torch.zeros(1, 3, 6, 6)).shape == (1, 36, 4)


def test_a_tied_weight_stays_one_tensor() -> None:
    module = on_meta(Tied)
    filled(module, SeededWeights(state_of(module)))
    first, second = (module.get_parameter(f"{name}.weight") for name in ("first", "second"))
    assert first is second


def test_a_source_without_one_of_the_weights_is_refused() -> None:
    module = on_meta(Tiny)
    tensors = {**state_of(module).tensors}
    del tensors["head.bias"]
    with pytest.raises(CheckpointError, match=r"^head\.bias: seeded has no value for it"):
        filled(module, SeededWeights(ModuleState(tensors)))
