"""Least squares from rows that come in batches, without squaring the condition number."""

from collections.abc import Iterable

import torch
from torch import Tensor

_ROWS = 4096  # gathered before they are compressed, since a decomposition of few rows costs as much


def compress(rows: Tensor) -> Tensor:
    """At most P rows (P, P) that have the same inner products as rows (N, P): the factor R of rows = Q R.

    |rows v| = |R v| for every v, so R stands for the rows in any least squares problem.

    Example:
        >>> compress(torch.tensor([[3.0], [4.0]])).abs()
        tensor([[5.]])
    """
    return torch.linalg.qr(rows, mode="r").R


def compress_batches(batches: Iterable[Tensor]) -> Tensor:
    """`compress` of all rows, which are never held together; (at most P, P), batches being (N, P).

    Raises:
        ValueError: there are no batches.

    Example:
        >>> compress_batches([torch.tensor([[3.0]]), torch.tensor([[4.0]])]).abs()
        tensor([[5.]])
    """
    held: list[Tensor] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= max(_ROWS, 2 * batch.shape[1]):
            held = [compress(torch.cat(held))]
    if not held:
        raise ValueError("there are no training rows to solve a least squares problem of")
    return compress(torch.cat(held))


def least_squares(h: Tensor, y: Tensor, ridge: float = 0.0) -> Tensor:
    """The theta (M, P) of least |h theta' - y|^2 + ridge |theta|^2, of which the last column, the bias, is free.

    Ridge regression is least squares with sqrt(ridge) I as further rows, whose targets are 0. Of several solutions it
    is the one of least norm.

    Args:
        h: rows (N, P), the last column being that of the bias.
        y: targets (N, M).
        ridge: at least 0.

    Example:
        >>> least_squares(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.0], [3.0]])).round(decimals=4)
        tensor([[2., 1.]])
    """
    if ridge:
        root = ridge**0.5 * torch.eye(h.shape[1], dtype=h.dtype)[:-1]  # no row for the bias
        h, y = torch.cat([h, root]), torch.cat([y, y.new_zeros(len(root), y.shape[1])])
    return torch.linalg.lstsq(h, y, driver="gelsd").solution.T
