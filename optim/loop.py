"""The loop that the optimizers written out here share: each parameter that has a gradient, one after the other."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class ParameterLoop(Optimizer):
    """Optimizer whose subclass writes the step of one parameter, `step_one`.

    Example:
        >>> class Descent(ParameterLoop):
        ...     def step_one(self, parameter, gradient, group):
        ...         parameter.sub_(gradient, alpha=group["lr"])
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> weight.grad = torch.tensor([2.0])
        >>> Descent([weight], {"lr": 0.25}).step()
        >>> weight.tolist()
        [0.5]
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all parameters that have a gradient.

        Args:
            closure: computes the loss and its gradients anew.

        Returns:
            The closure's loss; None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.step_one(parameter, parameter.grad, group)
        return loss

    def step_one(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Change `parameter` in place.

        Args:
            parameter: any shape.
            gradient: of the loss, same shape.
            group: settings of this parameter's group.
        """
        raise NotImplementedError
