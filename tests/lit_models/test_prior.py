"""Priors over codes: densities, draws, moments and KL terms against torch.distributions and numerical integration."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from lit_models.networks.prior import GaussianMixture, StandardNormal

LABELS = torch.tensor([0, 2, 2, 1])


def mixture(num_components: int = 5, num_classes: int = 0, latent_dim: int = 3) -> GaussianMixture:
    torch.manual_seed(0)
    prior = GaussianMixture(latent_dim, num_components, num_classes).double().requires_grad_(False)
    for parameter in prior.parameters():
        parameter.data.add_(torch.randn_like(parameter))
    return prior


def reference(prior: GaussianMixture, label: int = 0) -> MixtureSameFamily:
    scale = (0.5 * prior.log_variances[label]).exp()
    return MixtureSameFamily(
        Categorical(logits=prior.logits[label]), Independent(Normal(prior.means[label], scale), 1), validate_args=False
    )


def posterior(n: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 3).double(), torch.randn(n, 3).double()


def test_density_against_torch() -> None:
    prior, z = mixture(num_classes=3), torch.randn(4, 3).double()
    expected = torch.stack([reference(prior, int(y)).log_prob(code) for code, y in zip(z, LABELS, strict=True)])
    torch.testing.assert_close(prior.log_density(z, LABELS), expected)
    standard = Independent(Normal(torch.zeros(3).double(), 1.0), 1)
    torch.testing.assert_close(StandardNormal(3).log_density(z), standard.log_prob(z))


def test_moments_and_draws_are_those_of_torchs_mixture() -> None:
    prior = mixture(num_classes=3)
    mean, std = prior.moments(LABELS)
    for row, label in enumerate(LABELS):
        torch.testing.assert_close(mean[row], reference(prior, int(label)).mean)
        torch.testing.assert_close(std[row].square(), reference(prior, int(label)).variance)
    draws = prior.sample(100_000, torch.ones(100_000, dtype=torch.int64))
    torch.testing.assert_close(draws.mean(0), mean[3], atol=0.05, rtol=0)
    torch.testing.assert_close(draws.std(0), std[3], atol=0.05, rtol=0.02)


def test_without_classes_labels_are_ignored() -> None:
    prior, z = mixture(), torch.randn(4, 3).double()
    torch.testing.assert_close(prior.log_density(z, LABELS), prior.log_density(z))
    assert [value.shape for value in prior.moments(LABELS)] == [(3,), (3,)]


def test_one_draw_estimates_the_kl_without_bias() -> None:
    prior = mixture(num_components=1)
    mu, log_variance = (value.expand(50_000, -1) for value in posterior(1))
    z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
    q = Independent(Normal(mu[:1], (0.5 * log_variance[:1]).exp()), 1)
    p = Independent(Normal(prior.means[0], (0.5 * prior.log_variances[0]).exp()), 1)
    estimate = prior.kl(mu, log_variance, z)
    torch.testing.assert_close(estimate.mean(), kl_divergence(q, p)[0], atol=4 * float(estimate.std()) / 223, rtol=0)


def test_unit_kl_of_one_gaussian_is_the_closed_form() -> None:
    prior = mixture(num_components=1)
    mu, log_variance = posterior()
    q = Normal(mu, (0.5 * log_variance).exp())
    p = Normal(prior.means[0, 0], (0.5 * prior.log_variances[0, 0]).exp())
    torch.testing.assert_close(prior.unit_kl(mu, log_variance), kl_divergence(q, p))
    standard = StandardNormal(3).unit_kl(mu, log_variance)
    torch.testing.assert_close(standard, kl_divergence(q, Normal(torch.zeros(3).double(), 1.0)))


def test_unit_kl_of_a_mixture_against_integration() -> None:
    prior = mixture(num_components=4, num_classes=3)
    mu, log_variance = posterior()
    found = prior.unit_kl(mu, log_variance, LABELS)
    grid = torch.linspace(-25, 25, 20_001).double()
    for row, label in enumerate(LABELS):
        for unit in range(3):
            q = Normal(mu[row, unit], (0.5 * log_variance[row, unit]).exp())
            p = MixtureSameFamily(
                Categorical(logits=prior.logits[label]),
                Normal(prior.means[label, :, unit], (0.5 * prior.log_variances[label, :, unit]).exp()),
                validate_args=False,
            )
            log_q = q.log_prob(grid)
            expected = torch.trapezoid(log_q.exp() * (log_q - p.log_prob(grid)), grid)
            assert float(found[row, unit]) == pytest.approx(float(expected), abs=0.02), (row, unit)


def test_it_starts_near_the_standard_normal() -> None:
    torch.manual_seed(0)
    draws = GaussianMixture(latent_dim=4, num_components=64).sample(50_000)
    torch.testing.assert_close(draws.mean(0), torch.zeros(4), atol=0.4, rtol=0)
    torch.testing.assert_close(draws.std(0), torch.ones(4), atol=0.15, rtol=0)


def test_classes_without_labels() -> None:
    with pytest.raises(ValueError, match=r"this prior has 3 classes: pass labels y, shape \(4,\)"):
        mixture(num_classes=3).sample(4)
