"""The operators of PyTorch that multiply and accumulate: what they cost, and what their gradients do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

Shape = Sequence[int]

WITHOUT_PRODUCTS = frozenset(
    "_adaptive_avg_pool2d _adaptive_avg_pool3d _batch_norm_with_update _fused_rms_norm _index_put_impl "
    "_log_softmax _native_batch_norm_legit _prelu_kernel _safe_softmax _softmax _to_copy _unsafe_index "
    "_unsafe_index_put _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d "
    "_upsample_nearest_exact2d _upsample_nearest_exact3d _weight_norm_interface adaptive_max_pool2d "
    "adaptive_max_pool3d amax amin aminmax argmax argmin as_strided as_strided_scatter avg_pool2d "
    "avg_pool3d bernoulli binary_cross_entropy binary_cross_entropy_with_logits bucketize cat "
    "channel_shuffle clone col2im complex constant_pad_nd copy cummax cummin cumprod cumsum diag_embed "
    "diagonal_scatter embedding embedding_renorm empty_like exponential fill flip floor_divide "
    "fractional_max_pool2d full_like gather glu grid_sampler_2d grid_sampler_3d hardswish histc "
    "huber_loss im2col index index_add index_copy index_fill index_put index_reduce index_select kthvalue "
    "lift_fresh linalg_vector_norm log_sigmoid_forward logcumsumexp logsumexp masked_fill masked_scatter "
    "masked_select max max_pool2d_with_indices max_pool3d_with_indices max_unpool2d mean median min mode "
    "mse_loss multi_margin_loss multilabel_margin_loss_forward multinomial nanmedian native_batch_norm "
    "native_channel_shuffle native_dropout native_group_norm native_layer_norm new_empty "
    "new_empty_strided new_full new_ones new_zeros nll_loss2d_forward nll_loss_forward nonzero norm "
    "normal ones_like pixel_shuffle pixel_unshuffle polar prod put rand_like randint_like randn_like "
    "random reflection_pad1d reflection_pad2d reflection_pad3d renorm repeat replication_pad1d "
    "replication_pad2d replication_pad3d roll rot90 rrelu_with_noise rsub scatter scatter_add "
    "scatter_reduce searchsorted segment_reduce select_scatter slice_scatter smooth_l1_loss "
    "soft_margin_loss sort squeeze stack std std_mean sum t take topk trace transpose tril triu "
    "unfold_backward uniform unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze "
    "upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d "
    "upsample_nearest3d upsample_trilinear3d var var_mean where zero zeros_like".split()
)
"""Those that do neither, beside the elementwise ones, which PyTorch marks."""


def is_known(operator: Any) -> bool:
    """Whether it is known what the operator multiplies and accumulates: an ``OpOverload`` of PyTorch."""
    name = operator._schema.name.partition("::")[2]
    return operator.namespace == "aten" and (
        torch.Tag.pointwise in operator.tags
        or name in PRODUCTS
        or bool({name, name.removesuffix("_")} & WITHOUT_PRODUCTS)
    )


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
