"""The terms of the ELBO against torch.distributions and against quadrature."""

import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from lit_models.functional.elbo import (
    bernoulli_nll,
    count_active_units,
    gaussian_nll,
    reparameterize,
    standard_normal_kl,
)


def test_kl_against_torch_distributions() -> None:
    mu, log_variance = torch.randn(2, 16, 5, dtype=torch.float64)
    posterior = Normal(mu, (0.5 * log_variance).exp())
    expected = kl_divergence(posterior, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(1)
    torch.testing.assert_close(standard_normal_kl(mu, log_variance), expected)


def test_kl_is_zero_at_the_prior_and_positive_elsewhere() -> None:
    zero = torch.zeros(1, 3, dtype=torch.float64)
    assert standard_normal_kl(zero, zero).item() == 0
    assert (standard_normal_kl(torch.randn(100, 3).double(), torch.randn(100, 3).double()) > 0).all()


def test_bernoulli_term_against_torch_distributions() -> None:
    logits = 5 * torch.randn(8, 1, 4, 4, dtype=torch.float64)
    x = torch.rand_like(logits).round()
    expected = -Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(bernoulli_nll(logits, x), expected)


def test_bernoulli_term_does_not_saturate() -> None:
    logits = torch.tensor([[200.0, -200.0]])
    torch.testing.assert_close(bernoulli_nll(logits, torch.tensor([[0.0, 1.0]])), torch.tensor([400.0]))


def test_gaussian_term_against_torch_distributions() -> None:
    mean, x = torch.randn(2, 8, 1, 4, 4, dtype=torch.float64)
    log_scale = torch.tensor(-0.7, dtype=torch.float64)
    expected = -Normal(mean, log_scale.exp()).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(gaussian_nll(mean, log_scale, x), expected)


def test_reparameterized_draws_have_the_posterior_moments() -> None:
    mu = torch.full((200_000, 1), 1.5, dtype=torch.float64)
    z = reparameterize(mu, torch.full_like(mu, 0.8))
    torch.testing.assert_close(z.mean(), torch.tensor(1.5).double(), atol=0.02, rtol=0)
    torch.testing.assert_close(z.var().log(), torch.tensor(0.8).double(), atol=0.02, rtol=0)


def test_elbo_is_below_the_log_likelihood_found_by_quadrature() -> None:
    """One latent dimension, one pixel: log p(x) = log of the integral over z of p(x|z) N(z; 0, 1), on a fine grid."""
    z = torch.linspace(-10, 10, 20_001, dtype=torch.float64).unsqueeze(1)
    x = torch.tensor([[1.0]], dtype=torch.float64)

    def decode(code: torch.Tensor) -> torch.Tensor:
        return 3 * code - 1

    joint = -bernoulli_nll(decode(z), x.expand_as(z)) + Normal(0, 1).log_prob(z).squeeze(1)
    log_likelihood = joint.exp().sum().mul(z[1, 0] - z[0, 0]).log()
    exact_posterior = (joint - log_likelihood).exp()
    step = z[1, 0] - z[0, 0]
    best_mu = (exact_posterior * z.squeeze(1)).sum() * step

    def elbo(mu: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        q = Normal(mu, (0.5 * log_variance).exp()).log_prob(z).squeeze(1).exp() * step
        expected = (q * -bernoulli_nll(decode(z), x.expand_as(z))).sum()
        return expected - standard_normal_kl(mu.reshape(1, 1), log_variance.reshape(1, 1)).squeeze()

    for mu in (-1.0, 0.0, 1.0, 2.0):
        for log_variance in (-2.0, -0.5, 0.0, 1.0):
            assert elbo(torch.tensor(mu).double(), torch.tensor(log_variance).double()) < log_likelihood
    # and close to it where q is close to the exact posterior
    assert log_likelihood - elbo(best_mu, torch.tensor(-0.8).double()) < 0.05


def test_active_units() -> None:
    mu = torch.stack([torch.randn(1000), 0.05 * torch.randn(1000), torch.full((1000,), 3.0)], dim=1)
    assert count_active_units(mu.mean(0), mu.square().mean(0)) == 1
