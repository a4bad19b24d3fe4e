"""A user's own pictures with a mask each: which class each pixel is of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor, nn

from datamodules.pictures.cache import CachedPictures, cached_pictures
from datamodules.pictures.decoding import PictureFormat
from datamodules.pictures.listing import PictureListing, chosen_pictures, list_pictures
from datamodules.pictures.mask_format import IGNORED, MaskFormat, color_table
from datamodules.pictures.sizes import picture_sizes
from datamodules.pictures.tables import quoted
from datamodules.places import PlacesDataModule
from datamodules.splits import hash_splits, in_test_folder


class MaskDataModule(PlacesDataModule):
    """Pictures in one folder or zip, and masks of the same names in another.

    Names are compared without their suffix: `street/1.jpg` belongs to `street/1.png`. A mask has the size of its
    picture. Its pixels are colours that `class_colors` names, or class indices 0, 1, ..., and 255 for pixels that count
    nowhere, such as what rotation brings in. Masks are resized by their nearest pixel, which mixes no classes.

    A batch is `(images, masks)`: floats in [0, 1], shape (B, C, S, S), and class indices, (B, S, S), int64. Splits are
    of pictures, by a hash of their names, as in `ImageFolderDataModule`, or as folders `train/` and `test/` say.

    Args:
        images: the folder, or the zip.
        masks: the folder, or the zip, of masks; they may not be JPEG files, which blur colours.
        class_colors: (R, G, B) of each class by name, such as `{background: [0, 0, 0], face: [255, 0, 0]}`, or a list
            of them; the name "ignore" stands for no class. None where pixels hold indices.
        num_classes: K, the background included, where there are no colours.
        class_names: names of the classes, where there are no colours; "0", "1", ... by default.
        image_size: see `ImageFolderDataModule`.
        channels: see `ImageFolderDataModule`, of the pictures.
        resize: see `ImageFolderDataModule`; what "pad" brings in is of no class.
        background: see `ImageFolderDataModule`, of the pictures.
        workers: see `ImageFolderDataModule`.
        cache_dir: see `ImageFolderDataModule`.
        batch_size: see `ImageDataModule`, as all that follow.
        test_fraction: see `ImageFolderDataModule`.
        val_fraction: see `ImageFolderDataModule`.
        train_fraction: see `ImageDataModule`.
        split_seed: see `ImageDataModule`.
        drop_last: see `ImageDataModule`.
        augment: transforms of torchvision.transforms.v2 for training batches, which change images and masks together,
            see `datamodules.joint_augmentation.JointAugmentation`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: an argument is out of its range; a picture without mask or a mask without picture; a mask of another
            size, or with a colour or an index that is no class; a file is no usable picture. The message names them.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as images, TemporaryDirectory() as masks, TemporaryDirectory() as cache:
        ...     Image.new("RGB", (40, 40)).save(Path(images, "1.jpg"))
        ...     Image.new("RGB", (40, 40), (255, 0, 0)).save(Path(masks, "1.png"))
        ...     colors = {"background": [0, 0, 0], "face": [255, 0, 0]}
        ...     options = {"image_size": 4, "test_fraction": 0, "val_fraction": 0, "cache_dir": cache}
        ...     data = MaskDataModule(images, masks, colors, **options)
        ...     data.setup()
        >>> data.split("train")[1][0, 0]
        tensor([1, 1, 1, 1], dtype=torch.uint8)
    """

    def __init__(
        self,
        images: str,
        masks: str,
        class_colors: dict[str, Sequence[int]] | Sequence[Sequence[int]] | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] = (),
        image_size: int = 256,
        channels: int = 3,
        resize: Literal["crop", "pad", "stretch"] = "crop",
        background: int = 0,
        workers: int | None = None,
        cache_dir: str | None = None,
        batch_size: int = 16,
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
        names, colors, self.num_classes = _classes(class_colors, num_classes, class_names)
        self.class_names = names
        self.class_colors = colors[: self.num_classes]  # without the one of no class
        self.test_fraction = test_fraction
        self.format = PictureFormat(image_size, channels, resize, background)
        self.mask_format = MaskFormat(image_size, 1, resize, background, colors=colors, num_classes=self.num_classes)
        self.workers = workers
        self.cache_dir = cache_dir
        self.input_shape = self.format.shape
        self.listing, self.mask_listing = _pairs(
            list_pictures(images, "none", "images"), list_pictures(masks, "none", "masks")
        )
        self._pictures: tuple[CachedPictures, CachedPictures] | None = None

    def prepare_data(self) -> None:
        """Decode what is not decoded yet; Lightning calls this on one process a machine."""
        pictures, masks = (
            cached_pictures(listing, target, "raise", self.workers, self.cache_dir, remedy)
            for listing, target, remedy in (
                (self.listing, self.format, "delete or repair them"),
                (self.mask_listing, self.mask_format, "correct them, or what the arguments say of their classes"),
            )
        )
        sizes, mask_sizes = picture_sizes(self.listing, pictures), picture_sizes(self.mask_listing, masks)
        differing = (sizes != mask_sizes).any(1)
        if differing.any():
            row = int(np.argmax(differing))
            raise ValueError(
                f"{int(differing.sum())} masks have another size than their pictures, such as "
                f"{self.mask_listing.files.names[row]!r} of {' x '.join(map(str, mask_sizes[row]))} for a picture of "
                f"{' x '.join(map(str, sizes[row]))}: make both of one size"
            )
        self._pictures = pictures, masks

    def read(self) -> dict[str, tuple[Tensor, Tensor]]:
        """All pictures and masks, mapped, under both names: splits are indices into them."""
        if self._pictures is None:  # in processes that did not prepare
            self.prepare_data()
        assert self._pictures is not None
        pictures, masks = self._pictures
        if not self.mask_format.colors:
            _refuse_white(masks.images)
        return dict.fromkeys(("train", "test"), self._checked(pictures.images, masks.images.squeeze(1)))

    def cut(self) -> dict[str, Tensor]:
        """By folders where there is a `test/`, else by a hash of the pictures' names."""
        files = self.listing.files
        is_test = in_test_folder(files.splits)
        return hash_splits(files.names, self.test_fraction, self.val_fraction, self.split_seed, is_test)

    def names_of(self, index: Tensor) -> list[str]:
        """Names of pictures, such as those of `splits["test"]`."""
        return [self.listing.files.names[position] for position in index.tolist()]


