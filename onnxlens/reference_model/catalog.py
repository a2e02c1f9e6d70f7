"""The graphs of the reference model by name. Asking for one imports no torch; building it does."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.entries import ANNOTATORS
from onnxlens.reference_model.catalog_entry import CatalogEntry, Size, TensorTemplate
from onnxlens.reference_model.config import ClipTextConfig, ControlLdmConfig, UNetConfig, VaeConfig
from onnxlens.specs.graph import DEFAULT_TOLERANCE, CheckpointScope, GraphSpec

if TYPE_CHECKING:
    from torch import nn

CLIP_TEXT = ClipTextConfig()
UNET = UNetConfig()
VAE = VaeConfig()

GUIDANCE_BATCH = 2
"""Classifier-free guidance runs the negative and the positive prompt side by side."""

SCENARIOS = ("canny", "mlsd", "hed", "scribble", "openpose", "depth", "normal", "seg")
CONTROL_SD15 = tuple(f"control_sd15_{scenario}.pth" for scenario in SCENARIOS)
"""Each holds a ControlNet for one kind of control, and all of Stable Diffusion 1.5."""

SD15 = "v1-5-pruned.ckpt"
"""Stable Diffusion 1.5 alone."""

PIXELS = 512
"""The side of the picture that the networks were trained on."""

LATENT_PIXELS = 8
"""Pixels to one position of the latent, along each side."""

UNET_PIXELS = 64
"""Sides must be multiples of this: the latent's 8 times the UNet's three halvings."""


def names() -> tuple[str, ...]:
    """The names of all graphs."""
    return tuple(ENTRIES)


def get(name: str, *, batch: int | None = None, height: int = PIXELS, width: int = PIXELS) -> GraphSpec:
    """The graph ``name`` at one size.

    Args:
        name: one of ``names()``.
        batch: None for the graph's own: 2 where guidance doubles it, else 1.
        height: of the picture, in pixels, also where a graph takes the latent; no matter to ``clip-text``.
        width: likewise.

    Raises:
        UsageError: no graph has the name, or the network cannot take the size.
    """
    entry = _entry(name)
    return entry.spec(name, Size(entry.default_batch if batch is None else batch, height, width))


def tolerance(name: str) -> float:
    """The largest relative L2 error that passes in float32 for a graph; the default for any other name."""
    return ENTRIES[name].tolerance if name in ENTRIES else DEFAULT_TOLERANCE


def checkpoint_names(name: str) -> tuple[str, ...]:
    """The published files that hold the graph's weights, and their safetensors twins; the first choice first.

    Raises:
        UsageError: no graph has the name.
    """
    published = _entry(name).published
    return (*published, *(f"{file.rpartition('.')[0]}.safetensors" for file in published))


def _entry(name: str) -> CatalogEntry:
    if name in ENTRIES:
        return ENTRIES[name]
    near = get_close_matches(name, ENTRIES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown graph {name!r}: {hint}the graphs are {', '.join(ENTRIES)}")


def _clip_text() -> nn.Module:
    from onnxlens.reference_model.clip_text import ClipText

    return ClipText(CLIP_TEXT)


def _controlnet() -> nn.Module:
    from onnxlens.reference_model.controlnet import ControlNet

    return ControlNet(UNET)


def _sd_unet() -> nn.Module:
    from onnxlens.reference_model.unet import UNet

    return UNet(UNET)


def _vae_encoder() -> nn.Module:
    from onnxlens.reference_model.vae import VaeEncoder

    return VaeEncoder(VAE)


def _vae_decoder() -> nn.Module:
    from onnxlens.reference_model.vae import VaeDecoder

    return VaeDecoder(VAE)


def _control_ldm() -> nn.Module:
    from onnxlens.reference_model.control_ldm import ControlLdm

    return ControlLdm(ControlLdmConfig(UNET))


TOKENS = TensorTemplate(
    "tokens", (CLIP_TEXT.positions,), dtype="int64", sample_range=(0, CLIP_TEXT.vocabulary - 1)
)
CONTEXT = TensorTemplate("context", (CLIP_TEXT.positions, CLIP_TEXT.width))
TIMESTEPS = TensorTemplate("timesteps", dtype="int64", sample_range=(0, 999))
X = TensorTemplate("x", (UNET.in_channels,), LATENT_PIXELS)
HINT = TensorTemplate("hint", (3,), 1, sample_range=(0, 1))
CONTROLS = tuple(
    TensorTemplate(f"control_{index}", (control.channels,), LATENT_PIXELS * control.downsampling)
    for index, control in enumerate(UNET.controls)
)
EPS = TensorTemplate("eps", (UNET.out_channels,), LATENT_PIXELS)
IMAGE = TensorTemplate("image", (VAE.image_channels,), 1)
MOMENTS = TensorTemplate("moments", (VAE.moment_channels,), LATENT_PIXELS)
LATENT = TensorTemplate("latent", (VAE.latent_channels,), LATENT_PIXELS)

ENTRIES: Mapping[str, CatalogEntry] = MappingProxyType(
    {
        "clip-text": CatalogEntry(
            family="clip",
            title="text encoder of CLIP ViT-L/14: tokens to context",
            factory=_clip_text,
            inputs=(TOKENS,),
            outputs=(CONTEXT,),
            published=(*CONTROL_SD15, SD15),
            checkpoint=CheckpointScope(
                "cond_stage_model.", optional=("transformer.text_model.embeddings.position_ids",)
            ),
            default_batch=GUIDANCE_BATCH,
        ),
        "controlnet": CatalogEntry(
            family="controlnet",
            title="ControlNet v1.0: a control image to 13 controls for the UNet",
            factory=_controlnet,
            inputs=(X, HINT, TIMESTEPS, CONTEXT),
            outputs=CONTROLS,
            published=CONTROL_SD15,
            checkpoint=CheckpointScope("control_model."),
            default_batch=GUIDANCE_BATCH,
            size_multiple=UNET_PIXELS,
            min_size=UNET_PIXELS,
        ),
        "sd-unet": CatalogEntry(
            family="sd-unet",
            title="UNet of Stable Diffusion 1.5, taking a ControlNet's controls",
            factory=_sd_unet,
            inputs=(X, TIMESTEPS, CONTEXT, *CONTROLS),
            outputs=(EPS,),
            published=(*CONTROL_SD15, SD15),
            checkpoint=CheckpointScope("model.diffusion_model."),
            default_batch=GUIDANCE_BATCH,
            size_multiple=UNET_PIXELS,
            min_size=UNET_PIXELS,
        ),
        "vae-encoder": CatalogEntry(
            family="vae",
            title="encoder of AutoencoderKL with quant_conv: pixels to the moments of a latent",
            factory=_vae_encoder,
            inputs=(IMAGE,),
            outputs=(MOMENTS,),
            published=(*CONTROL_SD15, SD15),
            checkpoint=CheckpointScope("first_stage_model.", ("encoder.", "quant_conv.")),
            size_multiple=LATENT_PIXELS,
            min_size=LATENT_PIXELS,
        ),
        "vae-decoder": CatalogEntry(
            family="vae",
            title="decoder of AutoencoderKL with post_quant_conv: a latent to pixels",
            factory=_vae_decoder,
            inputs=(LATENT,),
            outputs=(IMAGE,),
            published=(*CONTROL_SD15, SD15),
            checkpoint=CheckpointScope("first_stage_model.", ("decoder.", "post_quant_conv.")),
            size_multiple=LATENT_PIXELS,
            min_size=LATENT_PIXELS,
        ),
        **ANNOTATORS,
        "control-ldm": CatalogEntry(
            family="controlnet",
            title="ControlNet and UNet as one graph: one denoising step",
            factory=_control_ldm,
            inputs=(X, HINT, TIMESTEPS, CONTEXT),
            outputs=(EPS,),
            published=CONTROL_SD15,
            checkpoint=CheckpointScope(parts=("control_model.", "model.diffusion_model.")),
            default_batch=GUIDANCE_BATCH,
            size_multiple=UNET_PIXELS,
            min_size=UNET_PIXELS,
            structure_only=True,
        ),
    }
)
