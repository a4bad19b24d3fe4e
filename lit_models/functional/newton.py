"""A damped Newton step: its direction, and the line search that keeps the loss from growing."""

from collections.abc import Callable

import torch
from torch import Tensor

_CONVERGED = 1e-12  # of the loss
_SUFFICIENT = 1e-4  # share of the fall that the slope promises
_HALVINGS = 40


def newton_direction(gradient: Tensor, hessian: Tensor) -> Tensor:
    """-(H + e diag(H))^-1 g with the least e for which that is positive definite, of the gradient's shape.

    e begins at a rounding error and grows tenfold. So along a direction without curvature (a constant column, a number
    added to all logits, more columns than rows), where the gradient is 0, nothing moves. It is a share of each
    parameter's own curvature, so that columns in large units do not hold up those in small ones.

    Args:
        gradient: any shape, P values.
        hessian: (P, P), or of the gradient's shape for a diagonal one.

    Returns:
        The direction; zeros where H is 0 or not finite, where there is no step to make.

    Example:
        >>> newton_direction(torch.tensor([2.0, 0.0]), torch.tensor([[4.0, 0.0], [0.0, 0.0]]))
        tensor([-0.5000, -0.0000])
    """
    largest = float(hessian.abs().max())
    if not 0 < largest < torch.inf:
        return torch.zeros_like(gradient)
    least = torch.finfo(hessian.dtype).eps ** 0.75
    if hessian.shape == gradient.shape:
        return -gradient / hessian.clamp(min=least * largest)
    diagonal = hessian.diagonal()
    unit = torch.where(diagonal > 0, diagonal, 1).rsqrt()  # of each parameter, in which its own curvature is 1
    scaled = hessian * unit * unit.unsqueeze(1)
    for power in range(20):
        damped = scaled + least * 10.0**power * torch.eye(len(scaled), dtype=scaled.dtype, device=scaled.device)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            step = torch.cholesky_solve((gradient.flatten() * unit).unsqueeze(1), factor).squeeze(1)
            return -(step * unit).view_as(gradient)
    return torch.zeros_like(gradient)


def has_converged(loss: float, slope: float) -> bool:
    """Whether a Newton step promises to lower the loss by less than 1e-12 of it (or 1e-12, where it is below 1).

    Args:
        loss: at the start.
        slope: gradient times Newton direction, at most 0; half of it is the fall that a quadratic loss would have.

    Example:
        >>> has_converged(loss=0.5, slope=-1e-13), has_converged(loss=0.5, slope=-1e-3)
        (True, False)
    """
    return -slope / 2 <= _CONVERGED * max(1.0, abs(loss))


def backtrack(
    objective: Callable[[Tensor], Tensor], start: Tensor, direction: Tensor, slope: float, step_size: float = 1.0
) -> tuple[Tensor, float]:
    """Go along a direction, and halve the step until the loss falls by a share of what its slope promises.

    Args:
        objective: the loss, a scalar.
        start: the parameters.
        direction: of the parameters' shape.
        slope: gradient times direction, below 0.
        step_size: of the first step that is tried.

    Returns:
        The new parameters and the step's size; the old ones and 0 where no step lowers the loss, or by no more than
        rounding (`has_converged`).

    Source: L. Armijo, Pacific Journal of Mathematics 16, 1966.

    Example:
        >>> backtrack(lambda w: w.square().sum(), torch.tensor([1.0]), torch.tensor([-4.0]), slope=-8.0)
        (tensor([0.]), 0.25)
    """
    before = float(objective(start))
    if has_converged(before, slope):
        return start, 0.0
    rounding = torch.finfo(start.dtype).eps * abs(before)
    for _ in range(_HALVINGS):
        if not step_size * -slope > rounding:  # no loss could show the fall
            break
        candidate = start + step_size * direction
        if float(objective(candidate)) <= before + _SUFFICIENT * step_size * slope:
            return candidate, step_size
        step_size /= 2
    return start, 0.0