def _refuse_white(masks: Tensor) -> None:
    """Raise a ValueError where masks hold 0 and 255 alone, which is how many programs write black and white."""
    if int((masks == IGNORED).any()) and not int(((masks > 0) & (masks < IGNORED)).any()):
        raise ValueError(
            "the masks hold the values 0 and 255 alone, and 255 stands for pixels of no class: where white is a class, "
            "say so with class_colors={background: [0, 0, 0], object: [255, 255, 255]}"
        )


def _classes(
    class_colors: dict[str, Sequence[int]] | Sequence[Sequence[int]] | None,
    num_classes: int | None,
    class_names: Sequence[str],
) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...], int]:
    if class_colors is not None:
        if num_classes is not None or class_names:
            raise ValueError("class_colors says how many classes there are: leave num_classes and class_names out")
        names, colors, number = color_table(class_colors)
    else:
        if num_classes is None:
            raise ValueError(
                "say which classes the masks hold: class_colors, the colour of each class by its name, or num_classes "
                "where pixels hold class indices"
            )
        names, colors, number = tuple(class_names) or tuple(map(str, range(num_classes))), (), num_classes
    if not 2 <= number <= 254:
        raise ValueError(f"masks must have from 2 to 254 classes, the background included, got {number}")
    if len(names) != number:
        raise ValueError(f"class_names must be {number}, as num_classes, got {len(names)}: {list(names)}")
    return names, colors, number


def _pairs(images: PictureListing, masks: PictureListing) -> tuple[PictureListing, PictureListing]:
    """Both in the order of the pictures' names."""
    by_stem, masks_by_stem = _stems(images), _stems(masks)
    lonely = [name for stem, name in by_stem.items() if stem not in masks_by_stem]
    if lonely:
        raise ValueError(
            f"{len(lonely)} pictures in {images.source} have no mask in {masks.source}: {quoted(lonely)}. Give each a "
            "mask of the same name, whatever its suffix, or move them elsewhere"
        )
    lonely = [name for stem, name in masks_by_stem.items() if stem not in by_stem]
    if lonely:
        raise ValueError(
            f"{len(lonely)} masks in {masks.source} have no picture in {images.source}: {quoted(lonely)}. Move them "
            "elsewhere, or add their pictures"
        )
    return chosen_pictures(images, list(by_stem.values())), chosen_pictures(
        masks, [masks_by_stem[stem] for stem in by_stem]
    )


def _stems(listing: PictureListing) -> dict[str, str]:
    """Names by themselves without their suffix."""
    stems: dict[str, str] = {}
    for name in listing.files.names:
        stem = str(Path(name).with_suffix(""))
        if stem in stems:
            raise ValueError(
                f"{listing.source} holds {stems[stem]!r} and {name!r}, which differ by their suffix alone: remove one, "
                "or rename it"
            )
        stems[stem] = name
    return stems
