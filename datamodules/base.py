"""What all data modules share: splits, epoch order, DDP shares and the step from bytes to [0, 1]."""

import os
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from datamodules.loader import BatchLoader, BatchSampler
from datamodules.splits import stratified_subset, train_val_indices


class ImageDataModule(LightningDataModule):
    """Small labelled images, held in memory as one uint8 tensor a split.

    A batch is `(images, labels)`: floats in [0, 1], shape (B, C, H, W), and int64 class indices, shape (B,).
    A subclass names its `image_shape`, `num_classes` and `class_names` and writes `load`.

    The official test split is kept apart: it is what `test` and `predict` see, and nothing else sees it.
    `split_seed` alone decides what is validation. The order of training epoch k depends on (seed, k) alone, where seed
    is what `seed_everything` was given (0 where it was not called).

    Args:
        data_dir: folder of the data sets, torchvision's `root`: files lie in `<data_dir>/<Name>/raw/`.
        batch_size: images per step and process, at least 1.
        val_fraction: share of the official train split held out for validation, in [0, 1); 0 means no validation.
        train_fraction: share of each class of the remaining train split to keep, in (0, 1].
        split_seed: decides the validation images and the kept fraction, at least 0.
        drop_last: leave out the last training batch where it is not full.
        download: fetch the files where they are missing.

    Raises:
        ValueError: an argument is out of its range, or (when a loader is made) `batch_size` is larger than the train
            split with `drop_last`.
    """

    image_shape: ClassVar[tuple[int, int, int]]
    num_classes: ClassVar[int]
    class_names: ClassVar[tuple[str, ...]]

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
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= val_fraction < 1:
            raise ValueError(f"val_fraction must be in [0, 1), got {val_fraction}: use 0 for no validation split")
        if not 0 < train_fraction <= 1:
            raise ValueError(f"train_fraction must be in (0, 1], got {train_fraction}: use 1 for the whole train split")
        if split_seed < 0:
            raise ValueError(f"split_seed must be at least 0, got {split_seed}")
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.val_fraction = val_fraction
        self.train_fraction = train_fraction
        self.split_seed = split_seed
        self.drop_last = drop_last
        self.download = download
        self._codes_of: object = None
        self.splits: dict[str, tuple[Tensor, Tensor]] = {}

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """The official train or test split: uint8 images (N, C, H, W) and int64 labels (N,)."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Read the files once and cut the splits; every process does this for itself, with the same result."""
        if not self.splits:
            images, labels = self.load(train=True)
            train, val = train_val_indices(len(labels), self.val_fraction, self.split_seed)
            if len(train) == 0:
                raise ValueError(
                    f"val_fraction={self.val_fraction} leaves no training image of {len(labels)}: use a smaller one"
                )
            if self.train_fraction < 1:
                train = train[stratified_subset(labels[train], self.train_fraction, self.split_seed)]
            self.splits = {
                # without validation there is nothing to cut, and no second copy to hold meanwhile
                "train": (images, labels) if len(train) == len(labels) else _pick(images, labels, train),
                "val": _pick(images, labels, val),
                "test": self.load(train=False),
            }

    def encode_images(self, split: str, encode: Callable[[Tensor], Tensor], owner: object) -> Tensor:
        """Replace the images of a split by codes, each computed once and kept in memory.

        Args:
            split: "train", "val" or "test"; one that holds no image, or codes already, is left as it is.
            encode: images (N, C, H, W) in [0, 1] to codes (N, D) on the CPU.
            owner: whose codes they are.

        Returns:
            What the split holds now, (N, D).

        Raises:
            ValueError: the images were replaced by the codes of another owner before.
        """
        if self._codes_of not in (None, owner):
            raise ValueError("this data module holds the codes of another model: make a new one for this model")
        self._codes_of = owner
        images, labels = self.splits[split]
        if not images.is_floating_point() and self.has_split(split):
            images = torch.cat([encode(part.float() / 255) for part in images.split(500)])
            self.splits[split] = (images, labels)
        return images

    def has_split(self, split: str) -> bool:
        """Whether `split` ("train", "val" or "test") holds any image."""
        return split in self.splits and len(self.splits[split][1]) > 0

    def loader(self, split: str, shuffle: bool = False, sharded: bool = True) -> BatchLoader:
        """Batches of one split; `sharded=False` gives every process the whole of it.

        Raises:
            ValueError: `split` is not one of the splits.
        """
        if split not in self.splits:
            raise ValueError(f"unknown split {split!r}: use one of {list(self.splits)} (after setup())")
        images, labels = self.splits[split]
        trainer = self.trainer if sharded else None
        sampler = BatchSampler(
            size=len(labels),
            batch_size=self.batch_size,
            shuffle=shuffle,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 0)),
            drop_last=shuffle and self.drop_last,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return BatchLoader(images, labels, sampler)

    def train_dataloader(self) -> BatchLoader:
        """Shuffled training batches."""
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Validation batches; none where `val_fraction` is 0."""
        return self.loader("val") if self.has_split("val") else []

    def test_dataloader(self) -> BatchLoader:
        """Batches of the official test split."""
        return self.loader("test")

    def predict_dataloader(self) -> BatchLoader:
        """Batches of the official test split."""
        return self.loader("test")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Bytes 0 .. 255 to floats in [0, 1], on the device and in the model's dtype; codes stay as they are."""
        images, labels = batch
        model = self.trainer.lightning_module if self.trainer else None
        floats = images.to(model.dtype if model else torch.float32)
        return floats if images.is_floating_point() else floats.div_(255), labels


def _pick(images: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    return images.index_select(0, index), labels.index_select(0, index)
