"""The claims of docs/theory.md, by numbers; each is named there."""

import math
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from lit_models.functional.elbo import normal_log_density, reparameterize, standard_normal_kl

N = 40_000
LEVEL = 1e-4  # of every test of randomness here: the seeds are fixed, so they pass or fail for good


def uniforms(n: int = N) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(n, dtype=torch.float64), 1 - torch.rand(n, dtype=torch.float64)  # the second is never 0


def box_muller(u1: Tensor, u2: Tensor) -> tuple[Tensor, Tensor]:
    radius, angle = (-2 * u2.log()).sqrt(), 2 * math.pi * u1
    return radius * angle.cos(), radius * angle.sin()


def is_normal(z: Tensor, scale: float = 1.0) -> bool:
    """Kolmogorov and Smirnov's test against N(0, scale^2)."""
    return bool(stats.kstest(z.numpy() / scale, "norm").pvalue > LEVEL)


def are_independent(z1: Tensor, z2: Tensor, bins: int = 8) -> bool:
    """The chi-squared test on a table of quantiles."""
    cells = [(z.argsort().argsort() * bins) // len(z) for z in (z1, z2)]  # ranks, in equal parts
    table = torch.bincount(cells[0] * bins + cells[1], minlength=bins**2).view(bins, bins)
    return bool(stats.chi2_contingency(table.numpy()).pvalue > LEVEL)


def test_box_muller_gives_two_independent_normals() -> None:
    z1, z2 = box_muller(*uniforms())
    assert is_normal(z1)
    assert is_normal(z2)
    assert are_independent(z1, z2)
    assert stats.pearsonr(z1.square(), z2.square()).pvalue > LEVEL


def test_other_radii_and_angles_fail() -> None:
    u1, u2 = uniforms()
    angle = 2 * math.pi * u1
    z1, z2 = -u2.log() * angle.cos(), -u2.log() * angle.sin()  # a radius without its root
    assert not is_normal(z1)
    assert not are_independent(z1, z2), "on a circle, but not in the plane"
    z1, z2 = box_muller(u1, u1.clamp(min=1e-12))  # one uniform for both
    assert not is_normal(z1)
    assert not are_independent(z1, z2)
    z1, z2 = box_muller(u1 / 2, u2)  # half of the circle
    assert is_normal(z1)
    assert not is_normal(z2)


def test_polar_coordinates_stretch_areas_by_r() -> None:
    def to_plane(point: Tensor) -> Tensor:
        return torch.stack([point[0] * point[1].cos(), point[0] * point[1].sin()])

    for radius, angle in ((0.5, 0.3), (2.0, 3.0), (1.5, 5.5)):
        jacobian = torch.autograd.functional.jacobian(to_plane, torch.tensor([radius, angle], dtype=torch.float64))
        assert torch.linalg.det(jacobian).item() == pytest.approx(radius, abs=1e-12)


def test_arctan_loses_half_of_the_circle() -> None:
    u1, u2 = uniforms(1000)
    z1, z2 = box_muller(u1, u2)
    angle = torch.atan2(z2, z1) % (2 * math.pi)
    torch.testing.assert_close(angle, 2 * math.pi * u1, rtol=0, atol=1e-9)
    half = (z2 / z1).arctan()
    assert half.abs().max() < math.pi / 2
    torch.testing.assert_close((-z2 / -z1).arctan(), half)
    wrong = ((half % (2 * math.pi) - 2 * math.pi * u1).abs() > 1e-6).double().mean()
    assert 0.4 < wrong < 0.6


@pytest.mark.parametrize("function", [torch.cos, torch.sin])
def test_the_cosine_of_a_uniform_angle_has_the_arcsine_density(function: Callable[[Tensor], Tensor]) -> None:
    """Scipy's `arcsine` is on (0, 1); by its distribution function 1/2 + arcsin(c) / pi, whose derivative it is."""
    values = function(2 * math.pi * uniforms()[0])
    assert stats.kstest(values.numpy(), lambda c: 0.5 + torch.asin(torch.as_tensor(c)).numpy() / math.pi).pvalue > LEVEL
    c = torch.tensor([-0.7, 0.1, 0.9], dtype=torch.float64, requires_grad=True)
    (density,) = torch.autograd.grad((0.5 + torch.asin(c) / math.pi).sum(), c)
    torch.testing.assert_close(density, 1 / (math.pi * (1 - c.detach().square()).sqrt()))


def test_rayleigh_times_arcsine_is_normal() -> None:
    """The integral over r, by s = sqrt(r^2 - z^2), which takes the pole at r = |z| away: r dr = s ds."""
    s = torch.linspace(0, 12, 4001, dtype=torch.float64)
    for z in (-2.0, 0.0, 0.3, 1.7):
        radius = (s.square() + z**2).sqrt()
        density = torch.trapezoid((-radius.square() / 2).exp() / math.pi, s)
        assert density.item() == pytest.approx(math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi), rel=1e-10)


