"""The RBM's maths in float64, against enumeration, numeric integration, finite differences and long chains."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from lit_models.functional.ais import log_partition_ais
from lit_models.functional.rbm import (
    RBM,
    energy,
    free_energy,
    gibbs_chain,
    hidden_logits,
    log_partition,
    visible_mean,
)


def make_rbm(hidden_dim: int, dim: int, scale: float = 1.0, requires_grad: bool = False) -> RBM:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    values = scale * draw(hidden_dim, dim), draw(dim), draw(hidden_dim), (0.3 * draw(dim)).exp()
    return RBM(*(value.requires_grad_(requires_grad) for value in values))


def all_states(hidden_dim: int) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=hidden_dim)), dtype=torch.float64)


def grid(width: float = 15.0, points: int = 801) -> tuple[Tensor, float]:
    """Points of a square in the plane, (points^2, 2), and the area that each stands for."""
    axis = torch.linspace(-width, width, points, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis), float(axis[1] - axis[0]) ** 2


def test_free_energy_sums_the_hidden_states_out() -> None:
    rbm, v = make_rbm(4, 3), torch.randn(5, 3, dtype=torch.float64)
    states = all_states(4)
    energies = torch.stack([energy(rbm, v, h.expand(5, -1)) for h in states])  # (16, 5)
    torch.testing.assert_close(free_energy(rbm, v), -(-energies).logsumexp(0))
    torch.testing.assert_close(free_energy(rbm, v, hidden_logits(rbm, v)), free_energy(rbm, v))


@pytest.mark.parametrize("chunk", [1, 3, 2**16])
def test_log_partition_is_the_integral_over_the_visible_plane(chunk: int) -> None:
    rbm = make_rbm(3, 2)
    points, area = grid()
    integral = (-free_energy(rbm, points)).logsumexp(0) + math.log(area)
    torch.testing.assert_close(log_partition(rbm, chunk=chunk), integral, rtol=1e-10, atol=1e-10)


def test_one_sigma_stands_for_as_many_equal_ones() -> None:
    rbm = make_rbm(3, 2)
    shared, each = rbm._replace(sigma=torch.tensor(0.7).double()), rbm._replace(sigma=torch.full((2,), 0.7).double())
    torch.testing.assert_close(log_partition(shared), log_partition(each))
    v = torch.randn(4, 2, dtype=torch.float64)
    torch.testing.assert_close(free_energy(shared, v), free_energy(each, v))


def test_hidden_conditional_is_the_normalized_energy() -> None:
    rbm, v = make_rbm(3, 2), torch.randn(1, 2, dtype=torch.float64)
    states = all_states(3)
    weights = torch.softmax(-energy(rbm, v.expand(8, -1), states), 0)
    torch.testing.assert_close(hidden_logits(rbm, v).sigmoid()[0], weights @ states)


def test_visible_conditional_is_the_normalized_energy() -> None:
    rbm, h = make_rbm(3, 2), torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    points, _ = grid()
    weights = torch.softmax(-energy(rbm, points, h.expand(len(points), -1)), 0)
    mean = weights @ points
    torch.testing.assert_close(mean, visible_mean(rbm, h)[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(weights @ (points - mean).square(), rbm.sigma.square(), rtol=1e-9, atol=1e-9)


def test_a_gibbs_step_draws_from_both_conditionals() -> None:
    rbm, v = make_rbm(3, 2), torch.tensor([[0.3, -0.8]], dtype=torch.float64)
    n = 200_000
    drawn, mean = gibbs_chain(rbm, hidden_logits(rbm, v).expand(n, -1), steps=1)
    states = all_states(3)
    probabilities = torch.softmax(-energy(rbm, v.expand(8, -1), states), 0)
    expected = probabilities @ visible_mean(rbm, states)
    torch.testing.assert_close(mean.mean(0), expected, rtol=0, atol=0.02)
    torch.testing.assert_close((drawn - mean).square().mean(0), rbm.sigma.square(), rtol=0.02, atol=0)


@pytest.mark.parametrize("hidden_dim", [2, 3])  # with 3 filters of 2 pixels, the logits lie in a plane
def test_a_chain_among_the_hidden_units_is_the_chain_through_the_pixels(hidden_dim: int) -> None:
    """Mean and covariance of v, and of its logits, after three steps; the long way around draws every v."""
    rbm = make_rbm(hidden_dim, 2)
    n = 400_000
    start = hidden_logits(rbm, torch.tensor([[0.3, -0.8]], dtype=torch.float64)).expand(n, -1)
    short, _ = gibbs_chain(rbm, start, steps=3)
    logits = start
    for _ in range(3):
        through, _ = gibbs_chain(rbm, logits, steps=1)
        logits = hidden_logits(rbm, through)
    for found, expected in ((short, through), (hidden_logits(rbm, short), logits)):
        torch.testing.assert_close(found.mean(0), expected.mean(0), rtol=0, atol=0.03)
        torch.testing.assert_close(found.T.cov(), expected.T.cov(), rtol=0.02, atol=0.05)


def test_filters_that_are_zero_or_alike_do_not_break_a_chain() -> None:
    rbm = make_rbm(4, 6)._replace(weight=torch.zeros(4, 6))
    alike = rbm._replace(weight=torch.full((4, 6), 30.0))
    for broken in (rbm, alike):
        single = RBM(*(value.float() for value in broken))
        v, _ = gibbs_chain(single, torch.zeros(5, 4), steps=4)
        assert v.isfinite().all()


def test_chains_never_get_a_gradient() -> None:
    rbm = make_rbm(3, 2, requires_grad=True)
    v, mean = gibbs_chain(rbm, hidden_logits(rbm, torch.randn(4, 2, dtype=torch.float64)), steps=3)
    assert not v.requires_grad
    assert not mean.requires_grad


def gap(rbm: RBM, data: Tensor, chain: Tensor) -> Tensor:
    return free_energy(rbm, data).mean() - free_energy(rbm, chain).mean()


def test_the_gradient_of_the_gap_is_contrastive_divergence() -> None:
    """Difference of the phases' statistics, with hidden probabilities in them: equations (8) and (9)."""
    rbm = make_rbm(3, 2, requires_grad=True)
    data, chain = torch.randn(2, 6, 2, dtype=torch.float64)
    found = torch.autograd.grad(gap(rbm, data, chain), rbm)

    def statistics(v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        p, n = hidden_logits(rbm, v).sigmoid(), len(v)
        centred = v - rbm.visible_bias
        sigma = (centred.square() / rbm.sigma**3 - v * (p @ rbm.weight) / rbm.sigma**2).mean(0)
        return p.T @ (v / rbm.sigma) / n, (v / rbm.sigma**2).mean(0), p.mean(0), sigma

    for gradient, positive, negative in zip(found, statistics(data), statistics(chain), strict=True):
        torch.testing.assert_close(gradient, negative - positive)


def test_gradients_agree_with_finite_differences() -> None:
    rbm = make_rbm(3, 2, requires_grad=True)
    data, chain = torch.randn(2, 4, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *values: gap(RBM(*values), data, chain), tuple(rbm))
    assert torch.autograd.gradcheck(lambda *values: log_partition(RBM(*values), chunk=3), tuple(rbm))


def test_the_exact_negative_phase_is_what_long_chains_tend_to() -> None:
    rbm = make_rbm(3, 2, scale=0.7, requires_grad=True)
    exact = torch.autograd.grad(log_partition(rbm), rbm)
    start = torch.randn(100_000, 2, dtype=torch.float64)
    v, _ = gibbs_chain(rbm, hidden_logits(rbm, start).detach(), steps=60)
    sampled = torch.autograd.grad(-free_energy(rbm, v).mean(), rbm)
    for a, b in zip(exact, sampled, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0.03)


def test_what_validation_enumerated_first_still_gets_gradients() -> None:
    rbm = make_rbm(9, 2, requires_grad=True)
    with torch.inference_mode():
        log_partition(rbm)
    log_partition(rbm).backward()
    assert rbm.weight.grad.abs().sum() > 0


def test_enumeration_has_a_limit() -> None:
    with pytest.raises(ValueError, match="hidden_dim must be at most 20, got 21; use log_partition_ais"):
        log_partition(make_rbm(21, 2))


@pytest.mark.parametrize(("hidden_dim", "dim"), [(5, 8), (3, 1), (6, 4)])  # also fewer visible than hidden units
def test_annealing_agrees_with_enumeration(hidden_dim: int, dim: int) -> None:
    rbm = make_rbm(hidden_dim, dim, scale=0.5)
    generator = torch.Generator().manual_seed(0)
    found = log_partition_ais(rbm, torch.ones(dim), chains=400, steps=1000, generator=generator)
    assert found.log_partition == pytest.approx(log_partition(rbm).item(), abs=5 * found.standard_error + 1e-9)
    assert 0 < found.standard_error < 0.05
    assert found.doubt() is None


def test_annealing_an_empty_model_is_exact() -> None:
    rbm = make_rbm(4, 3, scale=0.0)
    rbm = rbm._replace(hidden_bias=torch.zeros(4, dtype=torch.float64))
    found = log_partition_ais(rbm, rbm.visible_bias, chains=2, steps=1)
    assert found.log_partition == pytest.approx(log_partition(rbm).item(), abs=1e-12)


def test_a_hasty_annealing_is_said_in_words() -> None:
    rbm = make_rbm(8, 30, scale=2.0)
    found = log_partition_ais(rbm, torch.zeros(30), chains=50, steps=2, generator=torch.Generator().manual_seed(0))
    assert found.effective_sample_size < 5
    assert "of 50 chains (effective sample size): it may be nats too low" in (found.doubt() or "")


@pytest.mark.parametrize(("chains", "steps"), [(1, 10), (2, 0)])
def test_annealing_needs_chains_and_steps(chains: int, steps: int) -> None:
    with pytest.raises(ValueError, match=f"at least 2 and steps at least 1, got {chains} and {steps}"):
        log_partition_ais(make_rbm(2, 2), torch.zeros(2), chains, steps)
