"""Arrays and PyTorch's tensors on one memory, in bfloat16 too, which PyTorch's own conversions refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxlens.specs.tensor import numpy_type

if TYPE_CHECKING:
    from torch import Tensor


def as_tensor(array: np.ndarray) -> Tensor:
    """The array's memory as a tensor."""
    import torch

    if array.dtype == numpy_type("bfloat16"):
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def as_array(tensor: Tensor) -> np.ndarray:
    """The memory of a tensor on the host as an array."""
    import torch

    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.view(torch.int16).numpy()).view(numpy_type("bfloat16"))
    return np.asarray(tensor.numpy())
