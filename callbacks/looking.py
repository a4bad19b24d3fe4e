"""Looking at a model and at its data from outside the training loop."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.verbs import HasSplits


def data_of(trainer: Trainer, callback: object) -> HasSplits:
    """The trainer's data module, or a TypeError where it cannot serve splits."""
    datamodule = getattr(trainer, "datamodule", None)
    if not isinstance(datamodule, HasSplits):
        raise TypeError(
            f"{type(callback).__name__} needs a data module with class_names, has_split(split) and "
            f"loader(split, shuffle, sharded), got {type(datamodule).__name__}: pass one of datamodules/"
        )
    return datamodule


def batches(trainer: Trainer, module: LightningModule, split: str, sharded: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """(images, labels) of a split in a fixed order, on the model's device, in [0, 1].

    `sharded=True` gives each process its share, `sharded=False` the whole split to each that asks.
    """
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    for batch in datamodule.loader(split, sharded=sharded):
        moved = datamodule.transfer_batch_to_device(batch, module.device, 0)
        yield datamodule.on_after_batch_transfer(moved, 0)


def first_images(trainer: Trainer, module: LightningModule, split: str, n: int) -> tuple[Tensor, Tensor]:
    """The first `n` images and labels of a split, or all where it holds fewer."""
    xs, ys, count = [], [], 0
    for x, y in batches(trainer, module, split, sharded=False):
        xs.append(x)
        ys.append(y)
        count += len(x)
        if count >= n:
            break
    return torch.cat(xs)[:n], torch.cat(ys)[:n]


@contextmanager
def quiet(module: LightningModule, seed: int = 0) -> Iterator[None]:
    """Look at a model without leaving a trace: eval mode, no gradients, and random numbers of our own.

    Training goes on as if nobody had looked: mode and random state are put back on leaving.

    Args:
        module: the model.
        seed: of the random numbers drawn inside; the same seed gives the same noise each time.
    """
    was_training = module.training
    cuda = [module.device] if module.device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        module.eval()
        try:
            yield
        finally:
            module.train(was_training)
