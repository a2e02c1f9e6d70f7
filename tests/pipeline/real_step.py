"""One step of training really run by PyTorch, watched: what autograd keeps, and what the products cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten

NUMBERS = (torch.float64, torch.int64, torch.complex128)
"""The types of Python's numbers, which autograd keeps as tensors without dimensions."""


class Step(NamedTuple):
    """Figures of a step, and the names of parameters that got a gradient."""

    forward_macs: int
    backward_macs: int
    saved_bytes: int
    reached: set[str]


class _Kept:
    """What autograd holds instead of a tensor, until the tensor's part of the graph is freed."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()  # what an operator returned would keep the operator alive


def attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def attention_backward(grad: Sequence[int], q: Sequence[int], k: Sequence[int], v: Sequence[int], *_: Any,
                       **__: Any) -> int:  # fmt: skip
    return int(sdpa_backward_flop_count(grad, q, k, v))


ATTENTION: dict[Any, Any] = {
    aten._scaled_dot_product_flash_attention_for_cpu: attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
}
"""torch's own formulas of attention: it has not entered those of the CPU's."""


def checkpointed(module: nn.Module, classes: Sequence[str]) -> nn.Module:
    """The module, in which calls of these classes are checkpointed by torch."""
    for child in module.modules():
        if type(child).__name__ in classes:
            child.forward = _through_checkpoint(child.forward)  # type: ignore[method-assign]
    return module


def _through_checkpoint(forward: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: checkpoint(forward, *args, use_reentrant=False)


def real_step(module: nn.Module, inputs: Sequence[Tensor]) -> Step:
    """Run forward and backward; the loss is the sum of the outputs, which keeps nothing."""
    kept: WeakValueDictionary[int, _Kept] = WeakValueDictionary()

    def pack(tensor: Tensor) -> _Kept:
        found = _Kept(tensor)
        kept[id(found)] = found
        return found

    own = {each.untyped_storage().data_ptr() for each in (*module.parameters(), *module.buffers())}
    counter = FlopCounterMode(display=False, custom_mapping=ATTENTION)
    with counter, saved_tensors_hooks(pack, lambda found: found.tensor), set_checkpoint_early_stop(False):
        outputs = module(*inputs)
        losses = [each for each in tree_leaves(outputs) if isinstance(each, Tensor) and each.requires_grad]
        del outputs
        held = {
            each.tensor.untyped_storage().data_ptr(): each.tensor.untyped_storage().nbytes()
            for each in kept.values()
            if each.tensor.dim() or each.tensor.dtype not in NUMBERS
        }
        forward = counter.get_total_flops()
        loss = torch.stack([each.sum() for each in losses]).sum()
        del losses
        loss.backward()
    macs = (forward // 2, (counter.get_total_flops() - forward) // 2)
    reached = {name for name, each in module.named_parameters() if each.grad is not None}
    return Step(*macs, sum(size for memory, size in held.items() if memory not in own), reached)
