"""Batches of images held in memory: which indices (BatchSampler), and the tensors behind them (BatchLoader)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor


@dataclass
class BatchSampler:
    """One process's share of each batch of indices, for one epoch at a time.

    All processes draw the same order, cut it into steps of `world_size * batch_size` indices and take every
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

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[Tensor]:
        order, starts = self._order(), self._starts()
        end = len(starts) * self._step if self.drop_last else self.size
        for start, stop in zip(starts, [*starts[1:], end], strict=True):
            step = order[start:stop]
            yield step if self.world_size == 1 else step[self.rank :: self.world_size]

    @property
    def _step(self) -> int:
        return self.batch_size * self.world_size

    def _starts(self) -> range:
        """First position of each step. A remainder too small to give each process an image joins the step before."""
        full, rest = divmod(self.size, self._step)
        partial = not self.drop_last and rest >= (self.world_size if full else 1)
        return range(0, (full + partial) * self._step, self._step)

    def _order(self) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.size)
        mixed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)[0])
        return torch.randperm(self.size, generator=torch.Generator().manual_seed(mixed))


@dataclass
class BatchLoader:
    """Iterates over (images, labels) batches, each one index operation on tensors in memory.

    Images stay uint8 (B, C, H, W) and labels int64 (B,) here; they become floats on the device, after the transfer.
    To Lightning this looks like a torch DataLoader without automatic batching: it finds `sampler`, tells it the epoch,
    and expects `batch_sampler` to be None. A checkpoint from the middle of an epoch holds `state_dict()`, so that a
    resumed run goes on with the batch that comes next.
    """

    images: Tensor
    labels: Tensor
    sampler: BatchSampler
    batch_sampler: None = None
    _given: int = 0
    _resumed: tuple[int, int] | None = None  # (epoch, batches given in it) of the checkpoint

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        resumed_epoch, given = self._resumed or (-1, 0)
        self._resumed = None
        self._given = given if resumed_epoch == self.sampler.epoch else 0  # at an epoch's end the next begins anew
        for index in islice(self.sampler, self._given, None):
            self._given += 1
            # index_select copies whole images, where images[index] goes byte by byte: a tenth of the time
            yield self.images.index_select(0, index), self.labels.index_select(0, index)

    def state_dict(self) -> dict[str, int]:
        """How many batches of which epoch were given out."""
        return {"epoch": self.sampler.epoch, "given": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave out, in that epoch, what was given out before."""
        self._resumed = (state["epoch"], state["given"])
