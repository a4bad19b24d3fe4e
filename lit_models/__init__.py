"""The systems: LightningModules that answer sample, reconstruct and encode on images in [0, 1]."""

from lit_models.autoencoder import LitAutoencoder
from lit_models.box_regressor import LitBoxRegressor
from lit_models.classifier import LitClassifier
from lit_models.gan import LitGAN
from lit_models.linear import LitLinear
from lit_models.loading import load_classifier, load_model
from lit_models.ppca import LitPPCA
from lit_models.probe import LitProbe
from lit_models.rbm import LitRBM
from lit_models.segmenter import LitSegmenter
from lit_models.vae import LitVAE

__version__ = "0.1.0"

__all__ = [
    "LitAutoencoder",
    "LitBoxRegressor",
    "LitClassifier",
    "LitGAN",
    "LitLinear",
    "LitPPCA",
    "LitProbe",
    "LitRBM",
    "LitSegmenter",
    "LitVAE",
    "load_classifier",
    "load_model",
]
