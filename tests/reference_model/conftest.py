"""Fixtures of the tests of the networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from onnxlens.specs.graph import GraphSpec


@pytest.fixture
def empty_inputs() -> Callable[..., tuple[Tensor, ...]]:
    """Makes tensors of a graph's input shapes and dtypes; on the meta device they take no memory."""

    def make(spec: GraphSpec, device: str = "meta") -> tuple[Tensor, ...]:
        return tuple(
            torch.empty([int(dim) for dim in tensor.shape], dtype=getattr(torch, tensor.dtype), device=device)
            for tensor in spec.inputs
        )

    return make
