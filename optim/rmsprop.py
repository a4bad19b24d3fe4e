"""RMSprop: gradients divided by the root of their running mean square."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from optim.base import L1Optimizer


class RMSprop(L1Optimizer):
    """Gradient descent with each gradient divided by its root mean square over the last steps.

    With gradient g of weights w:

        v = alpha * v + (1 - alpha) * g^2
        w = w - lr * g / (sqrt(v) + eps)

    `alpha` is the share of the old: with .95 about the last twenty steps count. With the two shares exchanged v is
    almost g^2, and a step almost lr * sign(g).

    Args:
        params: parameters, or groups of them.
        lr: learning rate, at least 0.
        alpha: share of v that a step keeps, in [0, 1).
        eps: added to the root, above 0.
        l1: weight of the L1 decay, at least 0, see `L1Optimizer`.

    Raises:
        ValueError: an argument out of its range; no parameters.

    Source: T. Tieleman, G. Hinton, "Lecture 6.5: rmsprop", COURSERA, 2012. Equal to `torch.optim.RMSprop`.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> weight.grad = torch.tensor([100.0, 0.01])
        >>> RMSprop([weight], lr=0.25, alpha=0.75).step()
        >>> weight.tolist()
        [0.5, 0.5000009536743164]
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, alpha: float = 0.95, eps: float = 1e-8, l1: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "l1": l1})

    def update(self, weights: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """See `L1Optimizer.update`."""
        if not state:
            state["mean_square"] = torch.zeros_like(weights)
        alpha = group["alpha"]
        mean_square = state["mean_square"].mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
        weights.addcdiv_(gradient, mean_square.sqrt().add_(group["eps"]), value=-group["lr"])
