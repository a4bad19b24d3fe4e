"""Digits of MNIST on photographs: real pictures whose boxes and masks are known exactly."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from datamodules.cifar10 import CIFAR10DataModule
from datamodules.image_folder import ImageFolderDataModule
from datamodules.images import ImageDataModule
from datamodules.mnist import MNISTDataModule
from datamodules.places import PlacesDataModule

_BLOCK = 500  # collages made at a time
_SMALLEST = 8  # pixels
_INK_ABOVE = 0.5  # coverage of a pixel from which on it belongs to the digit


class CollageDataModule(PlacesDataModule):
    """One digit of MNIST, of random size and place, on a photograph of CIFAR-10, with its box or its mask.

    Everything is made from the official files and `collage_seed`: collages of the train split have digits and
    photographs of the train splits, those of the test split of the test splits, and no digit or photograph is in two
    collages of a split. The digit is white or black, whichever differs more from the photograph below it, and its grey
    values mix with it. Its mask is the pixels that it covers by more than half; of a digit so small that there are
    none, by more than half of what it covers most. Its box is the smallest one around the mask.

    A batch is `(images, boxes)` or `(images, masks)`, see `PlacesDataModule`. In masks 0 is the background, and the
    classes are "background" and "digit", or "background" and the ten digits.

    Args:
        target: "box"; "mask", with two classes; or "digit_mask", with eleven.
        data_dir: folder of MNIST, and of CIFAR-10 where `backgrounds` is None.
        backgrounds: a folder or a zip of pictures with `train/` and `test/`, in place of CIFAR-10.
        image_size: height and width of the collages in pixels.
        digit_sizes: smallest and largest side, in pixels, at least 8, that MNIST's frame of 28 x 28 is brought to; the
            digit itself is some 20 x 20 of it.
        train_size: collages to train and validate on, at most as many as there are digits and photographs.
        test_size: collages of the test split.
        collage_seed: decides all of them.
        batch_size: see `ImageDataModule`, as all that follow.
        val_fraction: see `ImageDataModule`.
        train_fraction: see `ImageDataModule`.
        split_seed: see `ImageDataModule`.
        drop_last: see `ImageDataModule`.
        download: see `ImageDataModule`.
        augment: see `datamodules.joint_augmentation.JointAugmentation`.

    Raises:
        FileNotFoundError: files are missing.
        ValueError: an argument is out of its range, or more collages are asked for than there are digits or pictures.

    Source: the digits and the photographs, see `MNISTDataModule` and `CIFAR10DataModule`.

    Example:
        >>> CollageDataModule("digit_mask").class_names[:3]
        ('background', '0', '1')
    """

    photograph_data: ClassVar[type[CIFAR10DataModule]] = CIFAR10DataModule

    def __init__(
        self,
        target: Literal["box", "mask", "digit_mask"] = "box",
        data_dir: str = "data",
        backgrounds: str | None = None,
        image_size: int = 64,
        digit_sizes: Sequence[int] = (24, 56),
        train_size: int = 10_000,
        test_size: int = 2_000,
        collage_seed: int = 0,
        batch_size: int = 64,
        val_fraction: float = 0.1,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        drop_last: bool = False,
        download: bool = True,
        augment: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(data_dir, batch_size, val_fraction, train_fraction, split_seed, drop_last, download, augment)
        if target not in ("box", "mask", "digit_mask"):
            raise ValueError(f'target must be "box", "mask" or "digit_mask", got {target!r}')
        smallest, largest = _sizes(digit_sizes, image_size)
        for name, value in (("train_size", train_size), ("test_size", test_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.target = target
        self.digit_sizes = (smallest, largest)
        self.sizes = {True: train_size, False: test_size}
        self.collage_seed = collage_seed
        self.input_shape = (3, image_size, image_size)
        digits = MNISTDataModule.class_names
        self.class_names = {"box": (), "mask": ("background", "digit")}.get(target, ("background", *digits))
        self.num_classes = len(self.class_names)
        self.digits = MNISTDataModule(data_dir, download=download)
        self.photographs: ImageDataModule = (
            self.photograph_data(data_dir, download=download)
            if backgrounds is None
            else ImageFolderDataModule(backgrounds, image_size=32, labels="none", val_fraction=0)
        )

    def prepare_data(self) -> None:
        """Fetch or decode what is missing; Lightning calls this on one process a machine."""
        self.digits.prepare_data()
        self.photographs.prepare_data()

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """Collages, (N, 3, S, S) uint8, and boxes, (N, 4), or masks, (N, S, S) uint8."""
        n, edge = self.sizes[train], self.input_shape[1]
        generator = torch.Generator().manual_seed(2 * self.collage_seed + train)
        digits, labels = self.digits.load(train)
        rows = _some(len(digits), n, generator, "digits", train)
        smallest, largest = self.digit_sizes
        sides = torch.randint(smallest, largest + 1, (n,), generator=generator)
        corners = (torch.rand(n, 2, generator=generator) * (edge - sides + 1).unsqueeze(1)).long()  # top and left
        photographs = self._photographs(train)
        chosen = _some(len(photographs), n, generator, "photographs", train)
        images, covered = torch.empty(n, 3, edge, edge, dtype=torch.uint8), torch.empty(n, edge, edge, dtype=torch.bool)
        for part in torch.arange(n).split(_BLOCK):  # a few at a time as floats
            alpha = _placed(digits[rows[part]], sides[part], corners[part], edge)
            below = interpolate(photographs[chosen[part]] / 255, (edge, edge), mode="bilinear", antialias=True)
            images[part], covered[part] = _with_ink(below.clamp(0, 1), alpha), _covered(alpha)
        if self.target == "box":
            return images, boxes_around(covered)
        value = labels[rows] + 1 if self.target == "digit_mask" else torch.ones(n, dtype=torch.int64)
        return images, covered.to(torch.uint8) * value.to(torch.uint8).view(-1, 1, 1)

    def _photographs(self, train: bool) -> Tensor:
        """All of a split, (N, 3, h, w) uint8."""
        if isinstance(self.photographs, ImageFolderDataModule):
            self.photographs.setup()
            return self.photographs.split("train" if train else "test")[0]
        return self.photographs.load(train)[0]


def _covered(alpha: Tensor) -> Tensor:
    """Which pixels belong to each digit, bool, (N, S, S), of how much it covers them, same shape, in [0, 1].

    Where a small digit covers none by half, those that it covers by half as much as the one that it covers most.
    """
    most = alpha.amax((1, 2), keepdim=True)
    return alpha > torch.where(most > _INK_ABOVE, _INK_ABOVE, most / 2)


def _placed(digits: Tensor, sides: Tensor, corners: Tensor, edge: int) -> Tensor:
    """Digits (N, 1, 28, 28), uint8, at their sizes and places: by how much each pixel is covered, (N, S, S)."""
    alpha = torch.zeros(len(digits), edge, edge)
    for side in sides.unique().tolist():
        rows = (sides == side).nonzero().flatten()
        resized = interpolate(digits[rows] / 255, size=(side, side), mode="bilinear", antialias=True).clamp(0, 1)
        for row, digit, (top, left) in zip(rows.tolist(), resized[:, 0], corners[rows].tolist(), strict=True):
            alpha[row, top : top + side, left : left + side] = digit
    return alpha


def boxes_around(masks: Tensor) -> Tensor:
    """The smallest box around the pixels of each mask, (cx, cy, w, h) as fractions, (N, 4), float32.

    Args:
        masks: (N, H, W), bool.

    Raises:
        ValueError: a mask is empty, and has no box.

    Example:
        >>> mask = torch.zeros(1, 4, 8, dtype=torch.bool)
        >>> mask[0, 1:3, 0:4] = True
        >>> boxes_around(mask)
        tensor([[0.2500, 0.5000, 0.5000, 0.5000]])
    """
    if not masks.flatten(1).any(1).all():
        raise ValueError("an empty mask has no box")
    x0, x1 = _ends(masks.any(1))  # columns
    y0, y1 = _ends(masks.any(2))  # rows
    return torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], 1)


def _ends(lines: Tensor) -> tuple[Tensor, Tensor]:
    """Where the true values of each row, (N, L), begin and end, as fractions of L."""
    length = lines.shape[1]
    first = lines.float().argmax(1)
    last = length - lines.flip(1).float().argmax(1)
    return first / length, last / length


def _with_ink(photographs: Tensor, alpha: Tensor) -> Tensor:
    """Digits in white or black over photographs, (N, 3, S, S) uint8."""
    below = (photographs.mean(1) * alpha).sum((1, 2)) / alpha.sum((1, 2))
    ink = (below < 0.5).float().view(-1, 1, 1, 1)  # (N,) -> (N, 1, 1, 1)
    share = alpha.unsqueeze(1)
    return ((photographs * (1 - share) + ink * share) * 255).round().to(torch.uint8)


def _some(available: int, wanted: int, generator: torch.Generator, what: str, train: bool) -> Tensor:
    if wanted > available:
        name = "train_size" if train else "test_size"
        raise ValueError(f"{name} is {wanted}, but there are {available} {what}: ask for at most so many collages")
    return torch.randperm(available, generator=generator)[:wanted]


def _sizes(digit_sizes: Sequence[int], image_size: int) -> tuple[int, int]:
    if len(digit_sizes) != 2 or not _SMALLEST <= digit_sizes[0] <= digit_sizes[1] <= image_size:
        raise ValueError(
            f"digit_sizes must be the smallest and the largest side, from {_SMALLEST} to image_size={image_size}, got "
            f"{list(digit_sizes)}"
        )
    return digit_sizes[0], digit_sizes[1]
