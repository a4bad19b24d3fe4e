"""Labelled images held in memory, and their way from bytes to [0, 1] on the device."""

import os
from typing import Any

import torch
from torch import Tensor

from datamodules.base import TensorDataModule
from datamodules.loader import TrainingBatch


class ImageDataModule(TensorDataModule):
    """Small labelled images, held in memory as uint8.

    A batch is `(images, labels)`: floats in [0, 1], shape (B, C, H, W), and int64 class indices, shape (B,).
    A subclass writes `load`, which gives uint8 images (or floats in [0, 1]), and may write `augment`.

    Args:
        data_dir: folder of the data sets, torchvision's `root`: files lie in `<data_dir>/<Name>/raw/`.
        batch_size: images per step and process, at least 1.
        val_fraction: share of the official train split held out for validation, in [0, 1); 0 means no validation.
        train_fraction: share of each class of the remaining train split to keep, in (0, 1].
        split_seed: decides the validation images and the kept fraction, at least 0.
        drop_last: leave out the last training batch where it is not full.
        download: fetch the files where they are missing.

    Raises:
        TypeError, ValueError: see `TensorDataModule`.

    Example:
        >>> class Noise(ImageDataModule):
        ...     input_shape = (3, 8, 8)
        ...
        ...     def load(self, train):
        ...         return torch.randint(256, (100, 3, 8, 8), dtype=torch.uint8), torch.zeros(100, dtype=torch.int64)
        ...
        ...     def augment(self, images):
        ...         return images.flip(3)
        >>> data = Noise(batch_size=10)
        >>> data.setup()
        >>> data.image_shape, len(data.train_dataloader())
        ((3, 8, 8), 8)
    """

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 128,
        val_fraction: float = 0.2,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        drop_last: bool = False,
        download: bool = True,
    ) -> None:
        super().__init__(batch_size, val_fraction, train_fraction, split_seed, drop_last)
        self.data_dir = data_dir
        self.download = download

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W), another name of `input_shape`."""
        return self.input_shape

    def augment(self, images: Tensor) -> Tensor:
        """Change a training batch, (B, C, H, W) in [0, 1], on the device; the same range must come out.

        Only batches of the training loop come here. Random numbers are seeded by (seed, batch, process), so that a
        resumed run draws the same ones; put the random state to use as you like.
        """
        return images

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Bytes 0 .. 255 to floats in [0, 1], on the device and in the model's dtype; floats stay as they are."""
        images, labels = super().on_after_batch_transfer(batch, dataloader_idx)
        if batch[0].dtype == torch.uint8:
            images = images.div_(255)
        if isinstance(batch, TrainingBatch) and type(self).augment is not ImageDataModule.augment:
            with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
                torch.manual_seed(self._augmentation_seed())
                images = self.augment(images)
        return images, labels

    def _augmentation_seed(self) -> int:
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        if self.trainer is None:
            return seed
        batch = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1
        return hash((seed, batch, self.trainer.global_rank)) % 2**63  # numbers hash alike in every process
