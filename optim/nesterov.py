"""Nesterov's accelerated gradient with the growing momentum of FISTA."""

from collections.abc import Iterable
from math import sqrt
from typing import Any

from torch import Tensor

from optim.base import L1Optimizer


class Nesterov(L1Optimizer):
    """Accelerated gradient descent whose momentum grows from 0 to 1, as FISTA has it.

    With gradient g of weights w, and lambda = 1 before the first step:

        lambda' = (1 + sqrt(1 + 4 lambda^2)) / 2
        y' = w - lr * g
        w  = y' + (lambda - 1) / lambda' * (y' - y)

    The momentum of step k is 0, .28, .43, .53, ..., about 1 - 3 / k. Nothing brings it down again. It is made for exact
    gradients of smooth convex functions: the noise of small batches is added up over ever more steps, by up to k / 3
    at step k, so a rate that is good for a thousand steps may be too high for ten thousand.

    Each parameter counts its own steps: lambda moves on once a step, whatever number of tensors a network has.

    Args:
        params: parameters, or groups of them.
        lr: learning rate, at least 0: 1 / L for a gradient of Lipschitz constant L.
        l1: weight of the L1 decay, at least 0, see `L1Optimizer`; a part of g, where FISTA would shrink y'.

    Raises:
        ValueError: an argument out of its range; no parameters.

    Source: Y. Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)", 1983;
    A. Beck, M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", SIAM Journal
    on Imaging Sciences 2(1), 2009, equations 4.1 to 4.3. `torch.optim.SGD(nesterov=True)` has a fixed momentum.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> optimizer = Nesterov([weight], lr=0.25)
        >>> for _ in range(2):
        ...     weight.grad = torch.tensor(1.0)
        ...     optimizer.step()
        >>> round(weight.item(), 4)
        0.4296
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, l1: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "l1": l1})

    def update(self, weights: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """See `L1Optimizer.update`."""
        if not state:
            state.update(coefficient=1.0, y=weights.detach().clone())  # lambda is a word of Python's
        old, state["coefficient"] = state["coefficient"], (1 + sqrt(1 + 4 * state["coefficient"] ** 2)) / 2
        momentum = (old - 1) / state["coefficient"]
        weights.sub_(gradient, alpha=group["lr"])  # y'
        y = state["y"]
        state["y"] = weights.detach().clone()
        weights.add_(weights - y, alpha=momentum)
