"""The networks of the catalog by the names of their graphs, at the sizes of the published files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from onnxlens.reference_model import config
from onnxlens.reference_model.annotators.hed import Hed, HedBsds
from onnxlens.reference_model.annotators.midas import DptHybrid
from onnxlens.reference_model.annotators.mlsd import MlsdLarge, MlsdTiny
from onnxlens.reference_model.annotators.openpose import OpenPoseBody, OpenPoseHand
from onnxlens.reference_model.clip_text import ClipText
from onnxlens.reference_model.control_ldm import ControlLdm
from onnxlens.reference_model.controlnet import ControlNet
from onnxlens.reference_model.unet import UNet
from onnxlens.reference_model.vae import VaeDecoder, VaeEncoder

NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "clip-text": lambda: ClipText(config.ClipTextConfig()),
    "controlnet": lambda: ControlNet(config.UNetConfig()),
    "sd-unet": lambda: UNet(config.UNetConfig()),
    "vae-encoder": lambda: VaeEncoder(config.VaeConfig()),
    "vae-decoder": lambda: VaeDecoder(config.VaeConfig()),
    "openpose-body": lambda: OpenPoseBody(config.OpenPoseBodyConfig()),
    "openpose-hand": lambda: OpenPoseHand(config.OpenPoseHandConfig()),
    "mlsd-large": lambda: MlsdLarge(config.MLSD_LARGE_BACKBONE),
    "mlsd-tiny": lambda: MlsdTiny(config.MLSD_TINY_BACKBONE),
    "hed": Hed,
    "hed-bsds": HedBsds,
    "midas-dpt-hybrid": lambda: DptHybrid(config.DptHybridConfig()),
    "control-ldm": lambda: ControlLdm(config.ControlLdmConfig()),
}
