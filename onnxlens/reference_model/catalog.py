"""The graphs of the reference model by name. Asking for one imports no torch; building it does."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.reference_model.catalog_entry import CatalogEntry, Size, TensorTemplate
from onnxlens.reference_model.config import (
    MLSD_LARGE_BACKBONE,
    MLSD_TINY_BACKBONE,
    ClipTextConfig,
    ControlLdmConfig,
    DptHybridConfig,
    OpenPoseBodyConfig,
    OpenPoseHandConfig,
    UNetConfig,
    UniFormerConfig,
    UperNetConfig,
    VaeConfig,
)
from onnxlens.specs.graph import DEFAULT_TOLERANCE, CheckpointScope, GraphSpec

if TYPE_CHECKING:
    from torch import nn


CLIP_TEXT = ClipTextConfig()
UNET = UNetConfig()
VAE = VaeConfig()
BODY = OpenPoseBodyConfig()
HAND = OpenPoseHandConfig()

GUIDANCE_BATCH = 2
"""Classifier-free guidance runs the negative and the positive prompt side by side."""

SCENARIOS = ("canny", "mlsd", "hed", "scribble", "openpose", "depth", "normal", "seg")
CONTROL_SD15 = tuple(f"control_sd15_{scenario}.pth" for scenario in SCENARIOS)
"""Each holds a ControlNet for one kind of control, and all of Stable Diffusion 1.5."""

WITH_SD15 = (*CONTROL_SD15, "v1-5-pruned.ckpt")
"""The last is Stable Diffusion 1.5 alone."""

PIXELS = 512
"""The side of the picture that the networks were trained on."""

LATENT_PIXELS = 8
"""Pixels to one position of the latent, along each side."""

UNET_PIXELS = 64
"""Sides must be multiples of this: the latent's 8 times the UNet's three halvings."""

POSE_PIXELS = 8
"""Pixels to one position of OpenPose's maps, along each side: its three poolings."""

MLSD_PIXELS, DPT_PIXELS, UNIFORMER_PIXELS = 16, 32, 32
"""Sides must be multiples of these, so that each map has twice the deeper one's."""


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
    """The published files that hold the graph's weights, also as safetensors, in the order of preference.

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


def _network(module: str, name: str, *config: object) -> nn.Module:
    """A network by its module and its class, which is imported when it is built: it needs torch."""
    network: nn.Module = getattr(import_module(f"onnxlens.reference_model.{module}"), name)(*config)
    return network


GROUPS = Path(__file__).parent / "groups"
"""The survey's names for the parts of the UNet and the ControlNet, as files of groups."""


def grouped() -> tuple[str, ...]:
    """The graphs that have a file of groups."""
    return tuple(sorted(path.stem for path in GROUPS.glob("*.toml")))


def groups_file(graph: str) -> Path:
    """The file of groups of a graph."""
    return GROUPS / f"{graph}.toml"


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

POSE_IMAGE = TensorTemplate("image", (3,), 1, sample_range=(-0.5, 0.5))
PAF = TensorTemplate("paf", (BODY.pafs,), POSE_PIXELS)
BODY_HEATMAP = TensorTemplate("heatmap", (BODY.heatmaps,), POSE_PIXELS)
HAND_HEATMAP = TensorTemplate("heatmap", (HAND.heatmaps,), POSE_PIXELS)
MLSD_IMAGE = TensorTemplate("image", (MLSD_LARGE_BACKBONE.in_channels,), 1)
LINES = TensorTemplate("lines", (9,), 2)
HED_IMAGE = TensorTemplate("image", (3,), 1, sample_range=(0, 255))
HED_EDGES = tuple(TensorTemplate(f"edge_{index + 1}", (1,), 2**index) for index in range(5))
BSDS_IMAGE = TensorTemplate("image", (3,), 1, sample_range=(0, 1))
EDGE = TensorTemplate("edge", (1,), 1)
DPT_IMAGE = TensorTemplate("image", (3,), 1)
DEPTH = TensorTemplate("depth", (), 1)
SEG_IMAGE = TensorTemplate("image", (3,), 1, sample_range=(-2, 2.5))
SCORES = TensorTemplate("scores", (UperNetConfig().classes,), 4)

_denoising = partial(CatalogEntry, default_batch=GUIDANCE_BATCH, size_multiple=UNET_PIXELS)
_annotator = partial(CatalogEntry, "annotator")

