"""thop's convention: hooks on modules of exactly the classes in its table, 0 for all others.

Source: thop 0.1.1, ``thop/profile.py`` (the table), ``vision/basic_hooks.py``, ``vision/calc_func.py`` and
``rnn_hooks.py`` (the formulas). A subclass has no hook, and functional calls are not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod

from onnxlens.profile.count.conventions.calls import CallView, Handler
from onnxlens.profile.count.rules import work_of
from onnxlens.profile.graph.node_view import NodeView

NOTE = (
    "multiply-adds of convolution and linear modules, 4 an element of batch, layer and instance norms (2 "
    "without affine parameters), softmax, pooling and resizing modules, recurrent layers with their element "
    "operations; functions and classes without a hook count nothing, attention's products among them"
)

RESIZED: Mapping[str, int] = {
    "upsample_nearest1d": 1, "upsample_nearest2d": 1, "upsample_nearest3d": 1,
    "upsample_linear1d": 5, "upsample_bilinear2d": 11, "upsample_bicubic2d": 224 + 35,
    "upsample_trilinear3d": 0,
}  # fmt: skip
"""Operations per output element; thop's formula for trilinear is never used."""

Formula = Callable[[CallView], int]


def convolution(call: CallView) -> int:
    """prod(output) * (C_in // groups) * prod(kernel), transposed or not."""
    node = call.node("Conv", "ConvTranspose")
    kernel = prod(node.input_shape(1)[2:])
    groups: int = node.attribute("group", 1)
    return prod(node.output_shape()) * (call.input_shape[1] // groups) * kernel


def linear(call: CallView) -> int:
    """in_features * prod(output)."""
    return work_of(call.node("MatMul", "Gemm")).macs


def linear_of_cell(call: CallView) -> int:
    """A product of an unrolled recurrent layer: its multiply-adds, and the additions of its bias."""
    product = call.node("MatMul", "Gemm")
    has_bias = product.has_input(2) or call.nodes[-1].op_type == "Add"
    return linear(call) + has_bias * prod(product.output_shape())


def norm(call: CallView) -> int:
    """2 per element, 4 with affine parameters."""
    return (4 if call.is_affine else 2) * prod(call.input_shape)


def each_output(call: CallView) -> int:
    """1 per output element."""
    return prod(call.output_shape)


def each_input(call: CallView) -> int:
    """1 per input element."""
    return prod(call.input_shape)


def softmax(call: CallView) -> int:
    """Per element an exponential, an addition and a division; one addition less per row."""
    shape = call.input_shape
    axis: int = call.node("Softmax").attribute("axis", -1)
    return 3 * prod(shape) - prod(shape) // shape[axis]


def adaptive_pool(call: CallView) -> int:
    """prod(output) * (1 + prod(input sizes / output sizes))."""
    sizes = zip(call.input_shape[2:], call.output_shape[2:], strict=True)
    window = prod(Fraction(before, after) for before, after in sizes)
    return int(prod(call.output_shape) * (1 + window))


def resize(call: CallView) -> int:
    """1 (nearest), 5 (linear), 11 (bilinear) or 259 (bicubic) per output element."""
    return RESIZED[call.target] * prod(call.output_shape)


def recurrent(op_type: str, gates: int) -> Formula:
    """Per step, sequence, layer and direction the gates, and 4 operations per hidden element."""
    return lambda call: sum(_layer(node, gates) for node in call.nodes if node.op_type == op_type)


def _layer(node: NodeView, gates: int) -> int:
    """Per gate hidden * (input + hidden) + hidden, and 2 * hidden more with biases."""
    steps, batch, size = node.input_shape(0)
    directions, rows, _ = node.input_shape(1)
    hidden = rows // gates
    gate = hidden * (size + hidden) + hidden * (3 if node.has_input(3) else 1)
    return steps * batch * directions * (gates * gate + 4 * hidden)


def _by_target(
    targets: tuple[str, ...], formula: Formula, at: tuple[str, ...], cause: str
) -> Mapping[str, Handler]:
    return {target: Handler("", formula, at, cause) for target in targets}


CONVOLUTION = _by_target(
    ("conv1d", "conv2d", "conv3d", "convolution"), convolution, ("Conv", "ConvTranspose"),
    "transposed: products over the output, not the input",
)  # fmt: skip
NORM = _by_target(
    ("batch_norm", "_native_batch_norm_legit_no_training", "layer_norm", "native_layer_norm",
     "instance_norm"),
    norm, ("BatchNormalization", "LayerNormalization", "InstanceNormalization", "ReduceMean"),
    "norm 4 an element, 2 without affine",
)  # fmt: skip
POOL = _by_target(
    ("avg_pool1d", "avg_pool2d", "avg_pool3d"), each_output, ("AveragePool",),
    "average pooling 1 an output element",
)  # fmt: skip
ADAPTIVE = _by_target(
    ("mean", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "_adaptive_avg_pool2d",
     "_adaptive_avg_pool3d"),
    adaptive_pool, (), "adaptive pooling 1 a window's element and 1 an output",
)  # fmt: skip
RESIZE = _by_target(tuple(RESIZED), resize, ("Resize",), "resizing 1 to 259 an output element")

CELL = "biases and element operations of the cell"

HOOKS: Mapping[str, Mapping[str, Handler]] = {
    **{f"conv.Conv{n}d": CONVOLUTION for n in (1, 2, 3)},
    **{f"conv.ConvTranspose{n}d": CONVOLUTION for n in (1, 2, 3)},
    **{f"batchnorm.BatchNorm{n}d": NORM for n in (1, 2, 3)},
    **{f"instancenorm.InstanceNorm{n}d": NORM for n in (1, 2, 3)},
    "batchnorm.SyncBatchNorm": NORM,
    "normalization.LayerNorm": NORM,
    "linear.Linear": _by_target(("linear", "addmm"), linear, ("MatMul", "Gemm"), ""),
    "activation.PReLU": _by_target(("prelu", "_prelu_kernel"), each_input, ("PRelu",), "PReLU 1 an element"),
    "activation.Softmax": _by_target(
        ("softmax", "_softmax"), softmax, ("Softmax",), "softmax 3 an element less 1 a row"
    ),
    **{f"pooling.AvgPool{n}d": POOL for n in (1, 2, 3)},
    **{f"pooling.AdaptiveAvgPool{n}d": ADAPTIVE for n in (1, 2, 3)},
    **{f"upsampling.{name}": RESIZE for name in ("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d")},
    "rnn.LSTM": {"lstm": Handler("", recurrent("LSTM", gates=4), ("LSTM",), CELL)},
    "rnn.GRU": {"gru": Handler("", recurrent("GRU", gates=3), ("GRU",), CELL)},
    "rnn.RNN": {
        "linear": Handler("", linear_of_cell, ("MatMul", "Gemm"), "bias adds of the cell"),
        **{name: Handler("", each_output, (), "activations of the cell") for name in ("tanh", "relu")},
    },
}  # fmt: skip
"""By the class in ``torch.nn.modules``, then by the aten operator that its forward calls."""

UNREAD = {f"rnn.{name}" for name in ("RNNCell", "GRUCell", "LSTMCell")}
"""Classes with a hook whose count does not follow from the operators that the exporter makes of them."""

ROOT = "torch.nn.modules."


def hooks_of(qualified_class: str) -> Mapping[str, Handler] | None:
    """The handlers of the calls inside a module of this class; None without a hook that counts."""
    return HOOKS.get(qualified_class.removeprefix(ROOT)) if qualified_class.startswith(ROOT) else None


def is_unrolled(qualified_class: str) -> bool:
    """Whether the exporter unrolls the layer step by step."""
    return qualified_class == f"{ROOT}rnn.RNN"


def has_hook(qualified_class: str) -> bool:
    """Whether a module of the class has a hook that counts."""
    return hooks_of(qualified_class) is not None or qualified_class.removeprefix(ROOT) in UNREAD


def handler_of(call: CallView) -> Handler | None:
    """The hook's formula for the call; None where no hook sees it."""
    return (hooks_of(call.owner.qualified_class) or {}).get(call.target)


def uncounted(call: CallView) -> str:
    """Why thop counts 0 for the call."""
    return f"{call.target} in {call.owner.class_name or 'a module'}: not seen by hooks"
