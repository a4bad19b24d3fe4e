"""Images whose labels are places: a box, or a mask of classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.class_names import KnownClasses
from datamodules.images import ImageDataModule
from datamodules.joint_augmentation import JointAugmentation


class PlacesDataModule(KnownClasses, ImageDataModule):
    """Images with a box each, or with a mask, held in memory as uint8; what data of both kinds share.

    A batch is `(images, boxes)` or `(images, masks)`. Images are floats in [0, 1], (B, C, H, W). A box is its centre
    and size as fractions of the image's width and height, (cx, cy, w, h) in [0, 1]; boxes are (B, 4), float32. Masks
    are class indices, (B, H, W), int64, 255 for pixels of no class.

    Training batches are changed by transforms of torchvision.transforms.v2, which change both, see
    `datamodules.joint_augmentation.JointAugmentation`.

    A subclass writes `load`, which gives uint8 images and float32 boxes, or uint8 masks.

    Args and splits: see `ImageDataModule`.

    Raises:
        TypeError: `augment` holds something else than such transforms.
        ValueError: boxes or masks of another shape.

    Example:
        >>> class Squares(PlacesDataModule):
        ...     input_shape = (3, 8, 8)
        ...
        ...     def load(self, train):
        ...         images = torch.zeros(10, 3, 8, 8, dtype=torch.uint8)
        ...         images[:, :, :4, :4] = 255
        ...         return images, torch.tensor([[0.25, 0.25, 0.5, 0.5]] * 10)
        >>> data = Squares(batch_size=4)
        >>> data.setup()
        >>> images, boxes = next(iter(data.train_dataloader()))
        >>> boxes.shape
        torch.Size([4, 4])
    """

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 32,
        val_fraction: float = 0.1,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        drop_last: bool = False,
        download: bool = True,
        augment: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(data_dir, batch_size, val_fraction, train_fraction, split_seed, drop_last, download)
        if type(self).augment is not ImageDataModule.augment:
            raise TypeError(
                f"{type(self).__name__}.augment would change images without their places: write "
                "augment_batch(images, places), which returns both"
            )
        self.joint = JointAugmentation(augment)

    def augment_batch(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images and places, changed together."""
        return self.joint(images, labels)

    @property
    def augments(self) -> bool:
        """See `ImageDataModule.augments`."""
        return bool(self.joint)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Images to floats in [0, 1] and masks to int64, on the device."""
        images, places = super().on_after_batch_transfer(batch, dataloader_idx)
        return images, places if places.is_floating_point() else places.long()

    def _checked(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        name, size = type(self).__name__, tuple(self.input_shape[1:])
        boxes = labels.is_floating_point()
        wanted = (len(inputs), 4) if boxes else (len(inputs), *size)
        if tuple(labels.shape) != wanted or not (boxes or labels.dtype == torch.uint8):
            raise ValueError(
                f"{name}.load gave {len(inputs)} images and places of {labels.dtype}, {tuple(labels.shape)}: give "
                f"boxes, floats of ({len(inputs)}, 4), or masks, uint8 of {(len(inputs), *size)}"
            )
        if tuple(inputs.shape[1:]) != tuple(self.input_shape):
            raise ValueError(
                f"{name}.load gave images of {tuple(inputs.shape[1:])}, expected input_shape={self.input_shape}"
            )
        return inputs, labels
