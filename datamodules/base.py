"""Labelled tensors held in memory: splits, epoch order and the shares of several processes."""

import os
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from datamodules.loader import BatchLoader, BatchSampler
from datamodules.splits import stratified_subset, train_val_indices


class TensorDataModule(LightningDataModule):
    """Labelled tensors held in memory, and the data module under all others here: images, tables, codes.

    A batch is `(inputs, labels)`: floats of the model's dtype, shape (B, *input_shape), and int64 class indices,
    shape (B,). A subclass writes `load` and says what it holds, in its class or, where that is read from files, in its
    `__init__`: `input_shape`, `num_classes` and `class_names` (0 and () for data without classes). Data without classes
    may have floats for labels, (B,): numbers to be predicted.

    The official test split is kept apart: it is what `test` and `predict` see, and nothing else sees it.
    `split_seed` alone decides what is validation. The order of training epoch k depends on (seed, k) alone, where seed
    is what `seed_everything` was given (0 where it was not called). With `Trainer(overfit_batches=...)` training is not
    shuffled.

    After `setup`, `tensors` holds what `load` gave, and `splits` which of it is "train", "val" and "test": index
    tensors, so that no split is a copy.

    Args:
        batch_size: examples per step and process, at least 1.
        val_fraction: share of the official train split held out for validation, in [0, 1); 0 means no validation.
        train_fraction: share of each class of the remaining train split to keep, in (0, 1].
        split_seed: decides the validation examples and the kept fraction, at least 0.
        drop_last: leave out the last training batch where it is not full.

    Raises:
        TypeError: labels are no whole numbers, though there are classes.
        ValueError: an argument is out of its range; inputs have another shape than `input_shape`, or another number
            than labels; or (when a loader is made) `batch_size` is larger than the train split with `drop_last`.

    Example:
        >>> class Points(TensorDataModule):
        ...     input_shape, num_classes, class_names = (2,), 2, ("left", "right")
        ...
        ...     def load(self, train):
        ...         x = torch.linspace(-1, 1, 100 if train else 20).unsqueeze(1).repeat(1, 2)
        ...         return x, x[:, 0] > 0
        >>> data = Points(batch_size=32)
        >>> data.setup()
        >>> inputs, labels = next(iter(data.train_dataloader()))
        >>> inputs.shape, labels.dtype
        (torch.Size([32, 2]), torch.int64)
    """

    input_shape: tuple[int, ...] = ()
    num_classes: int = 0
    class_names: tuple[str, ...] = ()

    def __init__(
        self,
        batch_size: int = 128,
        val_fraction: float = 0.2,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        drop_last: bool = False,
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
        self.batch_size = batch_size
        self.val_fraction = val_fraction
        self.train_fraction = train_fraction
        self.split_seed = split_seed
        self.drop_last = drop_last
        self.tensors: dict[str, tuple[Tensor, Tensor]] = {}
        self.splits: dict[str, Tensor] = {}

    @property
    def num_outputs(self) -> int:
        """What a model must give for each example: a value a class, or one number where there are no classes."""
        return self.num_classes or 1

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """The official train or test split: inputs (N, *input_shape) and labels (N,), whole numbers or bool.

        Without classes they may be floats.
        """
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Read the files once and cut the splits; every process does this for itself, with the same result."""
        if self.splits:
            return
        self.tensors = self.read()
        splits = self.cut()
        labels = self.tensors["train"][1]
        if len(splits["train"]) == 0:
            raise ValueError(
                f"val_fraction={self.val_fraction} leaves no training image of {len(splits['val'])}: "
                "use a smaller one, or 0"
            )
        if self.train_fraction < 1:
            train = splits["train"]
            is_class = labels.ndim == 1 and not labels.is_floating_point()
            classes = labels[train] if is_class else torch.zeros_like(train)
            kept = stratified_subset(classes, self.train_fraction, self.split_seed)
            splits["train"] = train[kept]
        self.splits = splits

    def read(self) -> dict[str, tuple[Tensor, Tensor]]:
        """What `tensors` becomes: inputs and labels of "train", which holds validation too, and of "test"."""
        return {"train": self._checked(*self.load(train=True)), "test": self._checked(*self.load(train=False))}

    def cut(self) -> dict[str, Tensor]:
        """What `splits` becomes, before `train_fraction`: indices into `tensors`, by name."""
        train, val = train_val_indices(len(self.tensors["train"][1]), self.val_fraction, self.split_seed)
        return {"train": train, "val": val, "test": torch.arange(len(self.tensors["test"][1]))}

    def has_split(self, split: str) -> bool:
        """Whether `split` ("train", "val" or "test") holds anything."""
        return split in self.splits and len(self.splits[split]) > 0

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """A copy of one split: inputs as `load` gave them, (N, *input_shape), and labels, (N,).

        Raises:
            ValueError: `name` is not one of the splits.
        """
        inputs, labels = self._held(name)
        return inputs.index_select(0, self.splits[name]), labels.index_select(0, self.splits[name])

    def loader(self, split: str, shuffle: bool = False, sharded: bool = True) -> BatchLoader:
        """Batches of one split; `sharded=False` gives every process the whole of it.

        Raises:
            ValueError: `split` is not one of the splits.
        """
        inputs, labels = self._held(split)
        trainer = self.trainer if sharded else None
        sampler = BatchSampler(
            size=len(self.splits[split]),
            batch_size=self.batch_size,
            shuffle=shuffle,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 0)),
            drop_last=shuffle and self.drop_last,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return BatchLoader(inputs, labels, self.splits[split], sampler)

    def train_dataloader(self) -> BatchLoader:
        """Training batches; shuffled, but for `overfit_batches`, which means the same batches in each epoch."""
        loader = self.loader("train", shuffle=not getattr(self.trainer, "overfit_batches", 0))
        loader.training, loader.trainer = True, self.trainer
        return loader

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Validation batches; none where `val_fraction` is 0."""
        return self.loader("val") if self.has_split("val") else []

    def test_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Batches of the official test split; none where it is empty."""
        return self.loader("test") if self.has_split("test") else []

    def predict_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Batches of the official test split; none where it is empty."""
        return self.test_dataloader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Inputs to floats of the model's dtype, on the device."""
        inputs, labels = batch
        model = self.trainer.lightning_module if self.trainer else None
        return inputs.to(model.dtype if model else torch.float32), labels

    def _held(self, split: str) -> tuple[Tensor, Tensor]:
        """The tensors that the split's indices point into: validation is a part of the official train split."""
        if split not in self.splits:
            raise ValueError(f"unknown split {split!r}: use one of {list(self.splits)} (after setup())")
        return self.tensors["train" if split == "val" else split]

    def _checked(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        name = type(self).__name__
        numbers = labels.is_floating_point() and not self.num_classes  # to be predicted
        if labels.is_complex() or (labels.is_floating_point() and not numbers):
            raise TypeError(f"{name}.load gave labels of {labels.dtype}: give class indices, integers or bool")
        if len(inputs) != len(labels):
            raise ValueError(f"{name}.load gave {len(inputs)} inputs but {len(labels)} labels: give one label an input")
        if tuple(inputs.shape[1:]) != self.input_shape:
            raise ValueError(
                f"{name}.load gave inputs of shape {tuple(inputs.shape[1:])}, expected input_shape={self.input_shape}"
            )
        return inputs, labels if numbers else labels.long()
