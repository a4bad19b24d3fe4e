"""The systems: LightningModules that answer sample, reconstruct and encode on images in [0, 1]."""

from lit_models.gan import LitDCGAN
from lit_models.vae import LitVAE

__all__ = ["LitDCGAN", "LitVAE"]
