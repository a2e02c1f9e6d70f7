"""What is said of PyTorch's operators, held to PyTorch's own lists of them."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import flop_registry

from onnxlens.pipeline.products import PRODUCTS, WITHOUT_PRODUCTS, is_known


def test_every_name_is_an_operators() -> None:
    assert [
        name for name in (*PRODUCTS, *sorted(WITHOUT_PRODUCTS)) if not hasattr(torch.ops.aten, name)
    ] == []
    assert WITHOUT_PRODUCTS.isdisjoint(PRODUCTS)


def test_what_torch_counts_is_counted_or_said_to_be_unknown() -> None:
    packets = [each for each in flop_registry if isinstance(each, torch._ops.OpOverloadPacket)]
    assert len(packets) > 20
    for packet in packets:
        known = any(is_known(getattr(packet, overload)) for overload in packet.overloads())
        assert known == (packet.__name__ in PRODUCTS), packet


def test_elementwise_operators_and_their_forms_in_place_are_known() -> None:
    aten = torch.ops.aten
    for operator in (aten.lgamma.default, aten.add_.Tensor, aten.addcmul.default, aten.index_put_.default):
        assert is_known(operator)
    for operator in (aten.linalg_inv_ex.default, aten.mkldnn_rnn_layer.default, aten._cdist_forward.default):
        assert not is_known(operator)
