"""Samples of given noise: the same draws as `sample`, and the right distribution."""

import pytest
import torch

from lit_models import LitAutoencoder, LitGAN, LitPPCA, LitRBM, LitVAE
from lit_models.code_mixture import CodeMixture
from lit_models.functional.draws import exponential_race

SHAPE = (1, 4, 4)


def test_the_race_draws_with_its_probabilities() -> None:
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    noise = torch.empty(100_000, 4, dtype=torch.float64).exponential_(generator=generator)
    shares = exponential_race(probabilities, noise).bincount(minlength=4) / 100_000
    assert shares[1] == 0
    assert torch.allclose(shares.double(), probabilities, atol=0.005)  # three standard errors
    assert torch.equal(exponential_race(7 * probabilities, noise), exponential_race(probabilities, noise))


def test_a_chain_by_steps_is_the_chain() -> None:
    model = LitRBM(SHAPE, hidden_dim=3).double()
    model.fit_scale([torch.rand(50, *SHAPE, dtype=torch.float64)])
    torch.nn.init.normal_(model.weight)
    torch.manual_seed(0)
    expected = model.run_chains(5, [1, 2, 3])
    torch.manual_seed(0)
    v = torch.randn(5, 16, dtype=torch.float64)
    for step in range(3):
        uniform, normal = torch.rand(5, 3, dtype=torch.float64), torch.randn(5, 16, dtype=torch.float64)
        v, images = model.gibbs_step(v, uniform, normal)
        assert torch.allclose(images, expected[:, step], atol=1e-12)


def test_a_mixture_has_its_mean_and_covariance() -> None:
    mixture = CodeMixture(3, 2).double()
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(600, 2, generator=generator, dtype=torch.float64) @ torch.tensor(
        [[1.0, 0.5], [0.0, 0.2]], dtype=torch.float64
    )
    mixture.fit(torch.cat([codes, codes + 5, codes @ torch.tensor([[0.0, 2.0], [1.0, 0.0]]).double() - 5]))
    mean = mixture.weights @ mixture.means
    second = sum(
        weight * (factor @ factor.T + torch.outer(centre, centre))
        for weight, centre, factor in zip(mixture.weights, mixture.means, mixture.factors, strict=True)
    )
    torch.manual_seed(0)
    drawn = mixture.sample(200_000)
    assert torch.allclose(drawn.mean(0), mean, atol=0.05)
    assert torch.allclose(drawn.T.cov(), second - torch.outer(mean, mean), atol=0.1)


def test_the_same_noise_gives_the_same_samples() -> None:
    ppca = LitPPCA(SHAPE, latent_dim=2, pixel_noise=True)
    ppca.fit_covariance([torch.rand(50, *SHAPE)])
    y = torch.tensor([1, 2, 3])
    for model in (
        LitVAE(SHAPE),
        LitVAE(SHAPE, conditional=True, prior="mixture"),
        LitGAN(SHAPE, conditional=True, ema_decay=0.9).eval(),
        LitAutoencoder(SHAPE),
        ppca,
    ):
        torch.manual_seed(0)
        noise = model.draw_noise(3)
        assert all(len(value) == 3 for value in noise.values())
        model.settle()
        images = model.sample_from(noise, y)
        assert torch.equal(images, model.sample_from(noise, y))
        torch.manual_seed(0)
        assert torch.equal(images, model.sample(3, y))
        # each image depends on its own row alone
        row = {name: value[1:2] for name, value in noise.items()}
        assert torch.allclose(model.sample_from(row, y[1:2]), images[1:2], atol=1e-6)
        with pytest.raises(ValueError, match="n must be a whole number, at least 1, got 0"):
            model.draw_noise(0)
