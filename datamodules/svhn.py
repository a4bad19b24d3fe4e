"""Street View House Numbers: torchvision downloads and checks the files, scipy reads them."""

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torchvision import datasets

from datamodules.downloaded import DownloadedDataModule, check_md5


class SVHNDataModule(DownloadedDataModule):
    """Digits cut out of photographs of house numbers, in colour, 73,257 train and 26,032 test images, 3x32x32.

    The files are `<data_dir>/SVHN/train_32x32.mat` and `test_32x32.mat`: torchvision's `root` is `<data_dir>/SVHN`
    here, so that one `data_dir` holds a folder for each data set. The `extra` split is not used. The files call the
    digit 0 class 10; here it is class 0. Other digits may stand beside the one in the middle, which is the label.

    Args and splits: see `ImageDataModule`; `binarize` is for grey images only.

    Raises:
        FileNotFoundError: files are missing and `download` is off, or they could not be fetched.
        ImportError: scipy is not installed; scikit-learn brings it.
        ValueError: a file is truncated or corrupt; the message names it.

    Source: Y. Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011.

    Example:
        >>> data = SVHNDataModule("data", val_fraction=0.1)
        >>> data.image_shape, data.class_names[7]
        ((3, 32, 32), '7')
    """

    dataset_class: ClassVar[type[datasets.SVHN]] = datasets.SVHN
    input_shape = (3, 32, 32)
    num_classes = 10
    class_names = tuple("0123456789")

    @property
    def folder(self) -> str:
        """See `DownloadedDataModule.folder`."""
        return "SVHN"

    def files(self, train: bool) -> list[Path]:
        """See `DownloadedDataModule.files`."""
        return [self._path_and_md5(train)[0]]

    def fetch(self) -> None:
        """See `DownloadedDataModule.fetch`."""
        for train in (True, False):
            self._dataset(train, download=True)

    def parse(self, train: bool) -> tuple[Tensor, Tensor]:
        """See `TensorDataModule.load`."""
        try:
            dataset = self._dataset(train)
        except RuntimeError:
            check_md5(*self._path_and_md5(train))  # torchvision says that the file is not the official one
            raise
        images = torch.from_numpy(dataset.data).contiguous()  # MATLAB's order of bytes to ours
        return images, torch.from_numpy(dataset.labels.reshape(-1))  # (N, 3, 32, 32), (N,)

    def _dataset(self, train: bool, download: bool = False) -> datasets.SVHN:
        if find_spec("scipy") is None:  # before anything is downloaded
            raise ImportError("SVHN's files are MATLAB's, and reading them needs scipy: pip install scipy")
        return self.dataset_class(self.path(""), "train" if train else "test", download=download)

    def _path_and_md5(self, train: bool) -> tuple[Path, str]:
        _, name, md5 = self.dataset_class.split_list["train" if train else "test"]
        return self.path(name), md5
