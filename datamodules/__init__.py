"""Input files -> splits -> batches. Images leave here in [0, 1], shape (N, C, H, W)."""

from datamodules.base import TensorDataModule
from datamodules.digits import DigitsDataModule
from datamodules.encoded import EncodedDataModule
from datamodules.images import ImageDataModule
from datamodules.mnist import FashionMNISTDataModule, KMNISTDataModule, MNISTDataModule

__all__ = [
    "DigitsDataModule",
    "EncodedDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "KMNISTDataModule",
    "MNISTDataModule",
    "TensorDataModule",
]
