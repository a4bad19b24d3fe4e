"""Input files -> splits -> batches. Images leave here in [0, 1], shape (N, C, H, W)."""

from datamodules.base import TensorDataModule
from datamodules.cifar10 import CIFAR10DataModule
from datamodules.digits import DigitsDataModule
from datamodules.encoded import EncodedDataModule
from datamodules.image_folder import ImageFolderDataModule
from datamodules.images import ImageDataModule
from datamodules.mnist import FashionMNISTDataModule, KMNISTDataModule, MNISTDataModule
from datamodules.svhn import SVHNDataModule

__all__ = [
    "CIFAR10DataModule",
    "DigitsDataModule",
    "EncodedDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "KMNISTDataModule",
    "MNISTDataModule",
    "SVHNDataModule",
    "TensorDataModule",
]
