"""Measures of samples by their nearest neighbours: precision, recall, density, coverage, a two-sample test, copies."""

from typing import NamedTuple

import torch
from torch import Tensor

from evaluation.checks import check_features
from evaluation.estimate import Estimate, mean_estimate, share_estimate
from evaluation.reference import unit_range

_CHUNK = 1000  # rows of a matrix of distances


class Neighbourhoods(NamedTuple):
    """How samples and data cover each other; about 1 in all four where they have one distribution.

    Attributes:
        precision: share of samples that lie within the ball of some real example: they look real.
        recall: share of real examples that lie within the ball of some sample: the model makes such.
        density: mean number of real examples' balls that a sample lies in, divided by k; may be above 1.
        coverage: share of real examples with a sample in their ball.

    Example:
        >>> Neighbourhoods._fields
        ('precision', 'recall', 'density', 'coverage')
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def neighbourhoods(samples: Tensor, real: Tensor, k: int = 5) -> Neighbourhoods:
    """Precision, recall, density and coverage of samples, in a space of features.

    The ball of an example reaches to its k-th nearest neighbour among its own kind, itself left out. All four depend on
    the numbers of examples: compare models at equal ones.

    Args:
        samples: (N, D), N above k.
        real: (M, D), M above k.
        k: neighbours, at least 1.

    Raises:
        ValueError: `k` below 1, or not below N and M.

    Source: T. Kynkaanniemi et al., NeurIPS 2019, arXiv:1904.06991 (precision, recall); M. F. Naeem et al., ICML 2020,
    arXiv:2002.09797 (density, coverage).

    Example:
        >>> real = torch.arange(10.0).unsqueeze(1)
        >>> [share.value for share in neighbourhoods(torch.full((6, 1), 4.2), real, k=2)][:3:2]
        [1.0, 1.0]
    """
    check_features(samples, real)
    if not 1 <= k < min(len(samples), len(real)):
        raise ValueError(f"k must be from 1 to {min(len(samples), len(real)) - 1}, fewer than the examples, got {k}")
    samples, real = samples.double(), real.double()
    across = torch.cdist(samples, real)  # (N, M)
    within_real = across < _radii(real, k)
    within_samples = across < _radii(samples, k).unsqueeze(1)
    return Neighbourhoods(
        precision=share_estimate(within_real.any(1)),
        recall=share_estimate(within_samples.any(0)),
        density=mean_estimate(within_real.sum(1) / k),
        coverage=share_estimate(within_real.any(0)),
    )


def two_sample_accuracy(samples: Tensor, real: Tensor) -> tuple[Estimate, Estimate]:
    """Leave-one-out accuracy of the nearest neighbour at telling samples from data: that of samples, and of real ones.

    Both are near 1/2 where the two have one distribution. Above: the two lie apart. Below: they lie nearer to each
    other than to their own kind, as copies of the real examples would. Of two equally near neighbours that of the other
    kind counts.

    Args:
        samples: (N, D), N at least 2.
        real: (N, D), as many.

    Raises:
        ValueError: other numbers, or fewer than two.

    Source: Q. Xu et al., arXiv:1806.07755.

    Example:
        >>> ours, theirs = two_sample_accuracy(torch.zeros(3, 1), torch.ones(3, 1))
        >>> ours.value, theirs.value
        (1.0, 1.0)
    """
    if len(samples) != len(real) or len(samples) < 2:
        raise ValueError(
            f"as many samples as real examples are needed, at least two, got {len(samples)} and {len(real)}"
        )
    check_features(samples, real)
    samples, real = samples.double(), real.double()
    across = torch.cdist(samples, real)
    return (
        share_estimate(_nearest_other(samples) < across.min(1).values),
        share_estimate(_nearest_other(real) < across.min(0).values),
    )


def nearest(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to, and index of, the nearest of `others`, (N,) each, by the Euclidean distance of flattened pixels.

    Args:
        points: (N, ...) in [0, 1], or bytes.
        others: (M, ...) of the same kind and shape.

    Example:
        >>> nearest(torch.tensor([[0.9], [0.2]]), torch.tensor([[0.0], [1.0]]))[1]
        tensor([1, 0])
    """
    flat, candidates = (unit_range(images).flatten(1) for images in (points, others))
    indices = torch.cat([torch.cdist(part, candidates).argmin(1) for part in flat.split(_CHUNK)])
    # once more, since cdist's products of matrices give copies a distance above 0
    parts = zip(flat.split(_CHUNK), indices.split(_CHUNK), strict=True)
    return torch.cat([(part - candidates[rows]).norm(dim=1) for part, rows in parts]), indices


def share_of_copies(samples: Tensor, train: Tensor, threshold: float) -> tuple[Estimate, Tensor, Tensor]:
    """Share of samples that are no farther from a training image than `threshold`, with distances and nearest indices.

    The threshold is the 1% quantile of the same distance of test images: of a model that copies nothing about 1% are
    nearer. It is 0 where the test images hold that many copies themselves. A model that blurs may have more, since a
    mean image is near to many.

    Args:
        samples: (N, C, H, W) in [0, 1].
        train: (M, C, H, W), the images that the model was trained on.
        threshold: Euclidean distance over all pixels.

    Example:
        >>> train = torch.rand(9, 1, 4, 4)
        >>> share_of_copies(train[:3], train, threshold=0.01)[0].value
        1.0
    """
    distances, indices = nearest(samples, train)
    return share_estimate(distances <= threshold), distances, indices


def _radii(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its k-th nearest neighbour, (N,)."""
    return torch.cdist(points, points).kthvalue(k + 1, dim=1).values  # the nearest is the point itself


def _nearest_other(points: Tensor) -> Tensor:
    return torch.cdist(points, points).fill_diagonal_(float("inf")).min(1).values
