"""Adam: a running mean of gradients, divided by the root of their running mean square."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from optim.base import L1Optimizer


class Adam(L1Optimizer):
    """Gradient descent along the mean of the last gradients, divided by their root mean square.

    With gradient g of weights w, at step k:

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        w = w - lr * m / (1 - beta1^k) / (sqrt(v / (1 - beta2^k)) + eps)

    Both means begin at 0 and are too small at first, which the powers of beta correct.

    Args:
        params: parameters, or groups of them.
        lr: learning rate, at least 0.
        betas: shares of m and of v that a step keeps, in [0, 1).
        eps: added to the root, above 0.
        l1: weight of the L1 decay, at least 0, see `L1Optimizer`.

    Raises:
        ValueError: an argument out of its range; no parameters.

    Source: D. P. Kingma, J. Ba, arXiv:1412.6980, algorithm 1. Equal to `torch.optim.Adam`.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> weight.grad = torch.tensor([100.0, 0.01])
        >>> Adam([weight], lr=0.25).step()
        >>> [round(value, 4) for value in weight.tolist()]
        [0.75, 0.75]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        l1: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "l1": l1})

    def update(self, weights: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """See `L1Optimizer.update`."""
        if not state:
            state.update(step=0, mean=torch.zeros_like(weights), mean_square=torch.zeros_like(weights))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        mean = state["mean"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        mean_square = state["mean_square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        deviation = (mean_square / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        weights.addcdiv_(mean, deviation, value=-group["lr"] / (1 - beta1 ** state["step"]))