def test_every_sum_of_the_two_is_normal() -> None:
    z1, z2 = box_muller(*uniforms())
    for a, b in ((1.0, 1.0), (3.0, -4.0), (-0.2, 1.0)):
        assert is_normal(a * z1 + b * z2, math.hypot(a, b))
    # two normals that are not independent have sums that are not normal
    torch.manual_seed(1)
    flipped = z1 * (2 * torch.randint(2, (N,)) - 1)
    assert is_normal(flipped)
    assert not is_normal(z1 + flipped, math.sqrt(2))


Activation = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
ACTIVATIONS: dict[str, Activation] = {
    "tanh": (torch.tanh, lambda a: 1 - a.tanh().square()),
    "sigmoid": (torch.sigmoid, lambda a: a.sigmoid() * (1 - a.sigmoid())),
    "relu": (torch.relu, lambda a: (a > 0).double()),
    "softplus": (nn.functional.softplus, torch.sigmoid),
}


def by_hand(x: Tensor, y: Tensor, weights: list[Tensor], activation: Activation) -> list[Tensor]:
    """The gradients of W1, b1, W2, b2, W3 and b3, line by line as docs/theory.md has them, an example at a time."""
    w1, b1, w2, b2, w3, b3 = weights
    g, slope = activation
    total = [torch.zeros_like(weight) for weight in weights]
    for one, target in zip(x, y, strict=True):
        a1 = w1.T @ one + b1
        h1 = g(a1)
        a2 = w2.T @ h1 + b2
        h2 = g(a2)
        e = 2 * (w3.T @ h2 + b3 - target)  # (1,)
        d2 = slope(a2) * (w3 @ e)
        d1 = slope(a1) * (w2 @ d2)
        found = torch.outer(one, d1), d1, torch.outer(h1, d2), d2, torch.outer(h2, e), e
        total = [before + new / len(x) for before, new in zip(total, found, strict=True)]
    return total


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_by_hand_are_autograds(name: str) -> None:
    torch.manual_seed(0)
    shapes = [(5, 7), (7,), (7, 4), (4,), (4, 1), (1,)]
    weights = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    x, y = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, 1, dtype=torch.float64)
    w1, b1, w2, b2, w3, b3 = weights
    g = ACTIVATIONS[name][0]
    loss = (y - (g(g(x @ w1 + b1) @ w2 + b2) @ w3 + b3)).square().mean()
    expected = torch.autograd.grad(loss, weights)
    with torch.no_grad():
        found = by_hand(x, y, weights, ACTIVATIONS[name])
    for one, another in zip(found, expected, strict=True):
        assert another.abs().max() > 1e-3
        torch.testing.assert_close(one, another, rtol=0, atol=1e-12)


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5, 0.9, 1.1, 10.0])
def test_a_linear_vae_collapses_at_a_known_beta(beta: float) -> None:
    """Data N(0, v); q(z | x) = N(m x, s^2); the decoder's mean is w z, its variance t. Expectations in closed form."""
    v, t = 3.0, 1.5  # beta counts in units of v / t = 2
    beta = beta * v / t
    w, m, log_variance = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.7, 0.7, -0.5))

    def kl() -> Tensor:
        return 0.5 * (m**2 * v + log_variance.exp() - 1 - log_variance)

    def loss() -> Tensor:
        error = (1 - w * m) ** 2 * v + w**2 * log_variance.exp()
        return error / (2 * t) + beta * kl()

    optimizer = torch.optim.LBFGS([w, m, log_variance], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16)
    optimizer.line_search_fn = "strong_wolfe"

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value.detach()

    optimizer.step(closure)
    optimizer.step(closure)
    assert kl().item() == pytest.approx(max(0.0, math.log(v / (beta * t)) / 2), abs=1e-4)


