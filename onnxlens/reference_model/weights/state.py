"""Between a weight source and a module: what the module needs, and filling it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.specs.tensor import TensorSpec
from onnxlens.specs.torch_arrays import as_tensor

if TYPE_CHECKING:
    from torch import nn

    from onnxlens.specs.graph import WeightSource


def state_tensors(module: nn.Module) -> Mapping[str, TensorSpec]:
    """Name, dtype and shape of every entry of the module's ``state_dict``, on any device.

    Raises:
        UsageError: two entries are one tensor: which name its values go by is then not defined.
    """
    state = module.state_dict(keep_vars=True)
    names = {id(tensor): name for name, tensor in reversed(state.items())}
    for name, tensor in state.items():
        if names[id(tensor)] != name:
            raise UsageError(
                f"{names[id(tensor)]} and {name} are one tensor; tied weights cannot be exported, untie them"
            )
    return {
        name: TensorSpec(name, str(tensor.dtype).removeprefix("torch.").replace("_", ""), tuple(tensor.shape))
        for name, tensor in state.items()
    }


def filled(module: nn.Module, source: WeightSource) -> nn.Module:
    """The module with the source's values; it may come from the meta device, so that nothing is held twice.

    Raises:
        CheckpointError: the source has no values.
    """
    state = {name: as_tensor(source.read(name)) for name in source.tensors}
    module.load_state_dict(state, strict=True, assign=True)
    return module.requires_grad_(False)
