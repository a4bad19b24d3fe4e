"""A model's evaluation mode, for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule


@contextmanager
def evaluation_mode(module: LightningModule, seed: int = 0) -> Iterator[None]:
    """Context in which a model is in eval mode, without gradients, and draws random numbers from a seed.

    Training goes on as if nothing had been in between: mode and random state are put back on leaving.

    Args:
        module: the model.
        seed: of the random numbers drawn inside; the same seed gives the same noise each time.

    Example:
        >>> model = LightningModule().train()
        >>> with evaluation_mode(model):
        ...     print(model.training, torch.is_grad_enabled())
        False False
        >>> model.training
        True
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
