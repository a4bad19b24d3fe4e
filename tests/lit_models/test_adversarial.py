"""Adversarial losses against naive formulas and closed forms; distances between sets of images."""

import math

import pytest
import torch

from lit_models.functional.adversarial import (
    LOSSES,
    discriminator_loss,
    generator_loss,
    gradient_penalty_term,
    mean_pairwise_distance,
    sliced_wasserstein,
)

REAL, GENERATED = torch.randn(2, 50, dtype=torch.float64)


def naive_d(real: torch.Tensor, generated: torch.Tensor, loss: str) -> torch.Tensor:
    if loss in ("minimax", "non_saturating"):
        return -(real.sigmoid().log().mean() + (1 - generated.sigmoid()).log().mean())
    if loss == "hinge":
        return -(torch.minimum(real - 1, torch.zeros(1)).mean() + torch.minimum(-generated - 1, torch.zeros(1)).mean())
    if loss == "wasserstein":
        return -(real.mean() - generated.mean())
    return ((real - 1) ** 2).mean() / 2 + (generated**2).mean() / 2


def naive_g(generated: torch.Tensor, loss: str) -> torch.Tensor:
    return {
        "minimax": (1 - generated.sigmoid()).log().mean(),
        "non_saturating": -generated.sigmoid().log().mean(),
        "hinge": -generated.mean(),
        "wasserstein": -generated.mean(),
        "least_squares": ((generated - 1) ** 2).mean() / 2,
    }[loss]


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_against_the_naive_formula(loss: str) -> None:
    torch.testing.assert_close(discriminator_loss(REAL, GENERATED, loss), naive_d(REAL, GENERATED, loss))
    torch.testing.assert_close(generator_loss(GENERATED, loss), naive_g(GENERATED, loss))


def test_minimax_at_zero_logits() -> None:
    zero = torch.zeros(7, dtype=torch.float64)
    assert discriminator_loss(zero, zero, "minimax").item() == pytest.approx(2 * math.log(2), abs=1e-15)
    assert generator_loss(zero, "minimax").item() == pytest.approx(-math.log(2), abs=1e-15)


def test_minimax_players_share_one_objective() -> None:
    """What G minimizes is what D maximizes, in the part that depends on G."""
    real_part = torch.nn.functional.softplus(-REAL).mean()
    torch.testing.assert_close(
        discriminator_loss(REAL, GENERATED, "minimax") - real_part, -generator_loss(GENERATED, "minimax")
    )


@pytest.mark.parametrize(
    ("loss", "slope"),
    # d/dt of log(1 - sigmoid(a t)) is -a sigmoid(a t); of -log sigmoid(a t) it is -a (1 - sigmoid(a t))
    [("minimax", lambda a, p: -a * p), ("non_saturating", lambda a, p: -a * (1 - p))],
)
@pytest.mark.parametrize("theta", [-2.0, 0.0, 1.5])
def test_gradient_of_a_one_parameter_generator(loss: str, slope, theta: float) -> None:
    a = 1.7
    parameter = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    generator_loss(a * parameter.expand(5), loss).backward()
    probability = 1 / (1 + math.exp(-a * theta))
    assert parameter.grad.item() == pytest.approx(slope(a, probability), rel=1e-12)


def test_losses_do_not_overflow() -> None:
    huge = torch.tensor([1e4, -1e4])
    for loss in ("minimax", "non_saturating"):
        assert torch.isfinite(discriminator_loss(huge, huge, loss))
        assert torch.isfinite(generator_loss(huge, loss))


def test_unknown_loss() -> None:
    message = r"loss must be one of \['minimax', .*, 'wasserstein'\], got 'logistic'"
    with pytest.raises(ValueError, match=message):
        discriminator_loss(REAL, GENERATED, "logistic")
    with pytest.raises(ValueError, match=message):
        generator_loss(GENERATED, "logistic")


def test_wasserstein_players_share_one_objective() -> None:
    """D minimizes E D(G(z)) - E D(x), and G the negative of the part that depends on it."""
    torch.testing.assert_close(
        discriminator_loss(REAL, GENERATED, "wasserstein") + REAL.mean(), -generator_loss(GENERATED, "wasserstein")
    )


def test_the_penalty_of_a_linear_critic_is_known() -> None:
    """The gradient of w.x is w everywhere: the penalty is (|w| - 1)^2, and its gradient 2 (|w| - 1) w / |w|."""
    weight = torch.randn(12, dtype=torch.float64, requires_grad=True)
    real, generated = torch.rand(2, 5, 1, 3, 4, dtype=torch.float64)
    penalty = gradient_penalty_term(lambda x: x.flatten(1) @ weight, real, generated)
    length = weight.detach().norm()
    torch.testing.assert_close(penalty.detach(), (length - 1).square())
    penalty.backward()
    torch.testing.assert_close(weight.grad, 2 * (length - 1) * weight.detach() / length)


def test_the_penalty_is_taken_between_the_images() -> None:
    """Where real images are 0 and generated ones 1, the critic x^2 / 2 is asked at shares of the way: its gradient."""
    real, generated = torch.zeros(4000, 1, dtype=torch.float64), torch.ones(4000, 1, dtype=torch.float64)
    penalty = gradient_penalty_term(lambda x: x.square().sum(1) / 2, real, generated)
    assert penalty.item() == pytest.approx(1 / 3, abs=0.02)  # the mean of (u - 1)^2 for u uniform in [0, 1]


def test_mean_pairwise_distance() -> None:
    images = torch.rand(9, 1, 3, 4, dtype=torch.float64)
    flat = images.flatten(1)
    torch.testing.assert_close(mean_pairwise_distance(images), torch.pdist(flat).mean())
    assert mean_pairwise_distance(images[:1].expand(5, 1, 3, 4)).item() == pytest.approx(0, abs=1e-6)


def test_sliced_wasserstein_of_a_shift_is_the_shift_along_each_direction() -> None:
    directions = torch.randn(12, 30, dtype=torch.float64)
    directions /= directions.norm(dim=0)
    images = torch.rand(40, 1, 3, 4, dtype=torch.float64)
    assert sliced_wasserstein(images, images.flip(0), directions).item() == pytest.approx(0, abs=1e-14)
    shift = torch.rand(1, 1, 3, 4, dtype=torch.float64)
    expected = (shift.flatten(1) @ directions).abs().mean()
    torch.testing.assert_close(sliced_wasserstein(images, images.flip(0) + shift, directions), expected)
