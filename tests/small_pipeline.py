"""The pipeline's networks in small configurations: of the same kinds of layers, they run in a moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from onnxlens.reference_model import catalog
from onnxlens.reference_model.catalog import CatalogEntry, TensorTemplate
from onnxlens.reference_model.config import ClipTextConfig, UNetConfig, VaeConfig

WIDTH = 32
CLIP = ClipTextConfig(width=WIDTH, layers=1, heads=2, mlp_width=64)
UNET = UNetConfig(
    base_channels=32, multipliers=(1, 2), res_blocks=1, attention_at=(2,), heads=2, context_width=WIDTH
)
VAE = VaeConfig(base_channels=32, multipliers=(1, 1, 1, 1), res_blocks=1)
GRAPHS = ("clip-text", "controlnet", "sd-unet", "vae-encoder", "vae-decoder")
CONTROLS = 5
"""The stem, a res block and a downsampling, a res block; and the middle block."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: for small networks several only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put them into the catalog under the names of the large ones, with a cache of their own."""
    monkeypatch.setenv("ONNXLENS_CACHE", str(Path(os.environ["ONNXLENS_CACHE"]) / "small-pipeline"))
    context = TensorTemplate("context", (CLIP.positions, WIDTH))
    controls = tuple(
        TensorTemplate(f"control_{index}", (control.channels,), 8 * control.downsampling)
        for index, control in enumerate(UNET.controls)
    )
    assert len(controls) == CONTROLS

    def small(name: str, module: str, network: str, config: object, **changes: object) -> CatalogEntry:
        entry = catalog.ENTRIES[name]
        factory = partial(catalog._network, module, network, config)
        return replace(entry, factory=factory, **changes)  # type: ignore[arg-type]

    x, hint, timesteps = catalog.X, catalog.HINT, catalog.TIMESTEPS
    entries = {
        "clip-text": small("clip-text", "clip_text", "ClipText", CLIP, outputs=(context,)),
        "controlnet": small(
            "controlnet", "controlnet", "ControlNet", UNET,
            inputs=(x, hint, timesteps, context), outputs=controls,
        ),
        "sd-unet": small("sd-unet", "unet", "UNet", UNET, inputs=(x, timesteps, context, *controls)),
        "vae-encoder": small("vae-encoder", "vae", "VaeEncoder", VAE),
        "vae-decoder": small("vae-decoder", "vae", "VaeDecoder", VAE),
    }  # fmt: skip
    monkeypatch.setattr(catalog, "ENTRIES", {**catalog.ENTRIES, **entries})
