"""Distances between two sets of features: Frechet distance and kernel distance, with their standard errors.

Features are (N, D) floats; everything is computed in float64.
"""

import math

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from evaluation.checks import check_features
from evaluation.estimate import Estimate, random_rows

_HALVES = 20  # half-subsamples, for the error of the Frechet distance
_SIZES = 6  # points on the line that is drawn to infinitely many examples
_DRAWS = 3  # subsets at each of them
_BLOCKS = 20  # of the jackknife, for the error of the kernel distance


class _AsTheyAre(nn.Module):
    """Stands where torchmetrics has a network: features come ready."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Frechet distance between the Gaussians of two sets of features, in squared units of the features.

    |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), with means m and unbiased covariances C. It is too large for small
    sets: by about a / N1 + b / N2.

    Args:
        first: (N1, D), N1 at least 2.
        second: (N2, D), N2 at least 2.

    Raises:
        ValueError: fewer than two features in a set, or other widths.

    Source: M. Heusel et al., NeurIPS 2017, arXiv:1706.08500; torchmetrics computes it.

    Example:
        >>> frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]]))
        9.0
    """
    return _FrechetDistance(second)(first)


class _FrechetDistance:
    """Frechet distance of one set of features after another from the same reference."""

    def __init__(self, reference: Tensor) -> None:
        self._reference = reference
        # about a common point, or the squares of large means take the digits of the covariances
        self._origin = reference.double().mean(0)
        self._metric = FrechetInceptionDistance(_AsTheyAre(reference.shape[1]), reset_real_features=False)
        self._metric.update(reference.double() - self._origin, real=True)

    def __call__(self, features: Tensor) -> float:
        _check(features, self._reference)
        self._metric.reset()
        self._metric.update(features.double() - self._origin, real=False)
        return float(self._metric.compute())


def frechet_estimate(samples: Tensor, reference: Tensor, seed: int = 0) -> Estimate:
    """Frechet distance and its standard error, by the spread over 20 random halves of the samples.

    A half's value spreads about its own mean as the whole's does (a delete-half jackknife); its larger bias does not
    matter. A bootstrap would draw samples twice, and so shift and widen the distance.

    Args:
        samples: (N, D).
        reference: (M, D).
        seed: of the halves.

    Example:
        >>> estimate = frechet_estimate(torch.randn(400, 2), torch.randn(400, 2) + 1)
        >>> 1 < estimate.value < 3, 0 < estimate.error < 1
        (True, True)
    """
    distance, size = _FrechetDistance(reference), len(samples) // 2
    halves = [samples[random_rows(len(samples), size, seed + draw)] for draw in range(_HALVES)]
    values = torch.tensor([distance(half) for half in halves], dtype=torch.float64)
    return Estimate(distance(samples), float(values.std()), len(samples))


def frechet_at_infinity(samples: Tensor, reference: Tensor, seed: int = 0, finite: Estimate | None = None) -> Estimate:
    """Frechet distance for infinitely many examples: the line through subsets of both sets, at 1 / N = 0.

    Both sets shrink by the same share, from the whole to a third of each, so that the bias of both is taken away. The
    error is that of the fitted line's end, and that of the whole samples' distance, which all subsets share. Where the
    sets have one distribution, the value is 0 on average, and may be below.

    Args:
        samples: (N, D).
        reference: (M, D).
        seed: of the subsets.
        finite: what `frechet_estimate` gives for the same arguments, where it is known already.

    Source: M. J. Chong, D. Forsyth, CVPR 2020, arXiv:1911.07023, who let the samples alone shrink.

    Example:
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <torch...>
        >>> frechet_distance(torch.randn(300, 8), torch.randn(300, 8)) > 0.05
        True
        >>> abs(frechet_at_infinity(torch.randn(300, 8), torch.randn(300, 8)).value) < 0.1
        True
    """
    shares = 1 / torch.linspace(1, 3, _SIZES, dtype=torch.float64)
    points = []
    for place, share in enumerate(shares.tolist()):
        for draw in range(_DRAWS if share < 1 else 1):
            drawn = [
                features[
                    random_rows(len(features), round(share * len(features)), seed + 100 * place + 10 * draw + which)
                ]
                for which, features in enumerate((samples, reference))
            ]
            points.append((1 / share, frechet_distance(*drawn)))
    inverse, values = torch.tensor(points, dtype=torch.float64).T
    design = torch.stack([torch.ones_like(inverse), inverse], dim=1)  # (P, 2): intercept and slope
    solution = torch.linalg.lstsq(design, values.unsqueeze(1)).solution.squeeze(1)
    variance = (values - design @ solution).square().sum() / (len(values) - 2)
    of_line = variance * torch.linalg.inv(design.T @ design)[0, 0]
    of_samples = (finite or frechet_estimate(samples, reference, seed)).error or 0.0
    return Estimate(float(solution[0]), math.sqrt(float(of_line) + of_samples**2), len(samples))


