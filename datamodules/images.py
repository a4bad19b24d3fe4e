"""Labelled images held in memory, and their way from bytes to [0, 1] on the device."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.augmentation import Augmentation
from datamodules.base import TensorDataModule
from datamodules.loader import BatchLoader, TrainingBatch


class ImageDataModule(TensorDataModule):
    """Small labelled images, held in memory as uint8.

    A batch is `(images, labels)`: floats in [0, 1], shape (B, C, H, W), and int64 class indices, shape (B,).
    A subclass writes `load`, which gives uint8 images (or floats in [0, 1]), and may write `augment`.

    Args:
        data_dir: folder of the data sets, each in a folder of its own.
        batch_size: images per step and process, at least 1.
        val_fraction: share of the official train split held out for validation, in [0, 1); 0 means no validation.
        train_fraction: share of each class of the remaining train split to keep, in (0, 1].
        split_seed: decides the validation images and the kept fraction, at least 0.
        drop_last: leave out the last training batch where it is not full.
        download: fetch the files where they are missing.
        augment: what changes training batches, and no others: modules that take and give images (B, C, H, W) in
            [0, 1], such as torchvision.transforms.v2.RandomHorizontalFlip; in a config a list of `class_path` with
            `init_args`. They run on the device, one after the other. A batch is given to them in up to 16 random parts,
            and what they draw at random they draw once for each part.
        binarize: draw each pixel as 0 or 1, with its grey value as the probability of 1: what nats of binary images are
            about. The training loop's images are drawn afresh in each epoch, after `augment`; all others, also those of
            the train split that are read elsewhere, once, the same in every run. For grey images only.

    Raises:
        TypeError, ValueError: see `TensorDataModule`; also where colour images, or floats outside [0, 1], are to be
            binarized, or `augment` holds something that is no module, or changes the images' shape or range.

    Source of `binarize`: R. Salakhutdinov, I. Murray, ICML 2008, for fixed draws; Y. Burda, R. Grosse,
    R. Salakhutdinov, arXiv:1509.00519, for draws of each epoch.

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
        augment: Sequence[nn.Module] = (),
        binarize: bool = False,
    ) -> None:
        super().__init__(batch_size, val_fraction, train_fraction, split_seed, drop_last)
        self.data_dir = data_dir
        self.download = download
        self.augmentation = Augmentation(augment)
        self.binarize = binarize
        self._grey: Tensor | None = None  # the train split's images as `load` gave them, where `tensors` has draws

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W), another name of `input_shape`."""
        return self.input_shape

    def setup(self, stage: str | None = None) -> None:
        """See `TensorDataModule.setup`; with `binarize` the draws that stay are made here."""
        if self.splits:
            return
        if self.binarize and self.input_shape[0] != 1:
            raise ValueError(
                f"binarize=True is for grey images, got images of {self.input_shape[0]} channels: leave it out, or "
                "make the images grey"
            )
        super().setup(stage)
        if self.binarize:
            self._fix_draws()

    def augment(self, images: Tensor) -> Tensor:
        """Change a training batch, (B, C, H, W) in [0, 1], on the device; the same shape and range must come out.

        By default what the argument `augment` says. Only batches of the training loop come here. Random numbers are
        seeded by (seed, batch, process), so that a resumed run draws the same ones; put the random state to use as you
        like.
        """
        return self.augmentation(images)

    @property
    def augments(self) -> bool:
        """Whether training batches are changed."""
        return bool(self.augmentation) or type(self).augment is not ImageDataModule.augment

    def augment_batch(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """`augment` of a training batch, whose labels stay; data whose labels are places change both here."""
        return self.augment(images), labels

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Bytes 0 .. 255 to floats in [0, 1], on the device and in the model's dtype; floats stay as they are."""
        images, labels = super().on_after_batch_transfer(batch, dataloader_idx)
        if batch[0].dtype == torch.uint8:
            images = images.div_(255)
        training = isinstance(batch, TrainingBatch)
        if training and self.augments:
            with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
                torch.manual_seed(self._augmentation_seed())
                images, labels = self.augment_batch(images, labels)
        if training and self.binarize:
            images = torch.bernoulli(images.clamp(0, 1), generator=self._generator(images.device))
        return images, labels

    def train_dataloader(self) -> BatchLoader:
        """See `TensorDataModule.train_dataloader`; with `binarize` its images are grey, and drawn on the device."""
        loader = super().train_dataloader()
        if self._grey is not None:
            loader.inputs = self._grey
        return loader

    def _fix_draws(self) -> None:
        """Binarize all images, each by numbers of its own that do not depend on the splits or on batches."""
        self._grey = self.tensors["train"][0]
        for name, (images, labels) in self.tensors.items():
            if name == "test" and images is self._grey:  # a folder's splits are parts of the same pictures
                self.tensors[name] = self.tensors["train"][0], labels
                continue
            white = 255 if images.dtype == torch.uint8 else 1
            if white == 1 and len(images) and not 0 <= float(images.min()) <= float(images.max()) <= 1:
                raise ValueError(
                    f"binarize=True takes pixels for probabilities, which must be in [0, 1], got values from "
                    f"{float(images.min()):.4g} to {float(images.max()):.4g}: scale what load() gives"
                )
            noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
            self.tensors[name] = (noise * white < images).to(images.dtype) * white, labels

    def _generator(self, device: torch.device) -> torch.Generator | None:
        """Random numbers of this training batch; the global ones where there is no Trainer to count batches."""
        return torch.Generator(device).manual_seed(self._augmentation_seed()) if self.trainer is not None else None

    def _augmentation_seed(self) -> int:
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        if self.trainer is None:
            return seed
        batch = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1
        return hash((seed, batch, self.trainer.global_rank)) % 2**63  # numbers hash alike in every process
