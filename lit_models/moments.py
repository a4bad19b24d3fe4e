"""Mean, mean square and covariance of all training data, batch by batch and over all processes."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from lit_models.processes import several, sum_over_processes


class Moments(NamedTuple):
    """Mean and mean square of each value over all data.

    Attributes:
        mean: (D,), float64, on the CPU.
        mean_square: (D,), float64, on the CPU.

    Example:
        >>> Moments(torch.tensor([0.5]), torch.tensor([0.5])).mean
        tensor([0.5000])
    """

    mean: Tensor
    mean_square: Tensor

    @property
    def variance(self) -> Tensor:
        """Mean squared distance from the mean, (D,), at least 0."""
        return (self.mean_square - self.mean.square()).clamp(min=0)


def moments(batches: Iterable[Tensor]) -> Moments:
    """Moments of vectors or images (N, ...), taken as (N, D); every process calls this with its share, or with all.

    Raises:
        ValueError: there is not a single one.

    Example:
        >>> moments([torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0]])]).mean
        tensor([2.], dtype=torch.float64)
    """
    count, total, square, device = 0, torch.zeros(()), torch.zeros(()), torch.device("cpu")
    for x in batches:
        device = x.device
        flat = x.detach().flatten(1).cpu().double()  # (N, ...) -> (N, D)
        count, total, square = count + len(flat), total + flat.sum(0), square + flat.square().sum(0)
    if several():
        sums = sum_over_processes(torch.cat([torch.tensor([float(count)]), total, square]).double().to(device))
        count, (total, square) = int(sums[0]), sums[1:].cpu().chunk(2)
    if count == 0:
        raise ValueError("there are no training images to take a scale from")
    return Moments(total / count, square / count)


class Covariance(NamedTuple):
    """Mean and covariance of vectors over all data.

    Attributes:
        images: their number, over all processes.
        mean: (D,), float64.
        covariance: (D, D), float64, about the mean, divided by their number.

    Example:
        >>> Covariance(1, torch.zeros(2), torch.zeros(2, 2)).images
        1
    """

    images: int
    mean: Tensor
    covariance: Tensor


def covariance(batches: Iterable[Tensor]) -> Covariance:
    """Covariance of vectors or images (N, ...), taken as (N, D); every process calls this with its share, or with all.

    The sums are in float64, on the device of the batches, or on the CPU where that has no float64 (Apple's GPUs).

    Raises:
        ValueError: there is not a single one.

    Example:
        >>> covariance([torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])]).covariance
        tensor([[1., 0.],
                [0., 0.]], dtype=torch.float64)
    """
    total: Tensor | None = None
    for x in batches:
        flat = x.detach().flatten(1).to("cpu" if x.device.type == "mps" else x.device).double()  # (N, ...) -> (N, D)
        rows = torch.cat([flat, flat.new_ones(len(flat), 1)], 1)  # a column of ones: one product holds all three sums
        total = rows.T @ rows if total is None else total.addmm_(rows.T, rows)
    if total is None:
        raise ValueError("there are no training images to take a covariance of")
    total = sum_over_processes(total)
    count, mean = total[-1, -1], total[-1, :-1] / total[-1, -1]
    return Covariance(int(count), mean, total[:-1, :-1] / count - torch.outer(mean, mean))
