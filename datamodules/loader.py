"""Batches of tensors held in memory: which positions (BatchSampler), and the tensors behind them (BatchLoader)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from datamodules.resuming import count_batches


class TrainingBatch(NamedTuple):
    """A batch of the training loop: `(inputs, labels)`, with a type of its own, since only such batches are augmented.

    Example:
        >>> inputs, labels = TrainingBatch(torch.zeros(2, 3), torch.tensor([0, 1]))
        >>> labels.tolist()
        [0, 1]
    """

    inputs: Tensor
    labels: Tensor


@dataclass
class BatchSampler:
    """Yields one process's share of each step's positions, for one epoch at a time.

    All processes draw the same order, cut it into steps of `world_size * batch_size` positions and take every
    `world_size`-th of them. So the shares are disjoint, together they are the whole split, every process makes the
    same number of steps (uneven numbers would hang DDP), and step k sees the images that one process with
    `world_size` times the batch would see.

    The order is a function of (seed, epoch) alone: a run resumed at epoch k sees what the uninterrupted one saw.

    Args:
        size: images in the split.
        batch_size: images per process and step, at least 1; the last step may be smaller.
        shuffle: a new order each epoch; otherwise 0, 1, 2, ...
        seed: decides the orders, at least 0.
        drop_last: leave out a last step that is not full.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        ValueError: there is not a single image for each process, or not one full step with `drop_last`.

    Example:
        >>> [step.tolist() for step in BatchSampler(size=5, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    size: int
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    drop_last: bool = False
    rank: int = 0
    world_size: int = 1
    epoch: int = 0

    def __post_init__(self) -> None:
        if self.size < self.world_size:
            raise ValueError(
                f"the split holds {self.size} images, fewer than the {self.world_size} processes: "
                "use fewer devices or a larger split"
            )
        if self.drop_last and self.size < self.batch_size * self.world_size:
            raise ValueError(
                f"batch_size={self.batch_size} on {self.world_size} process(es) with drop_last=True leaves no batch of "
                f"a split of {self.size} images: use batch_size <= {self.size // self.world_size} or drop_last=False"
            )

    @property
    def sampler(self) -> "BatchSampler":
        """Itself: Lightning tells the epoch to `loader.batch_sampler.sampler`, as torch's loaders have it."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.bounds()) - 1

    def __iter__(self) -> Iterator[Tensor]:
        return (share for share, _ in self.steps())

    def steps(self, begin: int = 0) -> Iterator[tuple[Tensor, int]]:
        """This process's share of each step, and where the step ends in the epoch's order, from `begin` on."""
        order = self._order()
        for start, end in pairwise(self.bounds(begin)):
            step = order[start:end]
            yield step if self.world_size == 1 else step[self.rank :: self.world_size], end

    def bounds(self, begin: int = 0) -> list[int]:
        """Where steps begin and end in the epoch's order, from `begin` on, over all processes.

        A remainder too small to give each process an image joins the step before.
        """
        length = self.batch_size * self.world_size
        full, rest = divmod(self.size - begin, length)
        partial = not self.drop_last and rest >= (self.world_size if full else 1)
        starts = [begin + length * step for step in range(full + partial)]
        return [*starts, begin + length * full if self.drop_last else self.size]

    def _order(self) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.size)
        mixed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)[0])
        return torch.randperm(self.size, generator=torch.Generator().manual_seed(mixed))


@dataclass
class BatchLoader:
    """Iterates over (inputs, labels) batches of a split, each one index operation on tensors in memory.

    Inputs have the dtype they are held in (uint8 for images) and labels are int64, shape (B,).
    To Lightning this looks like a torch DataLoader without `sampler`, which could be taken for one that shuffles
    validation. It tells the epoch to `batch_sampler.sampler`.

    A checkpoint from the middle of an epoch holds `state_dict()`: how many images of the epoch's order all processes
    have seen. A resumed run goes on with the next one, also with another batch size or number of processes.

    Args:
        inputs: (N, ...) what `TensorDataModule.load` gave.
        labels: (N,) int64.
        index: (size,) the split: which of the N it holds.
        batch_sampler: which positions of `index` make a batch.
        training: yield each batch as a `TrainingBatch`.
        trainer: told how many batches are over where a run is resumed with another batch size.

    Example:
        >>> sampler = BatchSampler(size=3, batch_size=2)
        >>> loader = BatchLoader(torch.eye(4), torch.arange(4), torch.tensor([1, 2, 3]), sampler)
        >>> [labels.tolist() for inputs, labels in loader]
        [[1, 2], [3]]
    """

    inputs: Tensor
    labels: Tensor
    index: Tensor
    batch_sampler: BatchSampler
    training: bool = False
    trainer: Trainer | None = None
    _seen: tuple[int, int] = (0, 0)  # epoch, images seen in it
    _resumed: bool = False

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, seen = self._seen
        begin = seen if self._resumed and epoch == self.batch_sampler.epoch else 0
        self._resumed = False
        for share, end in self.batch_sampler.steps(begin):
            self._seen = (self.batch_sampler.epoch, end)
            rows = self.index[share]
            # index_select copies whole images, where inputs[rows] goes byte by byte: a tenth of the time
            batch = self.inputs.index_select(0, rows), self.labels.index_select(0, rows)
            yield TrainingBatch(*batch) if self.training else batch

    def state_dict(self) -> dict[str, Any]:
        """How many images of which epoch all processes have seen, and what their order depends on."""
        epoch, seen = self._seen
        return {"epoch": epoch, "seen": seen, "order": self._order}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Leave out, in that epoch, what was seen before; where that cannot be, begin the epoch anew and say so."""
        sampler = self.batch_sampler
        # checkpoints of earlier versions count batches, of a batch size that is taken for today's
        seen = state.get("seen", state.get("given", 0) * sampler.batch_size * sampler.world_size)
        same_order = state.get("order", self._order) == self._order
        if not same_order or (not sampler.drop_last and 0 < sampler.size - seen < sampler.world_size):
            reason = "fewer images are left than processes" if same_order else f"{state['order']} is now {self._order}"
            rank_zero_warn(f"epoch {state['epoch']} begins anew, its images are seen again: {reason}")
            seen = 0
        self._seen, self._resumed = (state["epoch"], seen), True
        if self.trainer is not None:
            count_batches(self.trainer, len(sampler) - (len(sampler.bounds(seen)) - 1))

    @property
    def _order(self) -> dict[str, int]:
        return {"size": self.batch_sampler.size, "seed": self.batch_sampler.seed, "shuffle": self.batch_sampler.shuffle}
