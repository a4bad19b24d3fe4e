"""Linear Gaussian models: density, posterior, closed form and EM against torch, scikit-learn and brute force."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

from lit_models.functional.linear_gaussian import (
    LinearGaussian,
    closed_form,
    em_step,
    log_density,
    mean_log_density,
    posterior,
    principal_axes,
)
from lit_models.moments import covariance

D, K = 7, 3


def model(dim: int = D, latent_dim: int = K) -> LinearGaussian:
    variance = 0.1 + torch.rand(dim, dtype=torch.float64)
    return LinearGaussian(torch.randn(dim, latent_dim).double(), torch.randn(dim).double(), variance)


def points(n: int = 200, dim: int = D) -> Tensor:
    """Correlated, with a mean, of no model in particular."""
    x = torch.rand(n, dim, dtype=torch.float64)
    return x @ torch.randn(dim, dim).double() + x.square() + 1


def spread_of(it: LinearGaussian) -> Tensor:
    return it.weight @ it.weight.T + torch.diag(it.variance)


def start(x: Tensor, latent_dim: int = K) -> tuple[LinearGaussian, Tensor]:
    _, mean, spread = covariance([x])
    weight = 0.01 * torch.randn(x.shape[1], latent_dim).double()
    return LinearGaussian(weight, mean, spread.diagonal().clamp(min=1e-6)), spread


# -- density and posterior --------------------------------------------------------------------------------------------


def test_the_density_is_that_of_torchs_gaussians() -> None:
    it, x = model(), points()
    found = log_density(it, x)
    dense = MultivariateNormal(it.mean, spread_of(it))
    torch.testing.assert_close(found, dense.log_prob(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found, LowRankMultivariateNormal(it.mean, it.weight, it.variance).log_prob(x))
    torch.testing.assert_close(log_density(it, x[:1]), found[:1])


def test_the_density_of_codes_is_summed_out() -> None:
    """p(x) is the integral of p(x | z) p(z), here over a grid."""
    it, x = model(latent_dim=1), points(4)
    z = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    means = it.mean + z[:, None] * it.weight.T  # (Z, D)
    squares = ((x[:, None] - means).square() / it.variance).sum(2)  # (N, Z)
    joint = -0.5 * (squares + z.square() + (2 * math.pi * it.variance).log().sum() + math.log(2 * math.pi))
    torch.testing.assert_close(log_density(it, x), joint.logsumexp(1) + (z[1] - z[0]).log())


def test_the_posterior_is_bayes_rule() -> None:
    """By conditioning the joint Gaussian of codes and pixels, with the D x D matrix inverted."""
    it, x = model(), points()
    gain = it.weight.T @ spread_of(it).inverse()
    mean, spread = posterior(it, x)
    torch.testing.assert_close(mean, (x - it.mean) @ gain.T)
    torch.testing.assert_close(spread, torch.eye(K).double() - gain @ it.weight)


def test_the_mean_density_needs_the_covariance_alone() -> None:
    x = points()
    _, mean, spread = covariance(x.split(33))
    it = model()._replace(mean=mean)
    torch.testing.assert_close(mean_log_density(it, spread), log_density(it, x).mean())


@pytest.mark.parametrize("least", [1e-6, 1e-3, 1.0])
def test_float32_is_enough(least: float) -> None:
    """Also where the noise is a thousandth of what the codes do: Woodbury's difference would lose all digits."""
    it = model(100, 10)
    it = it._replace(variance=least * (1 + torch.rand(100).double()))
    x = it.mean + torch.randn(50, 10).double() @ it.weight.T + torch.randn(50, 100) * it.variance.sqrt()
    exact = log_density(it, x)
    found = log_density(LinearGaussian(*(value.float() for value in it)), x.float())
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-2)


def test_no_matrix_of_all_pixels_is_made() -> None:
    """Two of 100,000 x 100,000 would have 160 GB."""
    it = model(100_000)
    assert log_density(it, it.mean[None]).isfinite()


# -- the closed form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latent_dim", [1, 3, 6])
def test_the_closed_form_is_scikit_learns(latent_dim: int) -> None:
    from sklearn.decomposition import PCA

    x, n = points(), 200
    pca = PCA(latent_dim, svd_solver="full").fit(x.numpy())
    _, mean, spread = covariance([x])
    found = closed_form(mean, spread * n / (n - 1), latent_dim, 1e-12)  # scikit-learn divides by n - 1
    np.testing.assert_allclose(found.variance.numpy(), np.full(D, pca.noise_variance_), rtol=1e-9)
    np.testing.assert_allclose(spread_of(found).numpy(), pca.get_covariance(), rtol=1e-9, atol=1e-12)
    assert log_density(found, x).mean().item() == pytest.approx(pca.score(x.numpy()), abs=1e-9)


def gradient(it: LinearGaussian, spread: Tensor) -> tuple[Tensor, Tensor]:
    weight, variance = it.weight.clone().requires_grad_(), it.variance.clone().requires_grad_()
    return torch.autograd.grad(mean_log_density(LinearGaussian(weight, it.mean, variance), spread), (weight, variance))


def test_the_closed_form_is_a_maximum() -> None:
    x = points()
    _, mean, spread = covariance([x])
    found = closed_form(mean, spread, K, 1e-12)
    of_weight, of_variance = gradient(found, spread)
    torch.testing.assert_close(of_weight, torch.zeros(D, K).double(), rtol=0, atol=1e-9)
    assert abs(of_variance.sum()) < 1e-8  # one variance for all
    best = log_density(found, x).mean()
    for _ in range(20):
        near = found._replace(weight=found.weight + 0.01 * torch.randn(D, K))
        assert log_density(near, x).mean() < best