def kernel_distance(samples: Tensor, reference: Tensor) -> Estimate:
    """Squared maximum mean discrepancy with the kernel (x'y / D + 1)^3: unbiased, over all pairs.

    The error is a jackknife's over 20 blocks of the samples and of the reference, which are left out together. Where
    the sets have one distribution, the value is 0 on average, and may be below 0.

    Args:
        samples: (N, D) in random order, N at least 40.
        reference: (M, D) in random order, M at least 40.

    Raises:
        ValueError: fewer than 40 features in a set, or other widths.

    Source: M. Binkowski et al., ICLR 2018, arXiv:1801.01401, without its subsets.

    Example:
        >>> kernel_distance(torch.randn(80, 2), torch.randn(80, 2) + 2).value > 1
        True
    """
    _check(samples, reference, fewest=2 * _BLOCKS)
    first, second = (features.double() for features in (samples, reference))
    # sums of the kernel over the pairs of each two blocks, (B, B), without pairs of an example with itself
    sums = _block_sums(first, first), _block_sums(second, second), _block_sums(first, second, itself=True)
    sizes = [_blocks(len(features)).bincount() for features in (first, second)]

    def distance(kept: Tensor) -> float:
        n, m = (float(size[kept].sum()) for size in sizes)
        in_first, in_second, across = (float(part[kept][:, kept].sum()) for part in sums)
        return in_first / (n * (n - 1)) + in_second / (m * (m - 1)) - 2 * across / (n * m)

    every = torch.arange(_BLOCKS)
    left_out = torch.tensor([distance(every[every != block]) for block in range(_BLOCKS)], dtype=torch.float64)
    spread = float((left_out - left_out.mean()).square().sum())
    return Estimate(distance(every), math.sqrt((_BLOCKS - 1) / _BLOCKS * spread), len(samples))


def _blocks(n: int) -> Tensor:
    """Block of each of n examples, (n,) from 0 to B - 1, in equal parts."""
    return torch.arange(n) * _BLOCKS // n


def _block_sums(first: Tensor, second: Tensor, itself: bool = False) -> Tensor:
    rows, columns = _blocks(len(first)), _blocks(len(second))
    sums = torch.zeros(_BLOCKS, _BLOCKS, dtype=torch.float64)
    for block in range(_BLOCKS):
        inside = (rows == block).nonzero().squeeze(1)
        kernel = (first[inside] @ second.T / first.shape[1] + 1) ** 3  # (N / B, M)
        if not itself:
            kernel[torch.arange(len(inside)), inside] = 0
        sums[block].index_add_(0, columns, kernel.sum(0))
    return sums


def _check(first: Tensor, second: Tensor, fewest: int = 2) -> None:
    check_features(first, second)
    if min(len(first), len(second)) < fewest:
        raise ValueError(
            f"two sets of at least {fewest} examples are needed, got {len(first)} and {len(second)}: give more, such "
            "as a larger test split"
        )
