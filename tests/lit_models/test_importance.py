"""Importance-weighted bounds: against closed forms, by the number of draws, in parts."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

import lit_models.vae
from lit_models import LitVAE
from lit_models.functional.importance import importance_estimate, importance_weighted_bound
from lit_models.networks import Decoder, Encoder

SHAPE = (1, 2, 3)
PIXELS, CODES = 6, 2
NOISE = 0.03  # standard deviation of a pixel around the decoder's mean
LOADINGS = 0.04 * torch.randn(PIXELS, CODES, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
MARGINAL = MultivariateNormal(
    torch.full((PIXELS,), 0.5, dtype=torch.float64),
    LOADINGS @ LOADINGS.T + NOISE**2 * torch.eye(PIXELS, dtype=torch.float64),
)


class LinearDecoder(Decoder):
    """Logits whose sigmoid is 1/2 + W z: the images of factor analysis."""

    def __init__(self, in_dim: int, image_shape: Sequence[int], condition_dim: int = 0) -> None:
        super().__init__()

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.logit(0.5 + z @ LOADINGS.to(z).T).unflatten(1, SHAPE)


class LinearEncoder(Encoder):
    """The exact posterior's mean, and its variances times `widening`, without the correlations."""

    widening = 2.0

    def __init__(self, image_shape: Sequence[int], out_dim: int, condition_dim: int = 0) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(out_dim))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        loadings = LOADINGS.to(x)
        precision = torch.eye(CODES).to(x) + loadings.T @ loadings / NOISE**2
        mean = (x.flatten(1) - 0.5) @ loadings / NOISE**2 @ precision.inverse()
        variance = self.widening * precision.inverse().diagonal().expand_as(mean)
        return torch.cat([mean, variance.log()], 1) + self.bias


def linear_gaussian(**options) -> LitVAE:
    model = LitVAE(SHAPE, CODES, LinearEncoder, LinearDecoder, likelihood="gaussian", **options).double()
    model.log_scale.data.fill_(math.log(NOISE))
    return model


def data(n: int = 20) -> Tensor:
    return MARGINAL.sample((n,)).unflatten(1, SHAPE)


def exact(x: Tensor) -> Tensor:
    return MARGINAL.log_prob(x.flatten(1))


def test_log_likelihood_converges_from_below_to_the_closed_form() -> None:
    torch.manual_seed(0)
    model, x = linear_gaussian(), data()
    gaps = [
        (exact(x) - torch.stack([model.log_likelihood(x, samples=k).log_likelihood for _ in range(200)]).mean(0)).mean()
        for k in (1, 5, 50)
    ]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    estimate = model.log_likelihood(x, samples=20_000)
    torch.testing.assert_close(estimate.log_likelihood, exact(x), atol=0.03, rtol=0)
    assert ((estimate.effective_sample_size > 1000) & (estimate.effective_sample_size < 20_000)).all()


def test_one_draw_of_the_exact_posterior_gives_the_exact_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    column = torch.ones(PIXELS, 1, dtype=torch.float64)
    monkeypatch.setattr("tests.lit_models.test_importance.LOADINGS", 0.04 * torch.eye(PIXELS, CODES).double())
    monkeypatch.setattr(LinearEncoder, "widening", 1.0)
    model, x = linear_gaussian(), 0.5 + 0.05 * column.T.expand(3, -1).unflatten(1, SHAPE)
    loadings = 0.04 * torch.eye(PIXELS, CODES).double()
    marginal = MultivariateNormal(
        torch.full((PIXELS,), 0.5).double(), loadings @ loadings.T + NOISE**2 * torch.eye(PIXELS)
    )
    torch.testing.assert_close(model.log_likelihood(x, samples=1).log_likelihood, marginal.log_prob(x.flatten(1)))
    estimate = model.log_likelihood(x, samples=7)
    torch.testing.assert_close(estimate.effective_sample_size, torch.full((3,), 7.0).double())


@pytest.mark.slow
def test_memory_chunks_do_not_change_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, x = linear_gaussian(), data(7)
    monkeypatch.setattr(lit_models.vae, "_VALUES", 3 * PIXELS)  # three images at a time, one draw each
    estimate = model.log_likelihood(x, samples=3000)
    assert estimate.log_likelihood.shape == (7,)
    torch.testing.assert_close(estimate.log_likelihood, exact(x), atol=0.08, rtol=0)