def test_the_closed_form_with_a_floor_is_the_maximum_above_it() -> None:
    x = points()
    _, mean, spread = covariance([x])
    floor = 3 * closed_form(mean, spread, K, 1e-12).variance[0].item()
    found = closed_form(mean, spread, K, floor)
    of_weight, of_variance = gradient(found, spread)
    assert (found.variance == floor).all()
    torch.testing.assert_close(of_weight, torch.zeros(D, K).double(), rtol=0, atol=1e-9)
    assert of_variance.sum() < 0  # a smaller variance would be better, and is not allowed


def test_the_columns_are_the_widest_axes_first_with_a_sign_of_their_own() -> None:
    _, mean, spread = covariance([points()])
    weight = closed_form(mean, spread, K, 1e-12).weight
    norms = weight.norm(dim=0)
    assert torch.equal(norms, norms.sort(descending=True).values)
    assert (weight.gather(0, weight.abs().argmax(0, keepdim=True)) > 0).all()
    gram = weight.T @ weight
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), rtol=0, atol=1e-9)


# -- expectation maximization -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("floor", [1e-9, 0.3])
def test_the_likelihood_grows_at_every_step(isotropic: bool, floor: float) -> None:
    it, spread = start(points())
    it = it._replace(variance=it.variance.clamp(min=floor))
    likelihoods = []
    for _ in range(200):
        likelihoods.append(mean_log_density(it, spread).item())
        it = em_step(it, spread, isotropic, floor)
        assert (it.variance >= floor).all()
    steps = np.diff(likelihoods)
    # the first goes from a variance for each pixel to one for all, which is not where a step of PPCA may start
    assert (steps[1 if isotropic else 0 :] >= -1e-10).all()
    assert likelihoods[-1] > likelihoods[2] + 0.05


def test_a_step_is_that_of_expectations_over_the_data() -> None:
    x = points()
    it, spread = start(x)
    it = model()._replace(mean=it.mean)
    codes, own = posterior(it, x)
    centred = x - it.mean
    second = len(x) * own + codes.T @ codes  # the sum of E[z z']
    weight = centred.T @ codes @ second.inverse()
    variance = (centred.square() - centred * (codes @ weight.T)).mean(0)
    found = em_step(it, spread, isotropic=False, min_variance=1e-9)
    torch.testing.assert_close(found.weight, weight)
    torch.testing.assert_close(found.variance, variance)
    found = em_step(it, spread, isotropic=True, min_variance=1e-9)
    torch.testing.assert_close(found.variance, variance.mean().expand(D))


def test_ppca_by_em_comes_to_the_closed_form() -> None:
    it, spread = start(points())
    best = closed_form(it.mean, spread, K, 1e-9)
    for _ in range(5000):
        it = em_step(it, spread, isotropic=True, min_variance=1e-9)
    torch.testing.assert_close(spread_of(it), spread_of(best), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(principal_axes(it).weight, best.weight, rtol=1e-5, atol=1e-6)


def test_factor_analysis_by_em_is_scikit_learns() -> None:
    from sklearn.decomposition import FactorAnalysis

    x = model(D, 2).weight  # data of a factor analysis, so that no variance goes to its floor
    x = torch.randn(500, 2).double() @ x.T + torch.randn(500, D).double() * torch.linspace(0.3, 1, D).double()
    it, spread = start(x, 2)
    for _ in range(3000):
        it = em_step(it, spread, isotropic=False, min_variance=1e-12)
    other = FactorAnalysis(2, tol=1e-12, max_iter=10_000, svd_method="lapack").fit(x.numpy())
    assert log_density(it, x).mean().item() == pytest.approx(other.score(x.numpy()), abs=1e-7)
    np.testing.assert_allclose(it.variance.numpy(), other.noise_variance_, rtol=1e-3)
    of_weight, of_variance = gradient(it, spread)
    assert of_weight.abs().max() < 1e-5
    assert of_variance.abs().max() < 1e-5


def test_a_pixel_that_never_changes_keeps_the_floor() -> None:
    x = points()
    x[:, 2] = 0.25
    it, spread = start(x)
    for _ in range(50):
        it = em_step(it, spread, isotropic=False, min_variance=1e-6)
    assert it.variance[2] == 1e-6
    assert it.weight[2].abs().max() < 1e-9
    assert mean_log_density(it, spread).isfinite()


def test_principal_axes_are_the_same_density() -> None:
    it, x = model(), points()
    turned = principal_axes(it)
    torch.testing.assert_close(log_density(turned, x), log_density(it, x))
    own = posterior(turned, x).covariance
    torch.testing.assert_close(own, torch.diag(own.diagonal()), rtol=0, atol=1e-12)
    assert torch.equal(own.diagonal(), own.diagonal().sort().values)  # the surest first


@pytest.mark.parametrize("made", ["random", "closed form", "EM"])
def test_no_reconstruction_is_better_than_pcas(made: str) -> None:
    x = points()
    it, spread = start(x)
    if made == "closed form":
        it = closed_form(it.mean, spread, K, 1e-12)
    else:
        it = model()._replace(mean=it.mean) if made == "random" else it
        for _ in range(100 * (made == "EM")):
            it = em_step(it, spread, isotropic=False, min_variance=1e-9)
    floor = torch.linalg.eigvalsh(spread)[:-K].sum() / D
    restored = it.mean + posterior(it, x).mean @ it.weight.T
    assert (restored - x).square().mean() >= floor
