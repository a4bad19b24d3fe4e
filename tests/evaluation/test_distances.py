"""Distances against closed forms, loops and a second implementation; their errors against repeated draws."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from evaluation.distances import frechet_at_infinity, frechet_distance, frechet_estimate, kernel_distance


def draws(n: int, seed: int, shift: float = 0.0, width: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, width + 1, dtype=torch.float64) / width
    return torch.randn(n, width, generator=generator, dtype=torch.float64) * scale + shift


def test_frechet_distance_is_its_formula() -> None:
    first, second = draws(60, 0), draws(70, 1, shift=0.5) @ torch.ones(4, 4).double().tril()
    covariances = [np.cov(features.numpy().T) for features in (first, second)]
    expected = (first.mean(0) - second.mean(0)).square().sum().item()
    expected += np.trace(covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_two_gaussians() -> None:
    """(m1 - m2)^2 + (s1 - s2)^2 a dimension, where both are independent ones."""
    first, second = draws(200_000, 0), 2 * draws(200_000, 1) + 1
    expected = sum(1 + (place / 4) ** 2 for place in range(1, 5))
    assert frechet_distance(first, second) == pytest.approx(expected, rel=0.01)


def test_frechet_distance_is_symmetric_and_zero_on_itself() -> None:
    first, second = draws(50, 0), draws(80, 1, shift=1)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first), rel=1e-9)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_large_means_take_no_digits() -> None:
    first, second = draws(50, 0), draws(80, 1, shift=1)
    assert frechet_distance(first + 1e6, second + 1e6) == pytest.approx(frechet_distance(first, second), rel=1e-4)


def test_all_distances_grow_when_a_class_is_left_out() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (600,), generator=generator)
    features = 3 * torch.eye(5, dtype=torch.float64)[labels] + draws(600, 1, width=5)
    others = 3 * torch.eye(5, dtype=torch.float64)[labels.flip(0)] + draws(600, 2, width=5)
    without = features[labels != 3]
    assert frechet_distance(without, others) > 5 * frechet_distance(features[: len(without)], others)
    whole, part = kernel_distance(features[: len(without)], others), kernel_distance(without, others)
    assert abs(whole.value) < 3 * whole.error < part.value


@pytest.mark.parametrize(("n", "m"), [(60, 60), (90, 60)])
def test_kernel_distance_is_the_mean_over_all_pairs(n: int, m: int) -> None:
    first, second = draws(n, 0), draws(m, 1, shift=0.5)

    def kernel(a: Tensor, b: Tensor) -> float:
        return float((a @ b / 4 + 1) ** 3)

    expected = sum(kernel(a, b) for a, b in itertools.permutations(first, 2)) / (n * (n - 1))
    expected += sum(kernel(a, b) for a, b in itertools.permutations(second, 2)) / (m * (m - 1))
    expected -= 2 * sum(kernel(a, b) for a, b in itertools.product(first, second)) / (n * m)
    assert kernel_distance(first, second).value == pytest.approx(expected, rel=1e-9)
    if n == m:
        assert float(poly_mmd(second, first)) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_two_gaussians() -> None:
    """E (x y + 1)^3 of independent x, y is a sum of products of moments: of N(0, 1) they are 1, 0, 1, 0."""
    first = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    second = 1 + torch.randn(4000, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moments = [(1, 0, 1, 0), (1, 1, 2, 4)]  # of N(0, 1) and N(1, 1)
    mean = {
        (i, j): sum(math.comb(3, k) * moments[i][k] * moments[j][k] for k in range(4)) for i in (0, 1) for j in (0, 1)
    }
    found = kernel_distance(first, second)
    assert abs(found.value - (mean[0, 0] + mean[1, 1] - 2 * mean[0, 1])) < 4 * found.error


def test_errors_are_the_spread_over_repeated_draws() -> None:
    reference = draws(4000, 999)
    found = [frechet_estimate(draws(300, seed, shift=0.3), reference) for seed in range(40)]
    spread = torch.tensor([estimate.value for estimate in found]).std()
    assert 0.6 < torch.tensor([estimate.error for estimate in found]).mean() / spread < 1.6
    pairs = [kernel_distance(draws(300, seed, shift=0.3), draws(300, 100 + seed)) for seed in range(40)]
    spread = torch.tensor([estimate.value for estimate in pairs]).std()
    assert 0.6 < torch.tensor([estimate.error for estimate in pairs]).mean() / spread < 1.6


def test_the_error_at_infinity_is_the_spread_over_repeated_draws() -> None:
    found = [frechet_at_infinity(draws(400, s, 1.0, 16), draws(800, 1000 + s, 0.0, 16)) for s in range(40)]
    spread = torch.tensor([estimate.value for estimate in found]).std()
    assert 0.85 < torch.tensor([estimate.error for estimate in found]).mean() / spread < 1.3


def test_at_infinity_the_bias_is_gone() -> None:
    """Of equal distributions the distance is 0, and of small sets far from it."""
    found = [
        (frechet_distance(draws(200, seed, width=16), draws(200, 50 + seed, width=16)),
         frechet_at_infinity(draws(200, seed, width=16), draws(200, 50 + seed, width=16)).value)
        for seed in range(12)
    ]  # fmt: skip
    finite, infinite = torch.tensor(found).T
    assert abs(infinite.mean()) < 0.15 * finite.mean()


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_what_is_refused(distance) -> None:
    with pytest.raises(ValueError, match=r"two sets of at least \d+ examples are needed, got 1 and 50"):
        distance(draws(1, 0), draws(50, 1))
    with pytest.raises(ValueError, match=r"of one width, \(N, D\), are needed, got \(50, 4\) and \(50, 3\)"):
        distance(draws(50, 0), draws(50, 0)[:, :3])
    with pytest.raises(ValueError, match="features must be finite, got nan or inf"):
        distance(draws(50, 0), draws(50, 0) * torch.nan)
