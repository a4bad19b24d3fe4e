"""What manual optimization leaves to the model: counting steps, refusing flags, and several processes."""

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException


def check_trainer_flags(module: LightningModule) -> None:
    """Raise where the Trainer was given flags that only work with automatic optimization, and name ours.

    Raises:
        MisconfigurationException: the Trainer clips or accumulates gradients.
    """
    for flag, default in (("gradient_clip_val", None), ("accumulate_grad_batches", 1)):
        value = getattr(module.trainer, flag)
        if value not in (default, 0):
            raise MisconfigurationException(
                f"Trainer({flag}={value}) has no effect on {type(module).__name__}, which has two optimizers and steps "
                f"them itself: use the model's own {flag} instead (--model.{flag} {value})"
            )


def allow_unused_parameters(module: LightningModule) -> None:
    """Let DDP accept backward passes that reach one network of two; without this it stops at the second step."""
    strategy = module.trainer.strategy
    if isinstance(strategy, DDPStrategy) and "find_unused_parameters" not in strategy._ddp_kwargs:
        strategy._ddp_kwargs["find_unused_parameters"] = True
        rank_zero_info(
            f"{type(module).__name__} trains one network at a time: DDP is set to find_unused_parameters=True."
        )


def step_uncounted(module: LightningModule, optimizer: LightningOptimizer) -> None:
    """An optimizer step with everything that precision and strategy do, but without Lightning counting it.

    Fused optimizers would unscale the gradients of 16-mixed precision inside their step, too late for who measures and
    clips them before it: so they are unscaled here.
    """
    scaler = getattr(module.trainer.precision_plugin, "scaler", None)
    if scaler is not None and getattr(optimizer.optimizer, "_step_supports_amp_scaling", False):
        scaler.unscale_(optimizer.optimizer)
    module.trainer.strategy.optimizer_step(optimizer.optimizer, lambda: None)


def count_batch(module: LightningModule) -> None:
    """Count one step for this batch, whatever the optimizers did: trainer.global_step is the number of batches."""
    progress = module.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()


def broadcast_buffers(module: LightningModule) -> None:
    """Give every process the running statistics of process 0, which DDP otherwise does only at the next step."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, 0)
