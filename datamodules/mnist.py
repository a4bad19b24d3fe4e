"""MNIST and its drop-in relatives: torchvision downloads, checks and parses the IDX files."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from torch import Tensor
from torchvision import datasets
from torchvision.datasets.mnist import read_image_file, read_label_file

from datamodules.downloaded import DownloadedDataModule


class IDXDataModule(DownloadedDataModule):
    """A data set in MNIST's IDX format, 60,000 train and 10,000 test images, 1x28x28.

    A subclass names torchvision's `dataset_class`, whose files it downloads and reads, and `class_names`.

    Args and splits: see `ImageDataModule`.

    Raises:
        FileNotFoundError: the files are missing and `download` is off, or they could not be fetched.
        ValueError: a file is truncated or corrupt, or holds a label that is no class; the message names it.

    Example:
        >>> class QMNISTLike(IDXDataModule):
        ...     dataset_class, class_names = datasets.MNIST, tuple("0123456789")
        >>> QMNISTLike("data", batch_size=64).image_shape
        (1, 28, 28)
    """

    dataset_class: ClassVar[type[datasets.MNIST]]
    input_shape = (1, 28, 28)
    num_classes = 10

    @property
    def folder(self) -> str:
        """See `DownloadedDataModule.folder`."""
        return f"{self.dataset_class.__name__}/raw"

    def files(self, train: bool) -> list[Path]:
        """See `DownloadedDataModule.files`."""
        prefix = "train" if train else "t10k"
        return [self.path(f"{prefix}-images-idx3-ubyte"), self.path(f"{prefix}-labels-idx1-ubyte")]

    def fetch(self) -> None:
        """See `DownloadedDataModule.fetch`."""
        self.dataset_class(self.data_dir, download=True)

    def parse(self, train: bool) -> tuple[Tensor, Tensor]:
        """See `TensorDataModule.load`."""
        image_path, label_path = self.files(train)
        images, labels = _read(read_image_file, image_path), _read(read_label_file, label_path)
        if images.shape[1:] != self.input_shape[1:]:
            raise ValueError(
                f"{image_path} holds images of {tuple(images.shape[1:])}, expected {self.input_shape[1:]}: "
                "delete it and download it again"
            )
        if len(images) != len(labels):
            raise ValueError(
                f"{image_path} holds {len(images)} images but {label_path} {len(labels)} labels: "
                "delete both and download them again"
            )
        if len(labels) and int(labels.max()) >= self.num_classes:
            raise ValueError(
                f"{label_path} holds the label {int(labels.max())}, expected 0..{self.num_classes - 1}: "
                "delete it and download it again"
            )
        return images.unsqueeze(1), labels  # (N, 1, 28, 28), (N,)


class MNISTDataModule(IDXDataModule):
    """Handwritten digits. See `IDXDataModule`.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", 1998.

    Example:
        >>> MNISTDataModule("data", val_fraction=0.1).class_names[7]
        '7'
    """

    dataset_class = datasets.MNIST
    class_names = tuple("0123456789")


class KMNISTDataModule(IDXDataModule):
    """Cursive Japanese characters. See `IDXDataModule`.

    Source: Clanuwat et al., arXiv:1812.01718, 2018.

    Example:
        >>> KMNISTDataModule("data", val_fraction=0.1).class_names[7]
        'ya'
    """

    dataset_class = datasets.KMNIST
    class_names = tuple(datasets.KMNIST.classes)


class FashionMNISTDataModule(IDXDataModule):
    """Pictures of clothes. See `IDXDataModule`.

    Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, 2017.

    Example:
        >>> FashionMNISTDataModule("data", val_fraction=0.1).class_names[7]
        'Sneaker'
    """

    dataset_class = datasets.FashionMNIST
    class_names = tuple(datasets.FashionMNIST.classes)


def _read(reader: Callable[[str], Tensor], path: Path) -> Tensor:
    try:
        return reader(str(path))
    # torchvision's parser checks with asserts, indexing and views: a broken file can raise any of these.
    except (AssertionError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is truncated or corrupt: delete it and download it again") from error
