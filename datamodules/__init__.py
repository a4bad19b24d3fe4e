"""Input files -> splits -> batches. Images leave here in [0, 1], shape (N, C, H, W)."""

from datamodules.base import ImageDataModule
from datamodules.digits import DigitsDataModule
from datamodules.mnist import FashionMNISTDataModule, KMNISTDataModule, MNISTDataModule

__all__ = [
    "DigitsDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "KMNISTDataModule",
    "MNISTDataModule",
]
