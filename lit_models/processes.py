"""Sums and rows over all processes of a run."""

import torch
from torch import Tensor, distributed


def several() -> bool:
    """Whether this is one of several processes that train together.

    Example:
        >>> several()
        False
    """
    return distributed.is_available() and distributed.is_initialized()


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of every process's `x`; `x` itself where there is one. On the device that the run trains on.

    Example:
        >>> sum_over_processes(torch.ones(2))
        tensor([1., 1.])
    """
    if several():
        x = x.clone()
        distributed.all_reduce(x)
    return x


def rows_of_processes(x: Tensor) -> Tensor:
    """All processes' rows (N, P), one after the other; processes may have different numbers of rows, at most P.

    Example:
        >>> rows_of_processes(torch.ones(1, 2))
        tensor([[1., 1.]])
    """
    if not several():
        return x
    square = torch.cat([x, x.new_zeros(x.shape[1] - len(x), x.shape[1])])
    parts = [torch.empty_like(square) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, square)
    return torch.cat(parts)


def from_first_process(x: Tensor) -> Tensor:
    """Process 0's `x`: what each has computed from the same sums may differ by rounding where devices differ.

    Example:
        >>> from_first_process(torch.ones(1))
        tensor([1.])
    """
    if several():
        x = x.contiguous()
        distributed.broadcast(x, 0)
    return x
