"""Helpers for manual optimization with two optimizers: the count of steps, DDP, running statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lit_models.processes import several


@contextmanager
def counted_once(module: LightningModule) -> Iterator[None]:
    """Context in which all optimizer steps count as one, so that trainer.global_step is the number of batches.

    Lightning counts each step of each optimizer. Its users' remedy is to give an optimizer hooks that do not count; the
    hooks are private, so where they are gone steps are counted as Lightning does, and a warning says so.

    Source: https://github.com/Lightning-AI/pytorch-lightning/issues/17958.

    Example:
        >>> class TwoPlayers(LightningModule):
        ...     def training_step(self, batch, batch_idx):
        ...         with counted_once(self):
        ...             for optimizer in self.optimizers():
        ...                 optimizer.step()
    """
    optimizers: Any = module.optimizers()
    profiler = module.trainer.profiler  # type: ignore[attr-defined]
    progress = getattr(module.trainer.fit_loop.epoch_loop.manual_optimization, "optim_step_progress", None)
    if progress is None or not all(hasattr(optimizer, "_on_before_step") for optimizer in optimizers):
        rank_zero_warn("this version of Lightning counts a step for each optimizer: trainer.global_step is not batches")
        yield
        return
    for optimizer in optimizers:
        optimizer._on_before_step = partial(profiler.start, "optimizer_step")
        optimizer._on_after_step = partial(profiler.stop, "optimizer_step")
    yield
    progress.increment_ready()
    progress.increment_completed()


def allow_unused_parameters(module: LightningModule) -> None:
    """Have DDP accept backward passes that reach only one of two networks; else it stops at the second step.

    The Trainer's own way is `strategy="ddp_find_unused_parameters_true"`, which every user of a GAN would have to know.
    DDP's options are private, so where they are gone a warning names that strategy.

    Source: https://github.com/Lightning-AI/pytorch-lightning/issues/20328.

    Example:
        >>> class TwoPlayers(LightningModule):
        ...     def setup(self, stage):
        ...         allow_unused_parameters(self)
    """
    strategy = module.trainer.strategy
    if not isinstance(strategy, DDPStrategy):
        return
    options = getattr(strategy, "_ddp_kwargs", None)
    if options is None:
        rank_zero_warn(
            'pass strategy="ddp_find_unused_parameters_true": this version of Lightning lets nobody else set it'
        )
    elif "find_unused_parameters" not in options:
        options["find_unused_parameters"] = True
        rank_zero_info(
            f"{type(module).__name__} trains one network at a time: DDP is set to find_unused_parameters=True."
        )


def broadcast_buffers(module: LightningModule) -> None:
    """Broadcast the buffers of process 0, such as running statistics, which DDP does only at the next step.

    Example:
        >>> broadcast_buffers(LightningModule())  # one process has nobody to give them to
    """
    if several():
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, 0)
