"""Gradient descent with momentum."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from optim.base import L1Optimizer


class Momentum(L1Optimizer):
    """Gradient descent along a decaying sum of the gradients so far.

    With gradient g of weights w:

        v = momentum * v + g
        w = w - lr * v

    A steady gradient thus moves the weights by lr / (1 - momentum) times itself.

    Args:
        params: parameters, or groups of them.
        lr: learning rate, at least 0.
        momentum: share of v that a step keeps, in [0, 1); 0 is plain gradient descent.
        l1: weight of the L1 decay, at least 0, see `L1Optimizer`.

    Raises:
        ValueError: an argument out of its range; no parameters.

    Source: B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964. Equal to
    `torch.optim.SGD(momentum=...)`.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> optimizer = Momentum([weight], lr=0.25, momentum=0.5)
        >>> for _ in range(2):
        ...     weight.grad = torch.tensor(1.0)
        ...     optimizer.step()
        >>> weight.item()
        0.375
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.9, l1: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "l1": l1})

    def update(self, weights: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """See `L1Optimizer.update`."""
        if not state:
            state["velocity"] = torch.zeros_like(weights)
        velocity = state["velocity"].mul_(group["momentum"]).add_(gradient)
        weights.sub_(velocity, alpha=group["lr"])
