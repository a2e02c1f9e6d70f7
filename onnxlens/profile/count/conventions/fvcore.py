"""fvcore's convention: one per multiply-add of the operators in its table, 0 for all others.

Source: fvcore 0.1.5, ``fvcore/nn/jit_handles.py`` and the table in ``fvcore/nn/flop_count.py``. fvcore counts
the aten operators of a trace of the ``nn.Module``; here they are those of the exporter's trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import floor, prod

import numpy as np

from onnxlens.profile.count.conventions.calls import CallView, Handler
from onnxlens.profile.count.rules import work_of
from onnxlens.profile.graph.node_view import NotCountable

NOTE = (
    "a multiply-add is one; batch norms count 2 an element, other norms 5 (less without affine parameters), "
    "bilinear upsampling 4, adaptive pooling 1 an input element; an operator without a handler counts "
    "nothing, scaled_dot_product_attention among them"
)

EXACT_EINSUMS = ("abc,abd->acd", "abc,adc->adb")
"""With letters renamed in the order of their first occurrence."""

POOLED_TO_ONE = ("mean", "avg_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d")
"""What the exporter makes of adaptive average pooling; only the module's class sets it apart."""


def products(*op_types: str) -> Callable[[CallView], int]:
    """Multiply-adds of the call's matrix product or convolution, without a bias: as in our MACs.

    fvcore: prod(input) * out_features for linear, prod(output) * prod(weight[1:]) for a convolution, and
    prod(input) * prod(weight[1:]) for a transposed one.
    """
    return lambda call: work_of(call.node(*op_types)).macs


def matmul(call: CallView) -> int:
    """prod(A) * B[-1], A broadcast or not; raises NotCountable where B is a vector, as fvcore fails there."""
    node = call.node("MatMul", "Gemm")
    first, second = node.input_shape(0), node.input_shape(1)
    if len(second) < 2:
        raise NotCountable("it fails at a matmul with a vector from the right")
    return prod(first) * second[-1]


def einsum(call: CallView) -> int:
    """Half the FLOPs of numpy's optimal path, printed with four digits; exact for two equations."""
    node = call.node("Einsum")
    equation = str(node.attribute("equation")).replace(" ", "")
    shapes = [node.input_shape(index) for index in range(len(node.inputs))]
    letters = list(dict.fromkeys(filter(str.isalpha, equation)))
    spelt = equation.translate({ord(letter): 97 + index for index, letter in enumerate(letters)})
    if spelt in EXACT_EINSUMS:
        return work_of(node).macs
    operands = (np.broadcast_to(0.0, shape) for shape in shapes)
    report = str(np.einsum_path(spelt, *operands, optimize="optimal")[1])
    line = next(line for line in report.splitlines() if "optimized flop" in line.lower())
    return floor(float(line.split(":")[-1]) / 2)


def each(call_shape: Callable[[CallView], tuple[int, ...]], weight: int) -> Callable[[CallView], int]:
    """``weight`` per element."""
    return lambda call: weight * prod(call_shape(call))


def norm(call: CallView) -> int:
    """5 per element, 4 without affine parameters; raises NotCountable unless there are 2 to 5 dimensions."""
    shape = call.input_shape
    if not 2 <= len(shape) <= 5:
        raise NotCountable(f"its norm handler refuses the shape {shape}")
    return (5 if call.is_affine else 4) * prod(shape)


def unknown_pooling(call: CallView) -> int:
    """1 per input element of adaptive pooling, else 0: raises NotCountable, as no file says which it was."""
    raise NotCountable(f"{call.target}: may be adaptive pooling, which counts; the file does not say")


def batch_norm(call: CallView) -> int:
    """2 per element, 1 without affine parameters: the inference form."""
    return (2 if call.is_affine else 1) * prod(call.input_shape)


MAYBE_POOLING = Handler("adaptive_avg_pool2d", unknown_pooling)
"""For an operator without a handler that the exporter may have made of adaptive pooling."""

RECURRENT = "torch.nn.modules.rnn."
"""PyTorch runs each of these layers as one operator without a handler; the exporter unrolls some of them."""

INSTANCE = ("InstanceNormalization", "ReduceMean")
"""A long instance norm is exported as two means."""

LINEAR = products("MatMul", "Gemm")
CONVOLUTION = Handler("conv", products("Conv", "ConvTranspose"), ("Conv", "ConvTranspose"))
BATCH_NORM = Handler("batch_norm", batch_norm, ("BatchNormalization",), "batch norm 2 an element")
GROUP_NORM = Handler("group_norm", norm, ("GroupNormalization", *INSTANCE), "group norm 5 an element")
LAYER_NORM = Handler("layer_norm", norm, ("LayerNormalization",), "layer norm 5 an element")
GRID_SAMPLER = Handler("grid_sampler", each(lambda call: call.output_shape, 4), (), "sampling 4 an element")
POOLING = Handler(
    "adaptive_avg_pool2d", each(lambda call: call.input_shape, 1), (), "adaptive pooling 1 an input element"
)
UPSAMPLED = Handler(
    "upsample_nearest2d", each(lambda call: call.output_shape, 1), ("Resize",), "resizing 1 an element"
)

HANDLERS: Mapping[str, Handler] = {
    **{name: Handler(name, LINEAR, ("MatMul", "Gemm")) for name in ("linear", "addmm", "mm", "bmm")},
    "matmul": Handler("matmul", matmul, ("MatMul", "Gemm"), "prod(A) x columns of B, broadcast or not"),
    "einsum": Handler("einsum", einsum, ("Einsum",), "half of numpy's count, rounded to four digits"),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), CONVOLUTION),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), BATCH_NORM),
    **dict.fromkeys(("group_norm", "native_group_norm"), GROUP_NORM),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), LAYER_NORM),
    "instance_norm": Handler("instance_norm", norm, INSTANCE, "instance norm 5 an element"),
    "upsample_nearest2d": UPSAMPLED,
    "upsample_bilinear2d": Handler(
        "upsample_bilinear2d", each(lambda call: call.output_shape, 4), ("Resize",), "resizing 4 an element"
    ),
    **dict.fromkeys(("grid_sampler", "grid_sampler_2d"), GRID_SAMPLER),
    **dict.fromkeys(("adaptive_avg_pool2d", "_adaptive_avg_pool2d"), POOLING),
}
"""By aten operator."""


def handler_of(call: CallView) -> Handler | None:
    """The handler for the call; None where fvcore has none and counts 0."""
    if call.owner.qualified_class.startswith(RECURRENT):
        return None
    if call.owner.class_name == "AdaptiveAvgPool2d" and call.target in POOLED_TO_ONE:
        return POOLING
    if _may_be_pooling(call):
        return MAYBE_POOLING
    return HANDLERS.get(call.target)


def _may_be_pooling(call: CallView) -> bool:
    """Whether the call may be the function adaptive_avg_pool2d; pooling modules are known by their class."""
    if call.target == "avg_pool2d":
        return not call.owner.qualified_class.startswith("torch.nn.modules.pooling.")
    before, after = call.input_shape, call.output_shape
    return call.target == "mean" and len(before) == 4 and after == (*before[:2], 1, 1)


def uncounted(call: CallView) -> str:
    """Why fvcore counts 0 for the call."""
    recurrent = call.owner.qualified_class.startswith(RECURRENT)
    return f"no handler for {call.owner.class_name if recurrent else call.target}: uncounted"
