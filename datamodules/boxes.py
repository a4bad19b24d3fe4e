"""A user's own pictures with a box each, from a CSV file."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from datamodules.pictures.box_table import BoxTable, check_inside, read_box_table
from datamodules.pictures.cache import CachedPictures, cached_pictures
from datamodules.pictures.decoding import PictureFormat
from datamodules.pictures.listing import PictureListing, chosen_pictures, list_pictures
from datamodules.pictures.sizes import as_corners, as_fractions, picture_sizes
from datamodules.places import PlacesDataModule
from datamodules.splits import hash_numbers, hash_splits, in_test_folder

_REMEDY = "delete or repair them, and remove their rows from the table"


class BoxDataModule(PlacesDataModule):
    """Pictures in a folder or a zip, and a CSV file with the corners of boxes in them; one box an image.

    A row is a picture's name and the corners (x0, y0, x1, y1) of a box in its pixels, from the upper left corner of the
    picture as it is shown, turned as its EXIF data say. Where a picture has several rows, one of them is its box.
    Pictures that the table does not name are left out.

    A batch is `(images, boxes)`: floats in [0, 1], shape (B, C, S, S), and (cx, cy, w, h) as fractions of width and
    height, in [0, 1], shape (B, 4), float32. Splits are of pictures, by a hash of their names, as in
    `ImageFolderDataModule`, so that no picture is in two splits; or as folders `train/` and `test/` say.

    Args:
        path: of the CSV file.
        images: the folder, or the zip; names in the table are relative to it.
        columns: names or positions, from 0, of the columns of the picture's name, x0, y0, x1 and y1. Others may hold
            anything.
        pick: which box of several, "random", by `pick_seed`, or "largest", by area.
        pick_seed: decides it, for each picture by its name.
        image_size: see `ImageFolderDataModule`.
        channels: see `ImageFolderDataModule`.
        resize: see `ImageFolderDataModule`; by default "stretch", which cuts no box.
        background: see `ImageFolderDataModule`.
        workers: see `ImageFolderDataModule`.
        cache_dir: see `ImageFolderDataModule`.
        batch_size: see `ImageDataModule`, as all that follow.
        test_fraction: see `ImageFolderDataModule`.
        val_fraction: see `ImageFolderDataModule`.
        train_fraction: see `ImageDataModule`.
        split_seed: see `ImageDataModule`.
        drop_last: see `ImageDataModule`.
        augment: transforms of torchvision.transforms.v2 for training batches, which change images and boxes together,
            see `datamodules.joint_augmentation.JointAugmentation`. A rotated box becomes the upright one around it.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: an argument is out of its range; a row is no box, leaves its picture, or names a picture that is not
            there; a file is no usable picture; less than a pixel is left of a box. The message names them.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as folder, TemporaryDirectory() as cache:
        ...     Image.new("RGB", (100, 80)).save(Path(folder, "1.png"))
        ...     table = Path(cache, "boxes.csv")
        ...     _ = table.write_text("image_name,x0,y0,x1,y1" + chr(10) + "1.png,0,0,50,80")
        ...     options = {"image_size": 32, "test_fraction": 0, "val_fraction": 0, "cache_dir": cache}
        ...     data = BoxDataModule(str(table), folder, **options)
        ...     data.setup()
        >>> data.split("train")[1]
        tensor([[0.2500, 0.5000, 0.5000, 1.0000]])
    """

    def __init__(
        self,
        path: str,
        images: str,
        columns: Sequence[int | str] = ("image_name", "x0", "y0", "x1", "y1"),
        pick: Literal["random", "largest"] = "random",
        pick_seed: int = 0,
        image_size: int = 224,
        channels: int = 3,
        resize: Literal["crop", "pad", "stretch"] = "stretch",
        background: int = 0,
        workers: int | None = None,
        cache_dir: str | None = None,
        batch_size: int = 32,
        test_fraction: float = 0.2,
        val_fraction: float = 0.1,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        drop_last: bool = False,
        augment: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(images, batch_size, val_fraction, train_fraction, split_seed, drop_last, augment=augment)
        if not 0 <= test_fraction < 1:
            raise ValueError(f"test_fraction must be in [0, 1), got {test_fraction}: use 0 for no test split")
        if pick not in ("random", "largest"):
            raise ValueError(f'pick must be "random" or "largest", got {pick!r}')
        self.path = Path(path).expanduser()
        self.test_fraction = test_fraction
        self.format = PictureFormat(image_size, channels, resize, background)
        self.workers = workers
        self.cache_dir = cache_dir
        self.input_shape = self.format.shape
        table = read_box_table(self.path, columns)
        every = list_pictures(images, "none", "images")
        self._rows = _as_listed(self.path, table, every)
        self.table = _one_a_picture(self._rows, pick, pick_seed)
        self.listing = chosen_pictures(every, self.table.names)
        self._pictures: CachedPictures | None = None

    def prepare_data(self) -> None:
        """Decode what is not decoded yet; Lightning calls this on one process a machine."""
        self._pictures = cached_pictures(self.listing, self.format, "raise", self.workers, self.cache_dir, _REMEDY)
        picture_sizes(self.listing, self._pictures)

    def read(self) -> dict[str, tuple[Tensor, Tensor]]:
        """All pictures, mapped, under both names: splits are indices into them."""
        if self._pictures is None:  # in processes that did not prepare
            self.prepare_data()
        assert self._pictures is not None
        sizes = picture_sizes(self.listing, self._pictures)
        place = {name: position for position, name in enumerate(self.table.names)}
        check_inside(self.path, self._rows, sizes[[place[name] for name in self._rows.names]])
        boxes = as_fractions(self.table.corners, sizes, self.format.resize)
        gone = (boxes[:, 2:] * self.format.image_size < 1).any(1)
        if gone.any():
            raise ValueError(
                f"resize={self.format.resize!r} to {self.format.image_size} pixels leaves less than a pixel of the "
                f"boxes of {int(gone.sum())} pictures, such as {self.table.names[int(gone.argmax())]!r}: use "
                'resize="pad" or "stretch" (--data.resize pad), a larger --data.image_size, or remove their rows'
            )
        return dict.fromkeys(("train", "test"), self._checked(self._pictures.images, torch.tensor(boxes).float()))

    def cut(self) -> dict[str, Tensor]:
        """By folders where there is a `test/`, else by a hash of the pictures' names."""
        is_test = in_test_folder(self.listing.files.splits)
        return hash_splits(self.table.names, self.test_fraction, self.val_fraction, self.split_seed, is_test)

    def names_of(self, index: Tensor) -> list[str]:
        """Names of pictures, such as those of `splits["test"]`."""
        return [self.table.names[position] for position in index.tolist()]

    def corners_of(self, boxes: Tensor, index: Tensor) -> np.ndarray:
        """Boxes (cx, cy, w, h), (N, 4), as corners (x0, y0, x1, y1) in pixels of the pictures' files.

        Args:
            boxes: as a model finds them.
            index: which pictures they lie in, (N,), as in `splits`.
        """
        assert self._pictures is not None
        sizes = picture_sizes(self.listing, self._pictures)[index.numpy()]
        return as_corners(boxes.double().numpy(), sizes, self.format.resize)


