"""The annotators' graphs. Asking for one imports no torch; building it does."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from onnxlens.reference_model.catalog_entry import CatalogEntry, TensorTemplate
from onnxlens.reference_model.config import (
    DptHybridConfig,
    MlsdLargeConfig,
    MlsdTinyConfig,
    OpenPoseBodyConfig,
    OpenPoseHandConfig,
)

if TYPE_CHECKING:
    from torch import nn

BODY = OpenPoseBodyConfig()
HAND = OpenPoseHandConfig()
MLSD_LARGE = MlsdLargeConfig()
MLSD_TINY = MlsdTinyConfig()
DPT_HYBRID = DptHybridConfig()

POSE_PIXELS = 8
"""Pixels to one position of OpenPose's maps, along each side: its three poolings."""

MLSD_PIXELS = 16
"""MLSD's sides must be multiples of this, so that its deepest map can be doubled back to the others."""

DPT_PIXELS = 32
"""DPT's sides must be multiples of this, for the same reason."""


def _openpose_body() -> nn.Module:
    from onnxlens.reference_model.annotators.openpose import OpenPoseBody

    return OpenPoseBody(BODY)


def _openpose_hand() -> nn.Module:
    from onnxlens.reference_model.annotators.openpose import OpenPoseHand

    return OpenPoseHand(HAND)


def _mlsd_large() -> nn.Module:
    from onnxlens.reference_model.annotators.mlsd import MlsdLarge

    return MlsdLarge(MLSD_LARGE)


def _mlsd_tiny() -> nn.Module:
    from onnxlens.reference_model.annotators.mlsd import MlsdTiny

    return MlsdTiny(MLSD_TINY)


def _hed() -> nn.Module:
    from onnxlens.reference_model.annotators.hed import Hed

    return Hed()


def _hed_bsds() -> nn.Module:
    from onnxlens.reference_model.annotators.hed import HedBsds

    return HedBsds()


def _midas_dpt_hybrid() -> nn.Module:
    from onnxlens.reference_model.annotators.midas import DptHybrid

    return DptHybrid(DPT_HYBRID)


POSE_IMAGE = TensorTemplate("image", (3,), 1, sample_range=(-0.5, 0.5))
PAF = TensorTemplate("paf", (BODY.pafs,), POSE_PIXELS)
BODY_HEATMAP = TensorTemplate("heatmap", (BODY.heatmaps,), POSE_PIXELS)
HAND_HEATMAP = TensorTemplate("heatmap", (HAND.heatmaps,), POSE_PIXELS)
MLSD_IMAGE = TensorTemplate("image", (MLSD_LARGE.backbone.in_channels,), 1)
LINES = TensorTemplate("lines", (9,), 2)
HED_IMAGE = TensorTemplate("image", (3,), 1, sample_range=(0, 255))
HED_EDGES = tuple(TensorTemplate(f"edge_{index + 1}", (1,), 2**index) for index in range(5))
BSDS_IMAGE = TensorTemplate("image", (3,), 1, sample_range=(0, 1))
EDGE = TensorTemplate("edge", (1,), 1)
DPT_IMAGE = TensorTemplate("image", (3,), 1)
DEPTH = TensorTemplate("depth", (), 1)

ANNOTATORS: Mapping[str, CatalogEntry] = MappingProxyType(
    {
        "openpose-body": CatalogEntry(
            family="annotator",
            title="OpenPose: part affinity fields and joint heatmaps of bodies",
            factory=_openpose_body,
            inputs=(POSE_IMAGE,),
            outputs=(PAF, BODY_HEATMAP),
            published=("body_pose_model.pth",),
            size_multiple=POSE_PIXELS,
            min_size=POSE_PIXELS,
        ),
        "openpose-hand": CatalogEntry(
            family="annotator",
            title="OpenPose: joint heatmaps of a hand",
            factory=_openpose_hand,
            inputs=(POSE_IMAGE,),
            outputs=(HAND_HEATMAP,),
            published=("hand_pose_model.pth",),
            size_multiple=POSE_PIXELS,
            min_size=POSE_PIXELS,
        ),
        "mlsd-large": CatalogEntry(
            family="annotator",
            title="MLSD, large: straight lines",
            factory=_mlsd_large,
            inputs=(MLSD_IMAGE,),
            outputs=(LINES,),
            published=("mlsd_large_512_fp32.pth",),
            size_multiple=MLSD_PIXELS,
            min_size=MLSD_PIXELS,
        ),
        "mlsd-tiny": CatalogEntry(
            family="annotator",
            title="MLSD, tiny: straight lines",
            factory=_mlsd_tiny,
            inputs=(MLSD_IMAGE,),
            outputs=(LINES,),
            published=("mlsd_tiny_512_fp32.pth",),
            size_multiple=MLSD_PIXELS,
            min_size=MLSD_PIXELS,
        ),
        "hed": CatalogEntry(
            family="annotator",
            title="HED, Apache-licensed form: soft edges at five scales",
            factory=_hed,
            inputs=(HED_IMAGE,),
            outputs=HED_EDGES,
            published=("ControlNetHED.pth",),
            min_size=16,
        ),
        "hed-bsds": CatalogEntry(
            family="annotator",
            title="HED, trained on BSDS500: soft edges, the five scales merged",
            factory=_hed_bsds,
            inputs=(BSDS_IMAGE,),
            outputs=(EDGE,),
            published=("network-bsds500.pth",),
            min_size=16,
        ),
        "midas-dpt-hybrid": CatalogEntry(
            family="annotator",
            title="MiDaS DPT-hybrid: depth",
            factory=_midas_dpt_hybrid,
            inputs=(DPT_IMAGE,),
            outputs=(DEPTH,),
            published=("dpt_hybrid-midas-501f0c75.pt",),
            size_multiple=DPT_PIXELS,
            min_size=DPT_PIXELS,
            # DPT standardizes its weights and normalizes after every convolution: PyTorch's own float32
            # result is 3e-5 off its float64 result, and differs by 1e-5 between one thread and two; ONNX
            # Runtime's is 4e-5 off PyTorch's
            tolerance=1e-4,
        ),
    }
)
