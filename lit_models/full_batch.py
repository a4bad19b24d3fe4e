"""Solvers of linear models that take the whole train split at once: Newton's method and least squares."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_models.functional.least_squares import compress, compress_batches, least_squares
from lit_models.functional.linear_models import LinearLoss, gradient_sum, hessian_diagonal_sum, hessian_sum
from lit_models.functional.newton import backtrack, newton_direction
from lit_models.processes import rows_of_processes, sum_over_processes


@dataclass
class FullBatch:
    """A linear model's loss over all training data and all processes: sums over batches, none of which stays.

    Parameters are theta = (W, b), (M, P), a row an output, P = D + 1.

    Args:
        batches: gives, at each call, all rows (N, P) with a 1 at their end, and their targets; every process has its
            share, or all of them.
        loss: and its derivatives.
        l2: weight of |W|^2 / 2, which is added to the loss; the bias is free.

    Example:
        >>> from lit_models.functional.linear_models import SQUARED_ERROR
        >>> rows, y = torch.tensor([[0.0, 1.0], [1.0, 1.0]]).double(), torch.tensor([[1.0], [3.0]]).double()
        >>> data = FullBatch(lambda: [(rows, y)], SQUARED_ERROR, l2=0.0)
        >>> data.newton_step(torch.zeros(1, 2).double())[0].round(decimals=4)
        tensor([[2., 1.]], dtype=torch.float64)
    """

    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]
    loss: LinearLoss
    l2: float

    def objective(self, theta: Tensor) -> Tensor:
        """The mean loss and the penalty, a scalar."""
        total = theta.new_zeros(2)
        for h, y in self.batches():
            total += torch.stack([self.loss.loss(h @ theta.T, y), theta.new_ones(())]) * len(h)
        total = sum_over_processes(total)
        return total[0] / total[1] + self.l2 / 2 * theta[:, :-1].square().sum()

    def derivatives(self, theta: Tensor, diagonal: bool = False) -> tuple[Tensor, Tensor]:
        """The gradient (M, P) and the Hessian (MP, MP), or its diagonal (M, P)."""
        sums = [theta.new_zeros(()), torch.zeros_like(theta), theta.new_zeros(())]
        second = hessian_diagonal_sum if diagonal else hessian_sum
        for h, y in self.batches():
            outputs = h @ theta.T
            parts = gradient_sum(h, self.loss.residual(outputs, y)), second(h, self.loss.curvature(outputs))
            sums = [total + part for total, part in zip(sums, (theta.new_tensor(len(h)), *parts), strict=True)]
        count, gradient, hessian = (sum_over_processes(total) for total in sums)
        penalty = torch.full_like(theta, self.l2)
        penalty[:, -1] = 0
        return (
            gradient / count + penalty * theta,
            hessian / count + (penalty if diagonal else torch.diag(penalty.flatten())),
        )

    def newton_step(
        self, theta: Tensor, step_size: float = 1.0, diagonal: bool = False, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, float]:
        """One damped Newton step, after which the loss is not above what it was.

        Args:
            theta: where it starts.
            step_size: share of the whole step that is tried first.
            diagonal: take the Hessian's diagonal for the Hessian.
            dtype: precision that the parameters are kept in, whose rounding the line search must see.

        Returns:
            The new parameters, and the share of the step that was taken, 0 where none lowers the loss, or by no more
            than rounding.
        """
        gradient, hessian = self.derivatives(theta, diagonal)
        direction = newton_direction(gradient, hessian)

        def rounded(candidate: Tensor) -> Tensor:
            return self.objective(candidate if dtype is None else candidate.to(dtype).to(theta.dtype))

        return backtrack(rounded, theta, direction, float((gradient * direction).sum()), step_size)

    def solve(self) -> Tensor:
        """The parameters of least squared error, with the penalty, in closed form; on the CPU."""
        count, width = 0, 0

        def rows() -> Iterable[Tensor]:
            nonlocal count, width
            for h, y in self.batches():
                count, width = count + len(h), h.shape[1]
                yield torch.cat([h, y.to(h.dtype)], 1)  # (N, P + M)

        factor = compress_batches(rows())
        total = sum_over_processes(factor.new_tensor(float(count)))
        factor = compress(rows_of_processes(factor)).cpu()
        return least_squares(factor[:, :width], factor[:, width:], self.l2 * float(total))
