"""The maths of linear models in float64: derivatives against autograd, solvers against NumPy and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torch.autograd.functional import hessian, jacobian

from lit_models.functional.least_squares import compress, compress_batches, least_squares
from lit_models.functional.linear_models import (
    LOG_LOSS,
    SQUARED_ERROR,
    LinearLoss,
    class_logits,
    gradient_sum,
    hessian_diagonal_sum,
    hessian_sum,
    loss_by_hand,
    with_ones,
)
from lit_models.functional.newton import backtrack, newton_direction


def case(name: str, n: int = 7) -> tuple[LinearLoss, Tensor, Tensor, Tensor]:
    """Loss, rows (N, 4), targets and parameters, in float64."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    h = with_ones(normal(n, 3))
    if name == "regression":
        return SQUARED_ERROR, h, normal(n, 2), normal(2, 4)
    classes = {"logistic": 2, "softmax": 3}[name]
    y = torch.randint(classes, (n,), generator=generator)
    return LOG_LOSS, h, y, normal(1 if classes == 2 else classes, 4)


CASES = ("logistic", "softmax", "regression")


@pytest.mark.parametrize("name", CASES)
def test_gradient_and_hessian_are_autograds(name: str) -> None:
    loss, h, y, theta = case(name)

    def mean_loss(flat: Tensor) -> Tensor:
        return loss.loss(h @ flat.view_as(theta).T, y)

    outputs = h @ theta.T
    gradient = gradient_sum(h, loss.residual(outputs, y)) / len(h)
    torch.testing.assert_close(gradient.flatten(), jacobian(mean_loss, theta.flatten()), rtol=0, atol=1e-12)
    expected = hessian(mean_loss, theta.flatten())
    curvature = loss.curvature(outputs)
    torch.testing.assert_close(hessian_sum(h, curvature) / len(h), expected, rtol=0, atol=1e-12)
    diagonal = hessian_diagonal_sum(h, curvature) / len(h)
    torch.testing.assert_close(diagonal.flatten(), expected.diagonal(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_by_hand_is_autograds(name: str) -> None:
    loss, h, y, theta = case(name)
    by_hand, recorded = (nn.Linear(3, len(theta), dtype=torch.float64) for _ in range(2))
    recorded.load_state_dict(by_hand.state_dict())
    value, outputs = loss_by_hand(h[:, :3], by_hand.weight, by_hand.bias, y, loss)
    (3 * value).backward()  # a loss may be scaled on its way
    other = loss.loss(recorded(h[:, :3]), y)
    (3 * other).backward()
    torch.testing.assert_close(value, other, rtol=0, atol=1e-14)
    torch.testing.assert_close(outputs, recorded(h[:, :3]).detach(), rtol=0, atol=1e-14)
    for mine, its in zip(by_hand.parameters(), recorded.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=0, atol=1e-13)


def test_one_output_is_the_log_odds_of_the_second_class() -> None:
    z = torch.tensor([[-800.0], [0.0], [800.0]]).double()
    torch.testing.assert_close(class_logits(z).softmax(1)[:, 1:], z.sigmoid())
    assert LOG_LOSS.loss(z, torch.tensor([1, 0, 0])).isfinite()
    sure = torch.tensor([[40.0]]).double()
    assert LOG_LOSS.curvature(sure).item() == pytest.approx(np.exp(-40), rel=1e-12)  # where 1 - p would be 0


def test_a_newton_direction_solves_and_leaves_flat_directions_alone() -> None:
    root = torch.randn(5, 5).double()
    positive, gradient = root @ root.T, torch.randn(5).double()
    torch.testing.assert_close(positive @ newton_direction(gradient, positive), -gradient)
    flat = torch.zeros(6, 6).double()
    flat[:5, :5] = positive
    direction = newton_direction(torch.cat([gradient, gradient.new_zeros(1)]), flat)
    torch.testing.assert_close(direction[:5], newton_direction(gradient, positive))
    assert direction[5] == 0
    diagonal = newton_direction(torch.tensor([[2.0, 0.0]]), torch.tensor([[4.0, 0.0]]))
    assert diagonal.tolist() == [[-0.5, 0.0]]


def test_a_newton_direction_does_not_depend_on_the_units_of_columns() -> None:
    root, units = torch.randn(5, 20).double(), torch.tensor([1e-4, 1e-2, 1.0, 1e4, 1e8]).double()
    hessian, gradient = root @ root.T, torch.randn(5).double()
    direction = newton_direction(gradient * units, hessian * units * units.unsqueeze(1))
    torch.testing.assert_close(direction * units, newton_direction(gradient, hessian))


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_no_direction_without_a_usable_hessian(value: float) -> None:
    assert newton_direction(torch.ones(2), torch.full((2, 2), value)).tolist() == [0, 0]


def test_a_step_that_no_length_makes_good_is_not_taken() -> None:
    start = torch.zeros(1).double()
    assert backtrack(lambda w: (w + 1).square().sum(), start, torch.ones(1).double(), slope=-2.0) == (start, 0.0)
    assert backtrack(lambda w: w.square().sum() + torch.nan, start, torch.ones(1), slope=-1.0) == (start, 0.0)
    assert backtrack(lambda w: w.square().sum(), start, torch.ones(1), slope=0.0) == (start, 0.0)


@pytest.mark.parametrize("rows", [3, 50])
def test_compressed_rows_have_the_same_inner_products(rows: int) -> None:
    x = torch.randn(rows, 6).double()
    for factor in (compress(x), compress_batches(x.split(7)), compress_batches([x[:1], x[1:], x[:0]])):
        assert len(factor) <= 6
        torch.testing.assert_close(factor.T @ factor, x.T @ x)


def test_no_rows_have_no_solution() -> None:
    with pytest.raises(ValueError, match="no training rows"):
        compress_batches([])


@pytest.mark.parametrize("kind", ["usual", "more columns than rows", "a constant column", "two equal columns"])
def test_least_squares_are_numpys(kind: str) -> None:
    x = torch.randn(4 if kind.startswith("more") else 30, 5).double()
    if kind == "a constant column":
        x[:, 1] = 3.0
    if kind == "two equal columns":
        x[:, 1] = x[:, 0]
    h, y = with_ones(x), torch.randn(len(x), 2).double()
    expected = np.linalg.lstsq(h.numpy(), y.numpy(), rcond=None)[0].T
    torch.testing.assert_close(least_squares(h, y), torch.from_numpy(expected))
    factor = compress(torch.cat([h, y], 1))
    torch.testing.assert_close(least_squares(factor[:, :6], factor[:, 6:]), torch.from_numpy(expected))


def test_ridge_is_scikit_learns() -> None:
    x, y = torch.randn(20, 5).double() + 7, torch.randn(20, 2).double() + 100
    found = least_squares(with_ones(x), y, ridge=3.0)
    ridge = Ridge(alpha=3.0).fit(x.numpy(), y.numpy())  # its bias is free too
    torch.testing.assert_close(found[:, :-1], torch.from_numpy(ridge.coef_))
    torch.testing.assert_close(found[:, -1], torch.from_numpy(ridge.intercept_))
