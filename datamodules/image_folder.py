"""A user's own pictures: a folder or a zip, with or without classes."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from datamodules.class_names import KnownClasses
from datamodules.images import ImageDataModule
from datamodules.pictures.cache import CachedPictures, cached_pictures
from datamodules.pictures.decoding import PictureFormat
from datamodules.pictures.listing import list_pictures
from datamodules.splits import hash_splits


class ImageFolderDataModule(KnownClasses, ImageDataModule):
    """Pictures of any size in a folder or a zip, all brought to one size.

    `data_dir` may hold class folders; `train/` and `test/`; pictures without classes; a `metadata.csv` with the column
    `file_name` and, for classes, `label`; StyleGAN's `dataset.json`; or it may be a zip of any of these. Names that
    begin with "." or "__" are left out. Classes and pictures are in natural order, img2 before img10.

    Any picture that Pillow opens is read: rotated as its EXIF data say, 16 bits cut to 8, transparency laid over
    `background`. Every picture is decoded once, in full, into a file that all later runs and all processes map into
    memory, so that sets larger than the memory train too. A picture, an argument or Pillow's version that changes makes
    a new file; the old one may be deleted at any time.

    Where there is no `test/`, pictures are set aside as the test split by a hash of their names, which include their
    folders, whatever `split_seed` is; validation by a hash of names and `split_seed`. So a picture that is added moves
    no other to another split. The shares are met on average, by at least one picture each.

    A batch is `(images, labels)`: floats in [0, 1], shape (B, C, S, S), and int64 class indices, shape (B,). Without
    classes `num_classes` is 0, and labels are 0.

    Args:
        data_dir: the folder, or the zip.
        image_size: S, height and width in pixels, at least 1.
        channels: C, 3 for colour or 1 for grey.
        resize: "crop" takes the middle square; "pad" fits the whole picture in, with `background` beside it; "stretch"
            gives up the aspect ratio.
        background: grey level 0 .. 255 behind transparent pixels and beside padded pictures.
        labels: "auto" takes classes where there are any; "folders" needs them; "none" takes all pictures without.
        test_fraction: share of all pictures for the test split where there is no `test/`, in [0, 1).
        on_error: what a file that is no usable picture does: "raise" lists all such files in one error; "skip" leaves
            them out, and lists them in skipped.txt beside the decoded pictures, up to 1% of all.
        workers: threads that decode; None for one a core.
        cache_dir: folder of decoded pictures, outside `data_dir`; by default lit-generative/pictures in $XDG_CACHE_HOME
            or ~/.cache.
        batch_size: see `ImageDataModule`, as all that follow.
        val_fraction: share of the pictures not in the test split.
        train_fraction: see `ImageDataModule`.
        split_seed: see `ImageDataModule`.
        drop_last: see `ImageDataModule`.
        augment: see `ImageDataModule`.
        binarize: see `ImageDataModule`.

    Raises:
        FileNotFoundError: there is no such folder, or no picture in it.
        OSError: the disk is too small for the decoded pictures, or its folder cannot be written.
        ValueError: an argument is out of its range; folders and pictures contradict each other; files are no usable
            pictures. The message names all of them.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as folder, TemporaryDirectory() as cache:
        ...     for name in ("cat", "dog"):
        ...         (Path(folder) / name).mkdir()
        ...         Image.new("RGB", (100, 80)).save(Path(folder) / name / "1.png")
        ...     data = ImageFolderDataModule(folder, image_size=32, test_fraction=0, val_fraction=0, cache_dir=cache)
        ...     data.setup()
        >>> data.class_names, data.split("train")[0].shape
        (('cat', 'dog'), torch.Size([2, 3, 32, 32]))
    """

    def __init__(
        self,
        data_dir: str,
        image_size: int = 64,
        channels: int = 3,
        resize: Literal["crop", "pad", "stretch"] = "crop",
        background: int = 255,
        labels: Literal["auto", "folders", "none"] = "auto",
        test_fraction: float = 0.1,
        on_error: Literal["raise", "skip"] = "raise",
        workers: int | None = None,
        cache_dir: str | None = None,
        batch_size: int = 128,
        val_fraction: float = 0.1,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        drop_last: bool = False,
        augment: Sequence[nn.Module] = (),
        binarize: bool = False,
    ) -> None:
        super().__init__(
            data_dir,
            batch_size,
            val_fraction,
            train_fraction,
            split_seed,
            drop_last,
            augment=augment,
            binarize=binarize,
        )
        if not 0 <= test_fraction < 1:
            raise ValueError(f"test_fraction must be in [0, 1), got {test_fraction}: use 0 for no test split")
        self.test_fraction = test_fraction
        self.format = PictureFormat(image_size, channels, resize, background)
        self.on_error = on_error
        self.workers = workers
        self.cache_dir = cache_dir
        self.listing = list_pictures(data_dir, labels)
        self.input_shape = self.format.shape
        self.class_names = self.listing.class_names
        self.num_classes = len(self.class_names)
        self._pictures: CachedPictures | None = None

    def prepare_data(self) -> None:
        """Decode what is not decoded yet; Lightning calls this on one process a machine."""
        self._pictures = cached_pictures(self.listing, self.format, self.on_error, self.workers, self.cache_dir)

    def read(self) -> dict[str, tuple[Tensor, Tensor]]:
        """All pictures, mapped, under both names: splits are indices into them."""
        if self._pictures is None:  # in processes that did not prepare
            self.prepare_data()
        cached = self._pictures
        assert cached is not None
        files = self.listing.files
        index: dict[str | None, int] = {None: 0} | {name: number for number, name in enumerate(self.class_names)}
        labels = torch.tensor([index[label] for label in files.labels])[cached.kept]
        return dict.fromkeys(("train", "test"), self._checked(cached.images, labels))

    def cut(self) -> dict[str, Tensor]:
        """By folders where there is a `test/`, else by a hash of the names; in the order of another hash.

        So the first pictures of a split are of several classes, though a class's pictures lie side by side.
        """
        assert self._pictures is not None
        kept = self._pictures.kept.tolist()
        files = self.listing.files
        names, given = [files.names[position] for position in kept], [files.splits[position] for position in kept]
        # by folder also where all of them were skipped
        is_test = torch.tensor([split == "test" for split in given]) if "test" in files.splits else None
        return hash_splits(names, self.test_fraction, self.val_fraction, self.split_seed, is_test)

    def names_of(self, index: Tensor) -> list[str]:
        """Names of pictures, such as those of `splits["test"]`."""
        assert self._pictures is not None
        return [self.listing.files.names[position] for position in self._pictures.kept[index].tolist()]
