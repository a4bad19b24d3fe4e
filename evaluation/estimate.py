"""A measured value with its standard error."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A measured value, its standard error, and how many examples it is of.

    Attributes:
        value: what was measured.
        error: one standard error, in the units of `value`; None where there is none.
        n: number of examples.

    Example:
        >>> Estimate(0.5, 0.05, 100).error
        0.05
    """

    value: float
    error: float | None
    n: int


def mean_estimate(values: Tensor) -> Estimate:
    """Mean of independent values, (N,), and its standard error, the sample standard deviation over the root of N.

    Example:
        >>> mean_estimate(torch.tensor([1.0, 3.0]))
        Estimate(value=2.0, error=1.0, n=2)
    """
    values = values.double()
    error = float(values.std() / math.sqrt(len(values))) if len(values) > 1 else None
    return Estimate(float(values.mean()), error, len(values))


def share_estimate(hits: Tensor) -> Estimate:
    """Share of true ones among independent hits, (N,) bool, and its binomial standard error.

    The error is sqrt(p (1 - p) / N) with p = (hits + 1) / (N + 2), so that none of 100 is not taken for certainty.

    Example:
        >>> share_estimate(torch.tensor([True, False, True, False]))
        Estimate(value=0.5, error=0.25, n=4)
    """
    likely = (float(hits.sum()) + 1) / (len(hits) + 2)
    return Estimate(float(hits.double().mean()), math.sqrt(likely * (1 - likely) / len(hits)), len(hits))


def random_rows(total: int, n: int, seed: int) -> Tensor:
    """Indices of `n` of `total` rows, drawn without replacement from a seed; all of them, shuffled, where n is total.

    Args:
        total: rows there are.
        n: rows to draw, at most `total`.
        seed: decides which.

    Raises:
        ValueError: `n` is larger than `total`.

    Example:
        >>> sorted(random_rows(4, 4, seed=0).tolist())
        [0, 1, 2, 3]
    """
    if n > total:
        raise ValueError(f"{n} examples were asked for, and there are {total}: ask for at most {total}")
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:n]