def test_reparameterized_gradients_are_right_and_less_noisy() -> None:
    """Of E[z^2] = mu^2 + sigma^2 by mu, 2 mu, and by sigma, 2 sigma; mu = sigma = 1."""
    torch.manual_seed(0)
    mu = torch.ones(N, 1, dtype=torch.float64, requires_grad=True)
    log_variance = torch.zeros(N, 1, dtype=torch.float64, requires_grad=True)
    z = reparameterize(mu, log_variance)
    by_mu, by_log_variance = torch.autograd.grad(z.square().sum(), [mu, log_variance])
    by_sigma = 2 * by_log_variance  # d log sigma^2 / d sigma = 2 / sigma
    assert by_mu.mean().item() == pytest.approx(2, abs=0.05)
    assert by_sigma.mean().item() == pytest.approx(2, abs=0.1)
    density = normal_log_density(z.detach(), mu, log_variance)
    score_mu = z.detach().square() * torch.autograd.grad(density.sum(), mu)[0]
    assert score_mu.mean().item() == pytest.approx(2, abs=0.15)
    assert (score_mu.var() / by_mu.var()).item() == pytest.approx(7.5, rel=0.1)


def test_precision_of_a_code_costs_its_logarithm() -> None:
    mu = torch.zeros(1, 1, dtype=torch.float64)
    costs = [standard_normal_kl(mu, torch.full_like(mu, 2 * math.log(sigma))).item() for sigma in (1e-2, 1e-3, 1e-4)]
    for before, after in pairwise(costs):
        assert after - before == pytest.approx(math.log(10), abs=1e-4)


def test_the_kl_term_is_information_plus_distance_from_the_prior() -> None:
    """Three images of equal weight with Gaussian posteriors of one unit; the integrals by the trapezoidal rule."""
    mu = torch.tensor([[-1.5], [0.2], [2.0]], dtype=torch.float64)
    log_variance = torch.tensor([[-1.0], [-2.0], [0.3]], dtype=torch.float64)
    z = torch.linspace(-15, 15, 20_001, dtype=torch.float64)
    each = normal_log_density(z.view(-1, 1, 1), mu, log_variance).T.exp()  # (3, points)
    together = each.mean(0)
    prior = normal_log_density(z.view(-1, 1), torch.zeros(1).double(), torch.zeros(1).double()).exp()

    def divergence(p: Tensor, q: Tensor) -> float:
        return torch.trapezoid(torch.special.xlogy(p, p) - torch.special.xlogy(p, q), z).item()

    information = sum(divergence(one, together) for one in each) / 3
    distance = divergence(together, prior)
    assert information > 0.1
    assert distance > 0.1
    assert standard_normal_kl(mu, log_variance).mean().item() == pytest.approx(information + distance, rel=1e-8)


def test_every_test_that_the_page_names_is_here_and_every_picture_is_there() -> None:
    page = Path(__file__).parent.parent / "docs" / "theory.md"
    text = page.read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    here = {name for name in globals() if name.startswith("test_")}
    assert named == here - {"test_every_test_that_the_page_names_is_here_and_every_picture_is_there"}
    pictures = re.findall(r"\]\((images/\w+\.png)\)", text)
    assert len(pictures) == 5
    assert all((page.parent / picture).is_file() for picture in pictures)
