"""Muon for weight matrices, Adam for all other parameters, as one optimizer."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from optim.loop import ParameterLoop

_STEPS = 5  # of the Newton-Schulz iteration
_COEFFICIENTS = 3.4445, -4.7750, 2.0315  # Jordan's: singular values from about 0.01 on come near 1


class MuonWithAdam(ParameterLoop):
    """Muon for parameters of two dimensions, Adam for all others: biases, convolutions.

    Muon takes a step along the momentum of the gradient, with all its singular values brought near 1: directions that
    the gradient rarely shows are learned as fast as those that it always shows.

    Args:
        params: parameters, or groups of them; each group is split into one of matrices and one of the rest, for which a
            group's `lr` and `adam_lr` hold. A group with `"matrices": False` is Adam's as a whole.
        lr: learning rate of the matrices, at least 0; it is multiplied by sqrt(rows / columns) where that is above 1.
        adam_lr: learning rate of the rest, at least 0.
        momentum: share of the old gradients in the momentum (Nesterov's), in [0, 1).
        betas: of Adam.
        eps: of Adam.

    A scheduler moves both rates by the same factor; OneCycleLR and CyclicLR, which set one rate for all, do not.

    Raises:
        ValueError: a rate is negative, `momentum` or a beta is outside [0, 1), or there are no parameters.

    Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, with its coefficients
    of the Newton-Schulz iteration; D. P. Kingma, J. Ba, arXiv:1412.6980, for Adam. `torch.optim.Muon` does not take
    biases.

    Example:
        >>> optimizer = MuonWithAdam(torch.nn.Linear(4, 3).parameters())
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.02, 0.001]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        adam_lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        for name, share in (("momentum", momentum), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be in [0, 1), got {share}")
        self._rates = {"lr": lr, "adam_lr": adam_lr}  # of groups that have none of their own
        super().__init__(params, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, as a group of matrices and a group of the rest.

        Args:
            param_group: `params`, and settings of their own.
        """
        group = self._rates | param_group
        for name in self._rates:
            if not group[name] >= 0:
                raise ValueError(f"{name} must be at least 0, got {group[name]}")
        adam_lr = group.pop("adam_lr")
        parameters = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        parts: dict[bool, list[Any]] = {True: [], False: []}
        for parameter in parameters:
            parts[group.get("matrices", True) and _dimensions(parameter) == 2].append(parameter)
        for matrices, part in parts.items():
            if part:
                rate = group["lr"] if matrices else adam_lr
                super().add_param_group(group | {"params": part, "matrices": matrices, "lr": rate})

    def step_one(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """See `ParameterLoop.step_one`; Muon's or Adam's."""
        (self._muon if group["matrices"] else self._adam)(parameter, gradient, group)

    def _muon(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"])
        rows, columns = parameter.shape
        parameter.add_(orthogonalize(ahead), alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))

    def _adam(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(gradient), mean_square=torch.zeros_like(gradient))
        state["step"] += 1
        first, second = group["betas"]
        mean = state["mean"].lerp_(gradient, 1 - first)
        mean_square = state["mean_square"].lerp_(gradient.square(), 1 - second)
        deviation = (mean_square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        parameter.addcdiv_(mean, deviation, value=-group["lr"] / (1 - first ** state["step"]))


def orthogonalize(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought near 1, to about 0.7 to 1.2, by five Newton-Schulz steps.

    Args:
        matrix: (rows, columns), in any precision; the steps are made in float32 or wider.

    Example:
        >>> orthogonalize(torch.diag(torch.tensor([5.0, 1.0]))).diagonal().round().tolist()
        [1.0, 1.0]
    """
    x = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    x = x / (x.norm() + 1e-7)  # no singular value above 1, where the iteration would diverge
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    a, b, c = _COEFFICIENTS
    for _ in range(_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.T).to(matrix.dtype)


def _dimensions(parameter: Tensor | tuple[str, Tensor]) -> int:
    """Of a parameter, or of one with its name."""
    return (parameter[1] if isinstance(parameter, tuple) else parameter).ndim
