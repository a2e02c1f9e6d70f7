"""Subgraphs of every family of networks, at opsets 18 and 23, against PyTorch's own modules called alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

import onnxlens as api
from onnxlens import Settings
from tests.trust import trusted

SMALL = Settings(height=64, width=64)

MODULES = {
    "tests.profile.small_networks:text_encoder": (
        "transformer.text_model.encoder.layers.0",
        "transformer.text_model.encoder.layers.0.self_attn",  # one Attention in opset 23, nine nodes in 18
        "transformer.text_model.final_layer_norm",
    ),
    "clip-text": ("transformer.text_model.encoder.layers.11.mlp", "transformer.text_model.embeddings"),
    "hed": ("block1", "block3", "block5.projection"),
    "mlsd-tiny": ("backbone.features.2", "backbone"),
    "openpose-body": ("conv2_2", "conv4_3_CPM.relu"),
    "midas-dpt-hybrid": (
        "pretrained.model.patch_embed.backbone.stages.0.blocks.0.conv1",  # its weight is standardized first
        "pretrained.model.patch_embed.backbone.stages.1.blocks.0",
    ),
    "vae-encoder": ("encoder.down.0", "encoder.mid"),
    "vae-decoder": ("decoder.mid.attn_1", "decoder.up.0.block.0"),
    "controlnet": ("input_hint_block", "time_embed", "input_blocks.4", "zero_convs.3"),
    "sd-unet": ("input_blocks.1", "input_blocks.1.1", "output_blocks.11", "out"),
}
"""By graph: each of another kind."""

QUICK = "tests.profile.small_networks:text_encoder"
"""The others are traced with all their layers, for tens of seconds."""


@pytest.mark.parametrize("opset", [18, 23])
@pytest.mark.parametrize(
    "target", [pytest.param(name, marks=[pytest.mark.slow] if name != QUICK else []) for name in MODULES]
)
def test_modules_of_every_family_agree_with_pytorch(target: str, opset: int, tmp_path: Path) -> None:
    sizes = Settings() if target in (QUICK, "clip-text") else SMALL
    with api.OpenedTarget(target, replace(sizes, opset=opset)) as opened:
        for number, module in enumerate(MODULES[target]):
            out = tmp_path / str(number) / "module.onnx"
            out.parent.mkdir()
            report = api.extract_module(opened, module, out)
            onnx.checker.check_model(str(out), full_check=True)
            checked = api.check_graph(out, trusted(out))
            assert checked.passed, (module, checked.outputs)
            assert all(output.reference_max_abs > 0 for output in checked.outputs), module
            assert (report.weights, checked.opset) == ("seeded", opset)
