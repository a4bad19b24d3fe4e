"""An optimizer for models that something else than a gradient moves."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer


class Held(Optimizer):
    """An optimizer that leaves the parameters as they are, for models whose solver moves them.

    Lightning counts its steps, which are batches, and writes checkpoints by that count: without an optimizer the count
    stays 0, and ModelCheckpoint takes every epoch for one that it has saved.

    Args:
        params: the parameters.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> weight.grad = torch.ones(1)
        >>> Held([weight]).step()
        >>> weight.tolist()
        [1.0]
    """

    def __init__(self, params: Iterable[Any]) -> None:
        super().__init__(params, {"lr": 0.0})  # which loggers of rates ask for

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Compute the loss, and nothing else."""
        if closure is None:
            return None
        with torch.enable_grad():
            return closure()
