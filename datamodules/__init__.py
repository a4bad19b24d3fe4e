"""Input files -> splits -> batches. Images leave here in [0, 1], shape (N, C, H, W); rows of tables as (N, D)."""

from datamodules.base import TensorDataModule
from datamodules.boxes import BoxDataModule
from datamodules.breast_cancer import BreastCancerDataModule
from datamodules.cifar10 import CIFAR10DataModule
from datamodules.collage import CollageDataModule
from datamodules.csv_file import CSVDataModule
from datamodules.diabetes import DiabetesDataModule
from datamodules.digits import DigitsDataModule
from datamodules.encoded import EncodedDataModule
from datamodules.image_folder import ImageFolderDataModule
from datamodules.images import ImageDataModule
from datamodules.masks import MaskDataModule
from datamodules.mnist import FashionMNISTDataModule, KMNISTDataModule, MNISTDataModule
from datamodules.places import PlacesDataModule
from datamodules.svhn import SVHNDataModule
from datamodules.table import TableDataModule

__all__ = [
    "BoxDataModule",
    "BreastCancerDataModule",
    "CIFAR10DataModule",
    "CSVDataModule",
    "CollageDataModule",
    "DiabetesDataModule",
    "DigitsDataModule",
    "EncodedDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "KMNISTDataModule",
    "MNISTDataModule",
    "MaskDataModule",
    "PlacesDataModule",
    "SVHNDataModule",
    "TableDataModule",
    "TensorDataModule",
]
