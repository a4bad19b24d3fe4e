"""CIFAR-10: torchvision downloads, checks and unpickles the files."""

import warnings
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torchvision import datasets

from datamodules.downloaded import DownloadedDataModule, check_md5


class CIFAR10DataModule(DownloadedDataModule):
    """Colour photographs of ten kinds of things, 50,000 train and 10,000 test images, 3x32x32.

    The files are `<data_dir>/cifar-10-batches-py/data_batch_1` to `data_batch_5`, `test_batch` and `batches.meta`.
    They are pickles, which can run code when they are read: none is read whose MD5 is not the official one's.

    Args and splits: see `ImageDataModule`; `binarize` is for grey images only.

    Raises:
        FileNotFoundError: files are missing and `download` is off, or they could not be fetched.
        ValueError: a file is truncated or corrupt; the message names it.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Example:
        >>> data = CIFAR10DataModule("data", val_fraction=0.1)
        >>> data.image_shape, data.class_names[7]
        ((3, 32, 32), 'horse')
    """

    dataset_class: ClassVar[type[datasets.CIFAR10]] = datasets.CIFAR10
    input_shape = (3, 32, 32)
    num_classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    @property
    def folder(self) -> str:
        """See `DownloadedDataModule.folder`."""
        return self.dataset_class.base_folder

    def files(self, train: bool) -> list[Path]:
        """See `DownloadedDataModule.files`."""
        return list(self._md5s(train))

    def fetch(self) -> None:
        """See `DownloadedDataModule.fetch`."""
        self._dataset(train=False, download=True)

    def parse(self, train: bool) -> tuple[Tensor, Tensor]:
        """See `TensorDataModule.load`."""
        try:
            dataset = self._dataset(train)
        except RuntimeError:
            # torchvision says that some file is not the official one; this says which
            for path, md5 in (self._md5s(True) | self._md5s(False)).items():
                check_md5(path, md5)
            raise
        # (N, 32, 32, 3) -> (N, 3, 32, 32): the order in which the bytes lie in memory, so nothing is copied
        images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
        return images, torch.tensor(dataset.targets)  # (N, 3, 32, 32), (N,)

    def _dataset(self, train: bool, download: bool = False) -> datasets.CIFAR10:
        with warnings.catch_warnings():
            # NumPy 2.4.0 to 2.4.4 warn of pickles as old as these: https://github.com/pytorch/vision/issues/9340
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            return self.dataset_class(self.data_dir, train, download=download)

    def _md5s(self, train: bool) -> dict[Path, str]:
        """The split's files and the MD5 of each; the names of the classes belong to both."""
        files = self.dataset_class.train_list if train else self.dataset_class.test_list
        meta = self.dataset_class.meta
        return {self.path(name): md5 for name, md5 in [*files, (meta["filename"], meta["md5"])]}
