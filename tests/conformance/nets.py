"""The networks of this folder by name, each as a user would describe it: a function that returns a spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from onnxlens import GraphSpec, TensorSpec
from tests.conformance import attentive, convolutional, sequential

Shape = tuple[int, ...]
RANGES = {"float32": (-1.0, 1.0), "int64": (0.0, 9.0), "bool": (0.0, 1.0)}


@dataclass(frozen=True)
class Net:
    """A network, the shapes it takes, and where they are not floats, their types.

    Attributes:
        without_formula: MACs that PyTorch's counter has no formula for, derived where the net is listed.
        before_run: MACs that PyTorch counts and the file needs not do at run time: a first step multiplies
            its weights with a state of zeros.
    """

    factory: Callable[[], nn.Module]
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...] = ("float32", "float32")
    without_formula: int = 0
    before_run: int = 0

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        pairs = zip(self.dtypes, self.shapes, strict=False)
        return tuple(TensorSpec(f"input_{i}", dtype, shape) for i, (dtype, shape) in enumerate(pairs))

    def samples(self, device: str = "meta") -> tuple[Tensor, ...]:
        """The inputs; on the meta device they have shapes and no memory."""
        return tuple(
            torch.empty(tensor.shape, dtype=getattr(torch, tensor.dtype), device=device)
            for tensor in self.inputs
        )


IMAGE = ((2, 3, 16, 16),)
SEQUENCE = ((2, 6, 8),)

NETS: Mapping[str, Net] = {
    "classifier": Net(convolutional.classifier, IMAGE),
    "depthwise_separable": Net(convolutional.depthwise_separable, ((2, 6, 9, 9),)),
    "grouped": Net(convolutional.grouped, ((2, 8, 9, 11),)),
    "transposed": Net(convolutional.transposed, ((2, 4, 5, 7),)),
    "transposed_in_groups": Net(convolutional.transposed_in_groups, ((2, 6, 5, 4),)),
    "dilated": Net(convolutional.dilated, ((1, 4, 12, 12),)),
    "wraps_around": Net(convolutional.wraps_around, ((1, 3, 7, 7),)),
    "transposed_sequence": Net(convolutional.transposed_sequence, ((2, 4, 9),)),
    "causal_sequence": Net(convolutional.CausalSequence, ((2, 4, 20),)),
    "volume": Net(convolutional.volume, ((1, 2, 6, 6, 6),)),
    "unet": Net(convolutional.UNet, ((1, 1, 16, 16),)),
    "upsampler": Net(convolutional.Upsampler, ((2, 4, 6, 6),)),
    "pixel_shuffle": Net(convolutional.pixel_shuffle, ((1, 3, 6, 6),)),
    "convnext_block": Net(convolutional.ConvNeXtBlock, ((2, 6, 7, 7),)),
    "squeeze_excite": Net(convolutional.SqueezeExcite, ((2, 3, 8, 8),)),
    "shared_weights": Net(convolutional.SharedWeights, ((1, 4, 8, 8),)),
    "lstm": Net(sequential.lstm, ((2, 6, 5),)),
    "deep_lstm_in_both_directions": Net(sequential.deep_lstm_in_both_directions, ((6, 2, 5),)),
    "gru": Net(sequential.gru, ((6, 2, 5),)),
    "gru_in_both_directions": Net(sequential.gru_in_both_directions, ((2, 6, 5),)),
    # Batch 2, a state of 7 into 7; and of 4 into the four gates' 16.
    "plain_recurrent": Net(sequential.plain_recurrent, ((6, 2, 5),), before_run=2 * 7 * 7),
    "unrolled_cell": Net(sequential.UnrolledCell, ((3, 2, 5),), before_run=2 * 4 * 16),
    "bag_of_words": Net(sequential.BagOfWords, ((2, 6),), ("int64",)),
    "tied_language_model": Net(sequential.TiedLanguageModel, ((2, 6),), ("int64",)),
    "mixer_block": Net(sequential.MixerBlock, SEQUENCE),
    "products": Net(sequential.Products, ((2, 3, 4), (2, 4, 5))),
    # 3 x 4 times a vector of 4, then that vector with itself.
    "matrix_and_vector": Net(sequential.MatrixAndVector, ((3, 4), (4,)), without_formula=3 * 4 + 4),
    "triple": Net(sequential.Triple, ((2, 4), (2, 6))),
    "soft_experts": Net(sequential.SoftExperts, SEQUENCE),
    "experts_that_choose": Net(sequential.ExpertsThatChoose, ((6, 8),)),
    "fused_attention": Net(attentive.SelfAttention, SEQUENCE),
    "masked_attention": Net(attentive.SelfAttention, (*SEQUENCE, (2, 1, 6, 6)), ("float32", "bool")),
    "biased_attention": Net(attentive.SelfAttention, (*SEQUENCE, (2, 2, 6, 6))),
    "causal_attention": Net(attentive.causal, SEQUENCE),
    "grouped_queries": Net(attentive.grouped_queries, SEQUENCE),
    "scaled_attention": Net(attentive.scaled, SEQUENCE),
    "cross_attention": Net(attentive.CrossAttention, (*SEQUENCE, (2, 9, 6))),
    "attention_with_weights": Net(attentive.AttentionWithWeights, SEQUENCE),
    "einsum_attention": Net(attentive.EinsumAttention, SEQUENCE),
    "rotary_attention": Net(attentive.RotaryAttention, SEQUENCE),
    "linear_attention": Net(attentive.LinearAttention, SEQUENCE),
    "encoder_layer": Net(attentive.encoder_layer, SEQUENCE),
    "decoder_layer": Net(attentive.decoder_layer, (*SEQUENCE, (2, 9, 8))),
    "vit": Net(attentive.ViT, IMAGE),
    "conformer_block": Net(attentive.ConformerBlock, SEQUENCE),
}
"""Networks whose every shape is known before the run."""

ROUTED = Net(sequential.RoutedExperts, ((6, 8),))
"""A network whose inner shapes depend on the data."""


def described(name: str, net: Net) -> GraphSpec:
    """The spec of the network; its outputs are those for fake tensors."""
    with FakeTensorMode(shape_env=ShapeEnv()), torch.no_grad():
        results = net.factory().eval()(*net.samples("cpu"))
    outputs = tuple(
        TensorSpec(f"output_{i}", str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for i, tensor in enumerate(results if isinstance(results, tuple) else (results,))
    )
    ranges = {tensor.name: RANGES[tensor.dtype] for tensor in net.inputs}
    return GraphSpec(name, "user", net.factory, net.inputs, outputs, ranges)


def __getattr__(name: str) -> Callable[[], GraphSpec]:
    """``tests.conformance.nets:NAME`` is a factory for each network."""
    nets = {**NETS, "routed_experts": ROUTED}
    if name not in nets:
        raise AttributeError(f"no network is called {name!r}")
    return partial(described, name, nets[name])