ENTRIES: Mapping[str, CatalogEntry] = MappingProxyType(
    {
        "clip-text": CatalogEntry(
            family="clip",
            title="text encoder of CLIP ViT-L/14: tokens to context",
            factory=partial(_network, "clip_text", "ClipText", CLIP_TEXT),
            inputs=(TOKENS,),
            outputs=(CONTEXT,),
            published=WITH_SD15,
            checkpoint=CheckpointScope(
                "cond_stage_model.", optional=("transformer.text_model.embeddings.position_ids",)
            ),
            default_batch=GUIDANCE_BATCH,
        ),
        "controlnet": _denoising(
            family="controlnet",
            title="ControlNet v1.0: a control image to 13 controls for the UNet",
            factory=partial(_network, "controlnet", "ControlNet", UNET),
            inputs=(X, HINT, TIMESTEPS, CONTEXT),
            outputs=CONTROLS,
            published=CONTROL_SD15,
            checkpoint=CheckpointScope("control_model."),
        ),
        "sd-unet": _denoising(
            family="sd-unet",
            title="UNet of Stable Diffusion 1.5, taking a ControlNet's controls",
            factory=partial(_network, "unet", "UNet", UNET),
            inputs=(X, TIMESTEPS, CONTEXT, *CONTROLS),
            outputs=(EPS,),
            published=WITH_SD15,
            checkpoint=CheckpointScope("model.diffusion_model."),
        ),
        "vae-encoder": CatalogEntry(
            family="vae",
            title="encoder of AutoencoderKL with quant_conv: pixels to the moments of a latent",
            factory=partial(_network, "vae", "VaeEncoder", VAE),
            inputs=(IMAGE,),
            outputs=(MOMENTS,),
            published=WITH_SD15,
            checkpoint=CheckpointScope("first_stage_model.", ("encoder.", "quant_conv.")),
            size_multiple=LATENT_PIXELS,
        ),
        "vae-decoder": CatalogEntry(
            family="vae",
            title="decoder of AutoencoderKL with post_quant_conv: a latent to pixels",
            factory=partial(_network, "vae", "VaeDecoder", VAE),
            inputs=(LATENT,),
            outputs=(IMAGE,),
            published=WITH_SD15,
            checkpoint=CheckpointScope("first_stage_model.", ("decoder.", "post_quant_conv.")),
            size_multiple=LATENT_PIXELS,
        ),
        "openpose-body": _annotator(
            title="OpenPose: part affinity fields and joint heatmaps of bodies",
            factory=partial(_network, "annotators.openpose", "OpenPoseBody", BODY),
            inputs=(POSE_IMAGE,),
            outputs=(PAF, BODY_HEATMAP),
            published=("body_pose_model.pth",),
            size_multiple=POSE_PIXELS,
        ),
        "openpose-hand": _annotator(
            title="OpenPose: joint heatmaps of a hand",
            factory=partial(_network, "annotators.openpose", "OpenPoseHand", HAND),
            inputs=(POSE_IMAGE,),
            outputs=(HAND_HEATMAP,),
            published=("hand_pose_model.pth",),
            size_multiple=POSE_PIXELS,
        ),
        "mlsd-large": _annotator(
            title="MLSD, large: straight lines",
            factory=partial(_network, "annotators.mlsd", "MlsdLarge", MLSD_LARGE_BACKBONE),
            inputs=(MLSD_IMAGE,),
            outputs=(LINES,),
            published=("mlsd_large_512_fp32.pth",),
            size_multiple=MLSD_PIXELS,
        ),
        "mlsd-tiny": _annotator(
            title="MLSD, tiny: straight lines",
            factory=partial(_network, "annotators.mlsd", "MlsdTiny", MLSD_TINY_BACKBONE),
            inputs=(MLSD_IMAGE,),
            outputs=(LINES,),
            published=("mlsd_tiny_512_fp32.pth",),
            size_multiple=MLSD_PIXELS,
        ),
        "hed": _annotator(
            title="HED, Apache-licensed form: soft edges at five scales",
            factory=partial(_network, "annotators.hed", "Hed"),
            inputs=(HED_IMAGE,),
            outputs=HED_EDGES,
            published=("ControlNetHED.pth",),
            min_size=16,
        ),
        "hed-bsds": _annotator(
            title="HED, trained on BSDS500: soft edges, the five scales merged",
            factory=partial(_network, "annotators.hed", "HedBsds"),
            inputs=(BSDS_IMAGE,),
            outputs=(EDGE,),
            published=("network-bsds500.pth",),
            min_size=16,
        ),
        "midas-dpt-hybrid": _annotator(
            title="MiDaS DPT-hybrid: depth",
            factory=partial(_network, "annotators.midas", "DptHybrid", DptHybridConfig()),
            inputs=(DPT_IMAGE,),
            outputs=(DEPTH,),
            published=("dpt_hybrid-midas-501f0c75.pt",),
            size_multiple=DPT_PIXELS,
            # DPT standardizes its weights and normalizes after every convolution: PyTorch's own float32
            # result is 3e-5 off its float64 result, and differs by 1e-5 between one thread and two; ONNX
            # Runtime's is 4e-5 off PyTorch's
            tolerance=1e-4,
        ),
        "uniformer-seg": _annotator(
            title="UniFormer-small and UPerNet: what each pixel shows, in 150 classes",
            factory=partial(
                _network, "annotators.upernet", "UniFormerSeg", UniFormerConfig(), UperNetConfig()
            ),
            inputs=(SEG_IMAGE,),
            outputs=(SCORES,),
            published=("upernet_global_small.pth",),
            size_multiple=UNIFORMER_PIXELS,
            nodes_vary=True,
        ),
        "control-ldm": _denoising(
            family="controlnet",
            title="ControlNet and UNet as one graph: one denoising step",
            factory=partial(_network, "controlnet", "ControlLdm", ControlLdmConfig()),
            inputs=(X, HINT, TIMESTEPS, CONTEXT),
            outputs=(EPS,),
            published=CONTROL_SD15,
            checkpoint=CheckpointScope(parts=("control_model.", "model.diffusion_model.")),
            structure_only=True,
        ),
    }
)