def _as_listed(path: Path, table: BoxTable, listing: PictureListing) -> BoxTable:
    """The table with its pictures' names as they are listed."""
    there = set(listing.files.names)
    plain = [name.replace("\\", "/").removeprefix("./") for name in table.names]
    names = [name if name in there else name.removeprefix(listing.prefix) for name in plain]
    missing = sorted({given for given, name in zip(table.names, names, strict=True) if name not in there})
    if missing:
        some = ", ".join(map(repr, missing[:3])) + (f" and {len(missing) - 3:,} more" if len(missing) > 3 else "")
        raise ValueError(
            f"{path} names {some}: there is no such picture in {listing.source}. Names are relative to that folder, "
            "with their suffix; correct them, or remove the rows"
        )
    return table._replace(names=names)


def _one_a_picture(table: BoxTable, pick: str, seed: int) -> BoxTable:
    """One row for each picture, in the order of their names."""
    sides = table.corners[:, 2:] - table.corners[:, :2]
    seen: Counter[str] = Counter()
    keys = []
    for name in table.names:  # a box is known by its picture and its place among that picture's boxes
        keys.append(f"{name} {seen[name]}")
        seen[name] += 1
    numbers = hash_numbers(keys, f"pick {seed}").numpy()
    ranks = sides.prod(1) if pick == "largest" else numbers
    best: dict[str, int] = {}
    for row, name in enumerate(table.names):
        if name not in best or ranks[row] > ranks[best[name]]:
            best[name] = row
    rows = [best[name] for name in sorted(best)]
    return BoxTable([table.names[row] for row in rows], table.corners[rows], [table.lines[row] for row in rows])
