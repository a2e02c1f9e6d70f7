"""Epsilons and activations, which golden outputs are too blunt to hold: read off the modules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from onnxlens.reference_model import catalog
from onnxlens.reference_model.clip_text import QuickGELU

EmptyInputs = Callable[..., tuple[Tensor, ...]]

RES = {("ResBlock", "GroupNorm(32, eps=1e-05)"), ("ResBlock", "SiLU()")}
TRANSFORMER = {
    ("SpatialTransformer", "GroupNorm(32, eps=1e-06)"),
    ("TransformerBlock", "LayerNorm(eps=1e-05)"),
    ("GEGLU", "GELU(approximate='none')"),
}
TIME = {("TimestepEmbedding", "SiLU()")}
VAE = {
    ("VaeResBlock", "GroupNorm(32, eps=1e-06)"),
    ("VaeResBlock", "SiLU()"),
    ("VaeAttention", "GroupNorm(32, eps=1e-06)"),
}

MLSD = {
    ("ConvBnReLU6", "BatchNorm2d(eps=1e-05)"),
    ("ConvBnReLU6", "ReLU6()"),
    ("InvertedResidual", "BatchNorm2d(eps=1e-05)"),
} | {
    (block, text)
    for block in ("JoinBlock", "RefineBlock", "MapBlock")
    for text in ("BatchNorm2d(eps=1e-05)", "ReLU()")
}
POSE = {("PoseConv", "ReLU()")}

SETTINGS = {
    "clip-text": {
        ("ClipLayer", "LayerNorm(eps=1e-05)"),
        ("ClipMlp", "QuickGELU()"),
        ("ClipTextTransformer", "LayerNorm(eps=1e-05)"),
    },
    "controlnet": RES | TRANSFORMER | TIME | {("HintBlock", "SiLU()")},
    "sd-unet": RES | TRANSFORMER | TIME | {("UNet", "GroupNorm(32, eps=1e-05)"), ("UNet", "SiLU()")},
    "vae-encoder": VAE | {("Encoder", "GroupNorm(32, eps=1e-06)"), ("Encoder", "SiLU()")},
    "vae-decoder": VAE | {("Decoder", "GroupNorm(32, eps=1e-06)"), ("Decoder", "SiLU()")},
    "openpose-body": POSE,
    "openpose-hand": POSE,
    "mlsd-large": MLSD,
    "mlsd-tiny": MLSD,
    "hed": {("HedBlock", "ReLU()")},
    "hed-bsds": {("HedBsds", "ReLU()"), ("HedBsds", "Sigmoid()")},
    "midas-dpt-hybrid": {
        ("ResNetStem", "GroupNorm(32, eps=1e-05)"),
        ("ResNetStem", "ReLU()"),
        ("Shortcut", "GroupNorm(32, eps=1e-05)"),
        ("Bottleneck", "GroupNorm(32, eps=1e-05)"),
        ("Bottleneck", "ReLU()"),
        ("VitBlock", "LayerNorm(eps=1e-06)"),
        ("HybridVit", "LayerNorm(eps=1e-06)"),
        ("Mlp", "GELU(approximate='none')"),
        ("Readout", "GELU(approximate='none')"),
        ("ResidualUnit", "ReLU()"),
        ("DepthHead", "ReLU()"),
    },
    "uniformer-seg": {
        ("PatchEmbed", "LayerNorm(eps=1e-05)"),
        ("LocalBlock", "BatchNorm2d(eps=1e-05)"),
        ("ConvMlp", "GELU(approximate='none')"),
        ("GlobalBlock", "LayerNorm(eps=1e-06)"),
        ("Mlp", "GELU(approximate='none')"),
        ("UniFormer", "LayerNorm(eps=1e-06)"),
        ("ConvBnReLU", "BatchNorm2d(eps=1e-05)"),
        ("ConvBnReLU", "ReLU()"),
    },
}


def setting(module: nn.Module) -> str | None:
    """A norm or activation as text; None for any other module."""
    match module:
        case nn.GroupNorm():
            return f"GroupNorm({module.num_groups}, eps={module.eps})"
        case nn.LayerNorm():
            return f"LayerNorm(eps={module.eps})"
        case nn.BatchNorm2d():
            return f"BatchNorm2d(eps={module.eps})"
        case nn.GELU() | nn.SiLU() | nn.ReLU() | nn.ReLU6() | nn.Sigmoid() | QuickGELU():
            return repr(module)
        case _:
            return None


def module_of(root: nn.Module, path: str) -> str:
    """The class of the nearest network part above ``path``; torch's own containers do not count."""
    above = path.rpartition(".")[0]
    module = root.get_submodule(above)
    if type(module).__module__.startswith("onnxlens"):
        return type(module).__name__
    return module_of(root, above)


@pytest.mark.parametrize("graph", SETTINGS)
def test_norms_and_activations(graph: str) -> None:
    root = catalog.get(graph).build("meta")
    found = {
        (module_of(root, path), text)
        for path, module in root.named_modules()
        if (text := setting(module)) is not None
    }
    assert found == SETTINGS[graph]


def test_quick_gelu_is_the_sigmoid_form() -> None:
    x = torch.tensor([-2.0, 0.0, 1.0], dtype=torch.float64)
    assert torch.allclose(QuickGELU()(x), x / (1 + torch.exp(-1.702 * x)), rtol=1e-15)


def test_hint_block_ends_without_an_activation_and_reduces_by_eight() -> None:
    hint_block = catalog.get("controlnet").build("meta").get_submodule("input_hint_block")
    kinds = [type(layer) for layer in hint_block.children()]
    assert kinds == [nn.Conv2d, nn.SiLU] * 7 + [nn.Conv2d]
    strides = [layer.stride for layer in hint_block.children() if isinstance(layer, nn.Conv2d)]
    assert strides == [(1, 1), (1, 1), (2, 2), (1, 1), (2, 2), (1, 1), (2, 2), (1, 1)]


def test_one_attention_op_everywhere(empty_inputs: EmptyInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    # 7 transformers in the encoder and middle block, 9 in the decoder, self- and cross-attention in each
    expected = {"clip-text": 12, "controlnet": 7 * 2, "sd-unet": (7 + 9) * 2, "vae-encoder": 1, "hed": 0}
    expected |= {"midas-dpt-hybrid": 12, "uniformer-seg": 8 + 3}
    op = nn.functional.scaled_dot_product_attention
    causal: list[bool] = []

    def recorded(q: Tensor, k: Tensor, v: Tensor, *, is_causal: bool) -> Tensor:
        causal.append(is_causal)
        return op(q, k, v, is_causal=is_causal)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", recorded)
    for graph, count in expected.items():
        causal.clear()
        spec = catalog.get(graph, batch=1, height=64, width=64)
        spec.build("meta")(*empty_inputs(spec))
        assert causal == [graph == "clip-text"] * count
