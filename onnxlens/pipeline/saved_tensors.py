"""What each operator of PyTorch keeps for its backward pass, and what its gradients cost.

The source is PyTorch's own ``derivatives.yaml`` (its formulas name what they read; release 2.13) and the rule
of its code generator: a tensor that a single formula of a single input reads is saved where that input needs
a gradient; one that a formula of several inputs reads is saved where any input does. So a convolution keeps
its input although its weight is frozen, and a linear layer does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import NamedTuple

Shape = Sequence[int]


class Saved(NamedTuple):
    """An argument or a result of an operator that is kept; ``when`` names the input whose gradient reads it.

    Results are ``result0``, ``result1``, ..; an empty ``when`` is any input.
    """

    name: str
    when: str = ""


_SAVES: Mapping[str, str] = {
    # what the formulas read: the operators
    "": "add sub rsub neg cat stack sum mean cumsum clone _to_copy copy fill zero sign floor ceil round "
    "trunc mul.Scalar div.Scalar lerp.Scalar constant_pad_nd repeat roll flip tril triu pixel_shuffle "
    "pixel_unshuffle im2col col2im lift_fresh slice_scatter select_scatter upsample_nearest1d "
    "upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d "
    "upsample_bicubic2d bernoulli zeros_like ones_like full_like empty_like rand_like randn_like new_zeros "
    "new_ones new_empty new_full",
    "self:other other:self": "mul.Tensor",
    "self:other other": "div.Tensor div.Tensor_mode",
    "self": "abs clamp clamp_min clamp_max cos sin log log2 log10 log1p erf hardsigmoid hardswish hardtanh "
    "leaky_relu elu softplus silu mish gelu glu pow.Tensor_Scalar var.correction var_mean.correction "
    "reflection_pad1d reflection_pad2d replication_pad2d _adaptive_avg_pool2d avg_pool2d",
    "result0": "relu sigmoid tanh exp sqrt rsqrt reciprocal _softmax _log_softmax _safe_softmax leaky_relu_ "
    "elu_",
    "self result0": "max min amax amin std.correction linalg_vector_norm norm.ScalarOpt_dim",
    "self min max": "clamp.Tensor",
    "self min": "clamp_min.Tensor",
    "self max": "clamp_max.Tensor",
    "self other": "maximum minimum atan2",
    "result1": "native_dropout max.dim min.dim topk sort sort.stable",
    "self result1": "max_pool2d_with_indices log_sigmoid_forward",
    "condition": "where.self",
    "mask": "masked_fill.Scalar masked_fill.Tensor",
    "index": "index_select scatter.src scatter.value",
    "self index": "gather",
    "indices": "embedding index.Tensor",
    "self weight": "_prelu_kernel",
    "mat1:mat2 mat2:mat1": "addmm",
    "self:mat2 mat2:self": "mm bmm",
    "batch1:batch2 batch2:batch1": "baddbmm",
    "mat:vec vec:mat": "addmv",
    "self:vec vec:self": "mv",
    "self:tensor tensor:self": "dot",
    "input weight": "convolution",
    "input weight result1 result2": "native_group_norm",
    "input weight bias result1 result2": "native_layer_norm",
    "input weight running_mean running_var result1 result2": "native_batch_norm",
    "input weight result1": "_fused_rms_norm",
    "v g result1": "_weight_norm_interface",
    "self target": "mse_loss",
    "self target weight result1": "nll_loss_forward",
    "input grid": "grid_sampler_2d",
    "query key value attn_mask result0 result1": "_scaled_dot_product_flash_attention_for_cpu",
}  # fmt: skip


def _parsed(text: str) -> tuple[Saved, ...]:
    return tuple(Saved(*each.split(":")) for each in text.split())


SAVES: Mapping[str, tuple[Saved, ...]] = MappingProxyType(
    {operator: _parsed(text) for text, operators in _SAVES.items() for operator in operators.split()}
)
"""By operator: with its overload where these differ; ``relu_`` only where it differs from ``relu``."""

NEEDED: Mapping[str, tuple[Saved, ...]] = MappingProxyType(
    {"convolution": _parsed("input:weight weight:input")}
)
"""What the gradients of an operator really read, where PyTorch keeps more."""


def saves(operator: str) -> tuple[Saved, ...] | None:
    """What ``operator`` keeps, None where that is unknown.

    Args:
        operator: ``name.overload``; of one that writes its input, the name ends in an underscore.
    """
    name, _, overload = operator.partition(".")
    plain = name.removesuffix("_")
    for each in (operator, name, f"{plain}.{overload}", plain):
        if each in SAVES:
            return SAVES[each]
    return None


class Products(NamedTuple):
    """The MACs of an operator, and of the gradient of each operand; one of no name has those of all."""

    macs: int
    gradients: Mapping[str, int]


def _both(first: str, second: str, macs: int) -> Products:
    """Each gradient of a product of two is a product of the same size."""
    return Products(macs, {first: macs, second: macs})


def _product(first: str, second: str) -> Callable[[Mapping[str, Shape], Shape, bool], Products]:
    """Of matrices: every element of the result sums over the last dimension of the first one."""
    return lambda shapes, result, transposed: _both(first, second, prod(result) * shapes[first][-1])


def _convolution(shapes: Mapping[str, Shape], result: Shape, transposed: bool) -> Products:
    """Every position of the result, transposed of the input, takes the kernel once for each pair of channels.

    The weight's shape has the division by groups.
    """
    positions = (shapes["input"] if transposed else result)[2:]
    return _both("input", "weight", result[0] * prod(positions) * prod(shapes["weight"]))


def _attention(shapes: Mapping[str, Shape], result: Shape, transposed: bool) -> Products:
    """softmax(q k^T) v: backwards q k^T again, then gradients of v, of its factor, of q and k."""
    *lead, length, width = shapes["query"]
    scores = prod(lead) * length * shapes["key"][-2] * width
    values = prod(lead) * length * shapes["key"][-2] * shapes["value"][-1]
    return Products(scores + values, {"": 3 * scores + 2 * values})


PRODUCTS: Mapping[str, Callable[[Mapping[str, Shape], Shape, bool], Products]] = MappingProxyType(
    {
        "mm": _product("self", "mat2"),
        "bmm": _product("self", "mat2"),
        "addmm": _product("mat1", "mat2"),
        "baddbmm": _product("batch1", "batch2"),
        "mv": _product("self", "vec"),
        "dot": _product("self", "tensor"),
        "addmv": _product("mat", "vec"),
        "convolution": _convolution,
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
    }
)
"""By the name of an operator that multiplies and accumulates: from shapes of operands and the result."""
