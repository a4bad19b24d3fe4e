"""Data sets that torchvision downloads: which of their files are there, and what is said where one cannot be used."""

import hashlib
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

from torch import Tensor
from torchvision.datasets import VisionDataset

from datamodules.images import ImageDataModule


class DownloadedDataModule(ImageDataModule):
    """A data set whose files torchvision downloads to a folder below `data_dir`.

    A subclass names torchvision's `dataset_class` and the `folder` and the `files` that it reads, and writes `fetch`
    and `parse`.

    Args and splits: see `ImageDataModule`.

    Raises:
        FileNotFoundError: files are missing and `download` is off, or they could not be fetched.
        ValueError: a file is truncated or corrupt; the message names it.

    Example:
        >>> from datamodules import MNISTDataModule
        >>> MNISTDataModule("data").path("train-images-idx3-ubyte").as_posix()
        'data/MNIST/raw/train-images-idx3-ubyte'
    """

    dataset_class: ClassVar[type[VisionDataset]]

    @property
    def folder(self) -> str:
        """The folder of the files, below `data_dir`."""
        raise NotImplementedError

    def files(self, train: bool) -> list[Path]:
        """The files of the official train or test split, see `path`."""
        raise NotImplementedError

    def fetch(self) -> None:
        """Download all files to where `files` looks for them; a RuntimeError or an OSError where that fails."""
        raise NotImplementedError

    def parse(self, train: bool) -> tuple[Tensor, Tensor]:
        """See `TensorDataModule.load`; the files are there."""
        raise NotImplementedError

    def path(self, name: str) -> Path:
        """Where the file of that name lies; "~" stands for the user's home, as for torchvision."""
        return Path(self.data_dir).expanduser() / self.folder / name

    def prepare_data(self) -> None:
        """Download where allowed and needed; Lightning calls this on one process a machine."""
        if not self.download or not self._missing_files():
            return
        try:
            self.fetch()
        except (RuntimeError, URLError, OSError) as error:
            raise FileNotFoundError(self._missing_message("could not be downloaded")) from error

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """See `TensorDataModule.load`."""
        if self._missing_files():
            raise FileNotFoundError(self._missing_message(f"are missing, and download={self.download}"))
        return self.parse(train)

    def _missing_files(self) -> list[Path]:
        return [path for path in dict.fromkeys(self.files(True) + self.files(False)) if not path.is_file()]

    def _missing_message(self, problem: str) -> str:
        name, paths = self.dataset_class.__name__, ", ".join(str(path) for path in self._missing_files())
        return (
            f"{name}: files {problem}: {paths}. Pass the folder that holds {self.folder}/ as data_dir (it is "
            f"{self.data_dir!r}), or download=True with a network"
        )


def check_md5(path: Path, expected: str) -> None:
    """Refuse a file that is not the official one.

    Args:
        path: a file.
        expected: MD5 of the official one, in hexadecimal digits.

    Raises:
        ValueError: the file's MD5 is another one.

    Example:
        >>> path = getfixture("tmp_path") / "test.bin"
        >>> count = path.write_bytes(b"")
        >>> check_md5(path, "d41d8cd98f00b204e9800998ecf8427e")
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected:
        raise ValueError(
            f"{path} is truncated or corrupt (its MD5 is {found}, the official file's {expected}): delete it and "
            "download it again"
        )