def test_the_bound_of_k_draws_grows_with_k() -> None:
    torch.manual_seed(0)
    x = data(50)
    losses = []
    for k in (1, 2, 10, 100):
        model = linear_gaussian(importance_samples=k)
        losses.append(torch.stack([model.step(x, None, "val").detach() for _ in range(40)]).mean())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] > -exact(x).mean() - 0.05


def test_the_bound_of_one_draw_is_the_elbo_in_expectation() -> None:
    torch.manual_seed(0)
    model, x = linear_gaussian(), data(3)
    _, kl, _ = model.elbo_terms(x)
    reconstructions, log_ratios = model._draws(*model.posterior(x), x, None, 20_000)
    elbos = torch.stack([model.elbo_terms(x)[0] for _ in range(2000)]).mean(0) + kl
    torch.testing.assert_close(log_ratios.mean(0), kl, atol=0.05, rtol=0)
    torch.testing.assert_close((reconstructions + log_ratios).mean(0), elbos, atol=0.2, rtol=0)
    one = linear_gaussian(importance_samples=1)
    torch.manual_seed(1)
    loss = one.step(x, None, "val")
    torch.manual_seed(1)
    torch.testing.assert_close(loss, sum(one.elbo_terms(x)[:2]).mean())


@pytest.mark.slow
def test_draws_of_a_conditional_model_keep_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the same model asked for one class at a time, where no label can be confused with another."""
    torch.manual_seed(0)
    options = {"conditional": True, "num_classes": 3, "prior": "mixture", "num_components": 2}
    model, x = LitVAE(SHAPE, CODES, **options).double(), torch.rand(6, *SHAPE).double()
    model.decoder.body[0].weight.data[:, CODES:].mul_(8)  # the label's columns: images of a class differ by nats
    y = torch.tensor([0, 2, 1, 1, 0, 2])
    pairs = zip(x.split(1), y.split(1), strict=True)
    apart = torch.cat([model.log_likelihood(*pair, samples=20_000).log_likelihood for pair in pairs])
    others = model.log_likelihood(x, (y + 1) % 3, samples=20_000).log_likelihood
    monkeypatch.setattr(lit_models.vae, "_VALUES", 4 * PIXELS)  # 4 images at a time, one draw each
    together = model.log_likelihood(x, y, samples=3000).log_likelihood
    torch.testing.assert_close(together, apart, atol=0.15, rtol=0)
    assert (others - together).abs().max() > 0.4


def test_parts_together_are_the_whole() -> None:
    torch.manual_seed(0)
    log_weights = 50 * torch.randn(9, 4, dtype=torch.float64) - 1000
    whole = importance_estimate([log_weights])
    parts = importance_estimate(log_weights.split(2))
    torch.testing.assert_close(whole, parts)
    weights = (log_weights - log_weights.max(0).values).exp()
    torch.testing.assert_close(whole.effective_sample_size, weights.sum(0).square() / weights.square().sum(0))
    torch.testing.assert_close(whole.log_likelihood, importance_weighted_bound(log_weights))


def test_no_draws() -> None:
    with pytest.raises(ValueError, match="there are no log weights: at least one draw is needed"):
        importance_estimate([])
    with pytest.raises(ValueError, match="samples must be a whole number, at least 1, got 0"):
        linear_gaussian().log_likelihood(data(1), samples=0)


def test_mse_is_a_gaussian_of_variance_one_half() -> None:
    torch.manual_seed(0)
    x = torch.rand(5, *SHAPE, dtype=torch.float64)
    squared = LitVAE(SHAPE, CODES, likelihood="mse").double()
    learned = LitVAE(SHAPE, CODES, likelihood="gaussian").double()
    learned.load_state_dict(squared.state_dict() | {"log_scale": torch.tensor(0.5 * math.log(0.5))})
    torch.manual_seed(1)
    reconstruction, _, _ = squared.elbo_terms(x)
    ours = squared.log_likelihood(x, samples=3).log_likelihood
    torch.manual_seed(1)
    density, _, _ = learned.elbo_terms(x)
    theirs = learned.log_likelihood(x, samples=3).log_likelihood
    torch.testing.assert_close(reconstruction + PIXELS / 2 * math.log(math.pi), density)
    torch.testing.assert_close(ours, theirs)
