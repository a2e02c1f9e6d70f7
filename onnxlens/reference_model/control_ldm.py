"""ControlNet and UNet as one network: a whole denoising step."""

from __future__ import annotations

from torch import Tensor, nn

from onnxlens.reference_model.config import ControlLdmConfig, UNetConfig
from onnxlens.reference_model.controlnet import ControlNet
from onnxlens.reference_model.unet import UNet


class DiffusionModel(nn.Module):
    """The UNet under the name it has in a checkpoint: ``model.diffusion_model``."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.diffusion_model = UNet(config)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, *controls: Tensor) -> Tensor:
        """What the UNet makes of the same arguments."""
        eps: Tensor = self.diffusion_model(x, timesteps, context, *controls)
        return eps


class ControlLdm(nn.Module):
    """The controlled latent diffusion model without its text encoder and VAE."""

    def __init__(self, config: ControlLdmConfig) -> None:
        super().__init__()
        self.config = config
        self.control_model = ControlNet(config.unet)
        self.model = DiffusionModel(config.unet)

    def forward(self, x: Tensor, hint: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        """One denoising step.

        Args:
            x: the latent, (B, 4, H, W).
            hint: the control image, 0 to 1, (B, 3, 8H, 8W).
            timesteps: (B,).
            context: the text's embedding, (B, 77, 768).

        Returns:
            The noise, (B, 4, H, W).
        """
        controls = self.control_model(x, hint, timesteps, context)  # 13 x (B, C, H/d, W/d)
        controls = self._scaled(controls)
        eps: Tensor = self.model(x, timesteps, context, *controls)  # (B, 4, H, W)
        return eps

    def _scaled(self, controls: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The controls that the UNet is to take, times their scales; a scale of 1 costs no multiplication."""
        pairs = list(zip(controls, self.config.control_scales, strict=True))
        if self.config.only_mid_control:
            pairs = pairs[-1:]
        return tuple(control if scale == 1.0 else control * scale for control, scale in pairs)
