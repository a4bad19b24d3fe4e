"""Input files -> splits -> batches. Images leave here in [0, 1], shape (N, C, H, W); rows of tables as (N, D)."""

from datamodules.base import TensorDataModule
from datamodules.breast_cancer import BreastCancerDataModule
from datamodules.cifar10 import CIFAR10DataModule
from datamodules.csv_file import CSVDataModule
from datamodules.diabetes import DiabetesDataModule
from datamodules.digits import DigitsDataModule
from datamodules.encoded import EncodedDataModule
from datamodules.image_folder import ImageFolderDataModule
from datamodules.images import ImageDataModule
from datamodules.mnist import FashionMNISTDataModule, KMNISTDataModule, MNISTDataModule
from datamodules.svhn import SVHNDataModule
from datamodules.table import TableDataModule

__all__ = [
    "BreastCancerDataModule",
    "CIFAR10DataModule",
    "CSVDataModule",
    "DiabetesDataModule",
    "DigitsDataModule",
    "EncodedDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "KMNISTDataModule",
    "MNISTDataModule",
    "SVHNDataModule",
    "TableDataModule",
    "TensorDataModule",
]
